import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Extent from "../../src/domain/Extent.ts"
import { extents } from "../support/arbitraries.ts"

/** The reference: a list of extents is the set of its bytes. */
const bytesOf = (list: Iterable<Extent.Extent>): Set<number> => {
  const bytes = new Set<number>()
  for (const extent of list) for (let i = extent.offset; i < Extent.end(extent); i++) bytes.add(i)
  return bytes
}

const assertNormal = (list: ReadonlyArray<Extent.Extent>): void => {
  list.forEach((extent, index) => {
    assert.isAbove(extent.length, 0)
    if (index > 0) assert.isAbove(extent.offset, Extent.end(list[index - 1]!), "neither touching nor overlapping")
  })
}

const assertBytes = (list: ReadonlyArray<Extent.Extent>, expected: Set<number>): void => {
  assertNormal(list)
  assert.deepStrictEqual([...bytesOf(list)].sort((a, b) => a - b), [...expected].sort((a, b) => a - b))
}

describe("Extent", () => {
  it.prop("normalise keeps the bytes", [extents()], ([list]) => assertBytes(Extent.normalise(list), bytesOf(list)))

  it.prop("normalise changes nothing the second time", [extents()], ([list]) => {
    const once = Extent.normalise(list)
    assert.deepStrictEqual(Extent.normalise(once), once)
  })

  it.prop("union, intersect and subtract are those of sets of bytes", [extents(), extents()], ([a, b]) => {
    const [left, right] = [bytesOf(a), bytesOf(b)]
    assertBytes(Extent.union(a, b), new Set([...left, ...right]))
    assertBytes(Extent.intersect(a, b), new Set([...left].filter((byte) => right.has(byte))))
    assertBytes(Extent.subtract(a, b), new Set([...left].filter((byte) => !right.has(byte))))
  })

  it.prop("align covers whole chunks and nothing behind the image", [
    extents(),
    FastCheck.integer({ min: 1, max: 9 }),
    FastCheck.integer({ min: 0, max: 90 })
  ], ([list, chunkSize, size]) => {
    const expected = new Set<number>()
    for (const byte of bytesOf(list)) {
      const start = byte - byte % chunkSize
      for (let i = start; i < Math.min(start + chunkSize, size); i++) expected.add(i)
    }
    assertBytes(Extent.align(list, chunkSize, size), expected)
  })

  it.prop(
    "chunkIndexes names each touched chunk once, ascending",
    [extents(), FastCheck.integer({ min: 1, max: 9 })],
    ([
      list,
      chunkSize
    ]) => {
      const expected = new Set([...bytesOf(list)].map((byte) => Math.floor(byte / chunkSize)))
      assert.deepStrictEqual([...Extent.chunkIndexes(list, chunkSize)], [...expected].sort((a, b) => a - b))
    }
  )

  it.prop("covers means that no byte is missing", [extents(), extents()], ([list, [extent]]) => {
    if (extent === undefined) return
    const bytes = bytesOf(list)
    assert.strictEqual(Extent.covers(list, extent), [...bytesOf([extent])].every((byte) => bytes.has(byte)))
  })

  it.prop("totalLength counts each byte once, and clip cuts at the end", [extents(), FastCheck.nat({ max: 80 })], ([
    list,
    size
  ]) => {
    assert.strictEqual(Extent.totalLength(list), bytesOf(list).size)
    assertBytes(Extent.clip(list, size), new Set([...bytesOf(list)].filter((byte) => byte < size)))
  })

  it("computes with offsets up to 2^53", () => {
    const far = 2 ** 52
    assert.deepStrictEqual(Extent.align([{ offset: far + 1, length: 4_194_304 }], 4_194_304), [
      { offset: far, length: 8_388_608 }
    ])
  })
})
