import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import { everyChoice, seeded, someChoices } from "../../src/platform/MemoryChoices.ts"

describe("choices", () => {
  const three = (choose: (options: number, question: string) => number) =>
    `${choose(2, "a")}${choose(3, "b")}${choose(2, "c")}`

  it("everyChoice gives each combination once, and says whether it was all", () => {
    const all = everyChoice(three, 100)
    const seen: Array<string> = []
    let next = all.next()
    for (; next.done !== true; next = all.next()) seen.push(next.value)
    assert.strictEqual(next.value, true)
    assert.lengthOf(seen, 12)
    assert.lengthOf(new Set(seen), 12)
    const some = everyChoice(three, 5)
    for (let i = 0; i < 5; i++) assert.isFalse(some.next().done)
    assert.deepStrictEqual(some.next(), { done: true, value: false })
  })

  it("someChoices gives all of a few, else a sample that begins with the extremes", () => {
    assert.lengthOf(Array.from(someChoices(three, { limit: 12, seed: 1 })), 12)
    const sample = Array.from(someChoices(three, { limit: 11, seed: 1 }))
    assert.lengthOf(sample, 11)
    assert.deepStrictEqual(sample.slice(0, 2), ["111", "000"])
    assert.includeMembers(sample, ["011", "101", "110", "100", "010", "001", "121"])
  })

  it("a seed gives the same answers again", () => {
    FastCheck.assert(FastCheck.property(FastCheck.integer(), (seed) => {
      const answers = () => {
        const choose = seeded(seed)
        return Array.from({ length: 20 }, (_, i) => choose(i + 1, "q"))
      }
      assert.deepStrictEqual(answers(), answers())
      assert.isTrue(answers().every((answer, i) => answer >= 0 && answer <= i))
    }))
  })
})
