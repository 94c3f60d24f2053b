import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as Yaml from "../../src/domain/Yaml.ts"
import { awkwardText } from "../support/arbitraries.ts"

describe("Yaml", () => {
  const value = FastCheck.letrec((tie) => ({
    value: FastCheck.oneof(
      { depthSize: "small" },
      awkwardText,
      FastCheck.oneof(
        // whole numbers beyond 2^53 are read as what they are, which is not what a double can say
        FastCheck.double({ noNaN: true }).map((number) => number + 0)
          .filter((number) => !Number.isInteger(number) || Number.isSafeInteger(number)),
        FastCheck.integer()
      ),
      FastCheck.constantFrom(true, false, null),
      FastCheck.array(tie("value")),
      FastCheck.dictionary(awkwardText.filter((key) => key !== "__proto__"), tie("value"), { noNullPrototype: true })
    )
  })).value

  it.prop("reads what it writes", [value], ([value]) => {
    const parsed = Yaml.parse(Yaml.stringify(value))
    assert.deepStrictEqual(Either.getOrThrow(parsed).value, value)
  })

  it.prop("writes what it read in the same way again", [value], ([value]) => {
    const text = Yaml.stringify(value)
    assert.strictEqual(Yaml.stringify(Either.getOrThrow(Yaml.parse(text)).value), text)
  })

  it("tells where each part stands", () => {
    const parsed = Either.getOrThrow(Yaml.parse("a:\n  b: 1\n  c:\n  - x\n  - y: 2\n"))
    const lines = [[], ["a"], ["a", "b"], ["a", "c", 0], ["a", "c", 1, "y"], ["a", "c", 7], ["z"]].map(parsed.lineOf)
    assert.deepStrictEqual(lines, [1, 1, 2, 4, 5, 3, 1])
  })

  it("merges maps as YAML 1.1 does", () => {
    const parsed = Either.getOrThrow(
      Yaml.parse("base: &base {a: 1, b: 2}\nx:\n  b: 3\n  <<: *base\ny: {<<: [*base, {a: 5, c: 4}]}\n")
    )
    assert.deepStrictEqual(parsed.value, { base: { a: 1, b: 2 }, x: { a: 1, b: 3 }, y: { a: 1, b: 2, c: 4 } })
  })

  it("takes an alias for the anchor that stands before it", () => {
    const parsed = Either.getOrThrow(Yaml.parse("a: &x [1]\nb: &y {c: *x}\nd: &x 2\ne: [*x, *y]\n"))
    assert.deepStrictEqual(parsed.value, { a: [1], b: { c: [1] }, d: 2, e: [2, { c: [1] }] })
  })

  it("does not unfold an alias bomb", () => {
    const bomb = Array.from({ length: 12 }, (_, i) => `a${i}: &a${i} [${(i === 0 ? "x," : `*a${i - 1},`).repeat(10)}]`)
    const parsed = Yaml.parse(bomb.join("\n"))
    assert.isTrue(Either.isLeft(parsed) && /too large/.test(parsed.left[0].message))
  })

  const endless: ReadonlyArray<readonly [what: string, text: string, problem: RegExp]> = [
    ["lists", "- ".repeat(100_000), /^this is nested too deeply$/],
    ["keys", "? ".repeat(100_000), /^this is nested too deeply$/],
    ["brackets", "[".repeat(100_000), /^this is nested too deeply$/],
    ["braces", "{a: ".repeat(100_000), /^this is nested too deeply$/],
    ["steps", Array.from({ length: 700 }, (_, i) => `${" ".repeat(i)}a:`).join("\n"), /^this is nested too deeply$/],
    ["closing brackets", "]".repeat(400_000), /^there are too many quotes and brackets/],
    ["quotes", "'' ".repeat(150_000), /^there are too many quotes and brackets/]
  ]
  for (const [what, text, problem] of endless) {
    it(`refuses endless ${what} before they reach the parser`, () => {
      const parsed = Yaml.parse(text)
      assert.match(Either.isLeft(parsed) ? parsed.left[0].message : "it was accepted", problem)
    })
  }
})
