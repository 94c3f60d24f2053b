import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import { plan } from "../../src/operation/samplePlan.ts"

const settings = FastCheck.record({
  count: FastCheck.integer({ min: 1, max: 5000 }),
  share: FastCheck.integer({ min: 0, max: 100 }),
  seed: FastCheck.string(),
  cursor: FastCheck.nat({ max: 6000 }),
  runs: FastCheck.integer({ min: 1, max: 800 })
}).map(({ count, share, ...rest }) => ({
  ...rest,
  count,
  touched: new Set(Array.from({ length: count }, (_, index) => index).filter((index) => index * 7919 % 100 < share))
}))

describe("the plan of samples", () => {
  it.prop(
    "has the last chunk, at least 16 and one in a hundred, each once and within the image",
    [settings],
    ([options]) => {
      const { required, rotation } = plan(options)
      const least = Math.min(options.count, Math.max(16, Math.ceil(options.count / 100)))
      assert.isAtLeast(required.length, least)
      assert.strictEqual(new Set(required).size, required.length)
      assert.include(required, options.count - 1)
      for (const index of [...required, ...rotation]) assert.isTrue(index >= 0 && index < options.count)
    }
  )

  it.prop("looks at changed and at unchanged chunks", [settings], ([options]) => {
    const { required } = plan(options)
    const untouched = options.count - options.touched.size
    const seen = required.filter((index) => options.touched.has(index)).length
    assert.isAtLeast(seen, Math.min(options.touched.size, 1))
    if (untouched > 1000) assert.isAtLeast(required.length - seen, Math.floor(required.length / 2) - 1)
  })

  it.prop("is the same for the same seed", [settings], ([options]) => {
    assert.deepStrictEqual(plan(options), plan(options))
  })

  it.prop("comes round the whole image in the runs that it is given", [settings], ([options]) => {
    const seen = new Set<number>()
    let cursor = 0
    for (let run = 0; run < options.runs; run++) {
      const { rotation } = plan({ ...options, cursor })
      for (const index of rotation) seen.add(index)
      cursor = (rotation.at(-1) ?? -1) + 1
      if (cursor >= options.count) break
    }
    assert.strictEqual(seen.size, options.count)
  })

  it("is empty for an empty image", () => {
    const options = { count: 0, touched: new Set<number>(), seed: "", cursor: 3, runs: 30 }
    assert.deepStrictEqual(plan(options), { required: [], rotation: [] })
  })
})
