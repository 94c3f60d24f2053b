import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as ChunkId from "../../src/domain/ChunkId.ts"
import * as ChunkMap from "../../src/domain/ChunkMap.ts"
import { chunkMap, extents } from "../support/arbitraries.ts"

const text = (map: ChunkMap.ChunkMap): string => new TextDecoder().decode(ChunkMap.encode(map))
const decodeText = (source: string) => ChunkMap.decode(new TextEncoder().encode(source))

const idsOf = (map: ChunkMap.ChunkMap) => Array.from({ length: ChunkMap.count(map) }, (_, i) => ChunkMap.idAt(map, i))

describe("ChunkMap", () => {
  it.prop("decodes what it encodes", [chunkMap()], ([map]) => {
    assert.deepStrictEqual(ChunkMap.decode(ChunkMap.encode(map)), Either.right(map))
  })

  it.prop("is written line by line as docs say", [chunkMap()], ([map]) => {
    const lines = idsOf(map).map((id) => id ?? "-")
    assert.strictEqual(text(map), ["backy-map 4", `size ${map.size}`, "chunk-size 512", ...lines, ""].join("\n"))
  })

  it.prop("is read in one way only: what decodes encodes to the same bytes", [
    chunkMap({ maxChunks: 3 }),
    FastCheck.nat(),
    FastCheck.integer({ min: 0, max: 255 })
  ], ([map, position, byte]) => {
    const damaged = ChunkMap.encode(map).slice()
    damaged[position % damaged.length] = byte
    const decoded = ChunkMap.decode(damaged)
    if (Either.isRight(decoded)) assert.deepStrictEqual(ChunkMap.encode(decoded.right), damaged)
  })

  it.prop("refuses every truncation", [chunkMap({ maxChunks: 4 }), FastCheck.nat()], ([map, length]) => {
    const bytes = ChunkMap.encode(map)
    assert.isTrue(Either.isLeft(ChunkMap.decode(bytes.subarray(0, length % bytes.length))))
  })

  it.prop(
    "answers garbage with an error, never with an exception",
    [FastCheck.uint8Array({ maxLength: 300 })],
    ([bytes]) => {
      assert.isTrue(Either.isLeft(ChunkMap.decode(bytes)))
    }
  )

  it("holds an empty image in three lines", () => {
    assert.strictEqual(text(ChunkMap.empty(0)), "backy-map 4\nsize 0\nchunk-size 4194304\n")
    assert.deepStrictEqual(decodeText("backy-map 4\nsize 0\nchunk-size 4194304\n"), Either.right(ChunkMap.empty(0)))
  })

  const id = "ab".repeat(32)
  const header = "backy-map 4\nsize 600\nchunk-size 512\n"
  const mistakes: ReadonlyArray<readonly [what: string, source: string, line: number, reason: RegExp]> = [
    ["an empty file", "", 1, /backy-map 4/],
    ["another version", "backy-map 9\nsize 0\nchunk-size 512\n", 1, /backy-map 4/],
    ["the ancestor's JSON", "{\"mapping\": {}, \"size\": 0}", 1, /backy-map 4/],
    ["carriage returns", "backy-map 4\r\nsize 0\r\nchunk-size 512\r\n", 1, /backy-map 4/],
    ["a size with a sign", "backy-map 4\nsize +1\nchunk-size 512\n-\n", 2, /size/],
    ["a size with leading zeros", "backy-map 4\nsize 01\nchunk-size 512\n-\n", 2, /size/],
    ["a negative size", "backy-map 4\nsize -1\nchunk-size 512\n", 2, /size/],
    ["a size of 2^53", "backy-map 4\nsize 9007199254740992\nchunk-size 512\n", 2, /2\^53/],
    ["a fractional size", "backy-map 4\nsize 1.5\nchunk-size 512\n-\n", 2, /size/],
    ["a chunk size of zero", "backy-map 4\nsize 1\nchunk-size 0\n-\n", 3, /multiple of 512/],
    ["a chunk size between sectors", "backy-map 4\nsize 1\nchunk-size 1000\n-\n", 3, /multiple of 512/],
    ["a chunk size that fits no memory", "backy-map 4\nsize 1\nchunk-size 1073741824\n-\n", 3, /up to 67108864/],
    ["a claim of 2^44 chunks", "backy-map 4\nsize 9007199254740991\nchunk-size 512\n-\n", 5, /the file ends before/],
    ["a missing line", `${header}${id}\n`, 5, /the file ends|2 chunks/],
    ["a line too many", `${header}-\n-\n-\n`, 6, /more behind the 2 chunks/],
    ["garbage behind the end", `${header}-\n${id}\nx`, 6, /more behind/],
    ["a missing last newline", `${header}-\n${id}`, 5, /within a line/],
    ["upper-case digits", `${header}-\n${id.toUpperCase()}\n`, 5, /lower-case/],
    ["a digit that is none", `${header}${id.slice(1)}g\n-\n`, 4, /64 lower-case hex digits/],
    ["a short line", `${header}${id.slice(2)}\n${id}\n-\n`, 4, /64 lower-case hex digits/],
    ["a long line", `${header}${id}0\n-\n`, 4, /64 lower-case hex digits/],
    ["spelled-out zeros", `${header}${"0".repeat(64)}\n-\n`, 4, /written as "-"/],
    ["an empty line", `${header}\n${id}\n-\n`, 4, /64 lower-case hex digits/]
  ]
  for (const [what, source, line, reason] of mistakes) {
    it(`refuses ${what}, naming the line`, () => {
      const decoded = decodeText(source)
      assert.isTrue(Either.isLeft(decoded))
      if (Either.isRight(decoded)) return
      assert.strictEqual(decoded.left.line, line)
      assert.match(decoded.left.message, reason)
      assert.match(decoded.left.message, /^the chunk map is damaged in line \d+: .+$/)
    })
  }

  it.prop("chunk lengths add up to the image", [chunkMap()], ([map]) => {
    const lengths = Array.from({ length: ChunkMap.count(map) }, (_, index) => ChunkMap.chunkLength(map, index))
    assert.strictEqual(lengths.reduce((sum, length) => sum + length, 0), map.size)
    assert.isTrue(lengths.every((length) => length > 0))
    assert.strictEqual(ChunkMap.chunkLength(map, lengths.length), 0)
    assert.strictEqual(ChunkMap.chunkCount(map.size, map.chunkSize), lengths.length)
  })

  it.prop("isHole, idAt and idBytesAt agree", [chunkMap()], ([map]) => {
    idsOf(map).forEach((id, index) => {
      assert.strictEqual(ChunkMap.isHole(map, index), id === undefined)
      if (id !== undefined) assert.strictEqual(ChunkId.fromBytes(ChunkMap.idBytesAt(map, index)), id)
    })
    assert.isUndefined(ChunkMap.idAt(map, -1))
    assert.isUndefined(ChunkMap.idAt(map, ChunkMap.count(map)))
  })

  it.prop("distinctIds names each chunk once, in the order of the image", [chunkMap({ maxChunks: 40 })], ([map]) => {
    const expected = new Set(idsOf(map).filter((id) => id !== undefined))
    assert.deepStrictEqual([...ChunkMap.distinctIds(map)], [...expected])
  })

  it.prop("resized keeps every chunk whose length stays and leaves the others to be made anew", [
    chunkMap(),
    FastCheck.nat({ max: 7000 })
  ], ([map, newSize]) => {
    const { map: resized, remake } = ChunkMap.resized(map, newSize)
    assert.strictEqual(resized.size, newSize)
    idsOf(resized).forEach((id, index) => {
      const existed = index < ChunkMap.count(map)
      const sameLength = ChunkMap.chunkLength(map, index) === ChunkMap.chunkLength(resized, index)
      assert.strictEqual(remake.includes(index), existed && !sameLength)
      assert.strictEqual(id, existed && sameLength ? ChunkMap.idAt(map, index) : undefined)
    })
    assert.isAtMost(remake.length, 1)
  })

  it("resized does not touch the map that it was given", () => {
    const map = ChunkMap.empty(600, 512)
    ChunkMap.setIds(map, 0, new Uint8Array(64).fill(7))
    ChunkMap.resized(map, 100)
    assert.strictEqual(ChunkMap.idAt(map, 0), "07".repeat(32))
  })

  it.prop("diff names exactly the bytes under differing ids, and those of one image only", [chunkMap(), chunkMap()], ([
    a,
    b
  ]) => {
    const [short, long] = [Math.min(a.size, b.size), Math.max(a.size, b.size)]
    const covered = new Set<number>()
    for (const { length, offset } of ChunkMap.diff(a, b)) for (let i = 0; i < length; i++) covered.add(offset + i)
    for (let byte = 0; byte < long; byte += 37) {
      const index = Math.floor(byte / 512)
      const same = byte < short && ChunkMap.idAt(a, index) === ChunkMap.idAt(b, index)
      assert.strictEqual(covered.has(byte), !same, `byte ${byte}`)
    }
    assert.isTrue([...covered].every((byte) => byte < long))
    assert.deepStrictEqual(ChunkMap.diff(b, a), ChunkMap.diff(a, b))
    assert.deepStrictEqual(ChunkMap.diff(a, a), [])
  })

  it.prop("maps of different chunk sizes differ everywhere", [chunkMap(), chunkMap({ chunkSize: 1024 })], ([a, b]) => {
    const size = Math.max(a.size, b.size)
    assert.deepStrictEqual(ChunkMap.diff(a, b), size === 0 ? [] : [{ offset: 0, length: size }])
  })

  it.prop("setIds writes where it is told and nowhere else", [chunkMap(), extents(8)], ([map, places]) => {
    const expected = idsOf(map)
    for (const { offset, length } of places) {
      const ids = new Uint8Array(32 * Math.max(0, Math.min(length, ChunkMap.count(map) - offset))).fill(9)
      if (offset > ChunkMap.count(map)) continue
      ChunkMap.setIds(map, offset, ids)
      expected.fill(ChunkId.fromBytes(new Uint8Array(32).fill(9)), offset, offset + ids.length / 32)
    }
    assert.deepStrictEqual(idsOf(map), expected)
  })
})
