import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import { readFileSync } from "node:fs"
import { CHUNK_SIZE } from "../../../src/store/legacy/LegacyChunk.ts"
import * as LegacyMap from "../../../src/store/legacy/LegacyMap.ts"

const A = "ac139dc164c68c070672ff86a52be509"
const B = "802bcdc10708ff2b4231250ba08fb7af"
const NONE = "0".repeat(32)

const read = (text: string): LegacyMap.LegacyMap => Either.getOrThrow(LegacyMap.decode(Buffer.from(text)))
const problemOf = (text: string): string =>
  Either.match(LegacyMap.decode(Buffer.from(text)), { onLeft: (error) => error.message, onRight: () => "none" })
const chunksOf = (map: LegacyMap.LegacyMap) =>
  Array.from({ length: LegacyMap.count(map) }, (_, index) => LegacyMap.chunkAt(map, index))
const json = (mapping: Record<string, unknown>, size: unknown) => JSON.stringify({ mapping, size })

describe("LegacyMap", () => {
  it("reads what backy 2.5 wrote", () => {
    const bytes = readFileSync(new URL("../../fixtures/backy25/chunked/QwA2a9XWGvjB3h5AQdR4WW", import.meta.url))
    const map = Either.getOrThrow(LegacyMap.decode(bytes))
    assert.strictEqual(map.size, 15914631)
    assert.deepStrictEqual<ReadonlyArray<string | undefined>>(chunksOf(map), [
      "cae79f541066e4d14d3c120cbb38e189",
      "802bcdc10708ff2b4231250ba08fb7af",
      "62194e29c5533ff4c654e3c8d8b338bc",
      "128b656a5f93980e7a60cf6ecca5ee98"
    ])
    assert.strictEqual(LegacyMap.lengthAt(map, 0), CHUNK_SIZE)
    assert.strictEqual(LegacyMap.lengthAt(map, 3), 3331719)
  })

  it("reads the map of an empty image", () => {
    assert.strictEqual(LegacyMap.count(read(`{"mapping": {}, "size": 0}`)), 0)
  })

  it("takes members, entries and white space as JSON allows them", () => {
    const expected = [A, B]
    for (
      const text of [
        `{"mapping": {"1": "${B}", "0": "${A}"}, "size": 5000000}`,
        `{"size": 5000000, "mapping": {"0": "${A}", "1": "${B}"}}`,
        `{"mapping":{"0":"${A}","1":"${B}"},"size":5000000}\n`,
        `{"mapping" : {\n  "0" : "${A}" ,\r\n\t"1" : "${B}"\n} , "size" : 5000000 }  `
      ]
    ) assert.deepStrictEqual<ReadonlyArray<string | undefined>>(chunksOf(read(text)), expected, text)
  })

  it("keeps missing chunks as missing", () => {
    const map = read(json({ 1: B, 2: NONE }, 4 * CHUNK_SIZE))
    assert.deepStrictEqual<ReadonlyArray<string | undefined>>(chunksOf(map), [undefined, B, undefined, undefined])
    assert.deepStrictEqual([...LegacyMap.idBytesAt(map, 0)], Array.from({ length: 16 }, () => 0))
    assert.isUndefined(LegacyMap.chunkAt(map, 4))
    assert.isUndefined(LegacyMap.chunkAt(map, -1))
  })

  it("names the chunk behind an image that shrank to a multiple of the chunk size", () => {
    const map = read(json({ 0: A, 1: B }, CHUNK_SIZE))
    assert.strictEqual(LegacyMap.count(map), 1)
    assert.deepStrictEqual<ReadonlyArray<string>>([...LegacyMap.distinctIds(map)], [A, B])
  })

  it("names each chunk once", () => {
    const map = read(json({ 0: A, 1: B, 2: A, 3: A, 9: B }, 4 * CHUNK_SIZE))
    assert.deepStrictEqual<ReadonlyArray<string>>([...LegacyMap.distinctIds(map)], [A, B])
  })

  it("refuses what is no map, and says where", () => {
    const place = (text: string) => /at byte (\d+): (.*)$/.exec(problemOf(text))?.slice(1).join(" ")
    assert.strictEqual(place(""), `0 it does not begin with {"`)
    assert.strictEqual(place(" {\"mapping\": {}, \"size\": 0}"), `0 it does not begin with {"`)
    assert.strictEqual(place(`{"mapping": {}}`), "15 it lacks its mapping or its size")
    assert.strictEqual(place(`{"size": 0}`), "11 it lacks its mapping or its size")
    assert.strictEqual(place(`{"size": 0, "size": 0}`), `19 the key "size" is not expected here`)
    assert.strictEqual(place(`{"mapping": {}, "size": 0}{`), "26 something follows the end")
    assert.strictEqual(place(`{"mapping": {"0": "${A}"`), "52 ',' or '}' is expected")
    assert.strictEqual(
      place(`{"mapping": {"0": "${A.slice(1)}"}, "size": 1}`),
      "19 a chunk's name is not 32 hexadecimal digits"
    )
    assert.strictEqual(place(`{"mapping": {"0": "${A.slice(20)}`), "19 it ends within a chunk's name")
    assert.strictEqual(place(json({ "00": A }, 1)), "15 a plain decimal number is expected")
    assert.strictEqual(place(json({ "-1": A }, 1)), "13 a plain decimal number is expected")
    assert.strictEqual(place(json({ "1e1": A }, 1)), `14 '"' is expected`)
    assert.strictEqual(place(json({ 0: null }, 1)), `16 '"' is expected`)
    assert.strictEqual(place(json({}, 1.5)), "22 ',' or '}' is expected")
    assert.strictEqual(place(json({}, "1")), "21 a plain decimal number is expected")
    assert.strictEqual(place(json({}, 2 ** 53)), "36 a number is too large")
  })

  it("refuses upper-case names, a chunk named twice, and sizes that are absurd for the chunks named", () => {
    assert.match(problemOf(json({ 0: A.toUpperCase() }, 1)), /not 32 hexadecimal digits/)
    assert.match(problemOf(`{"mapping": {"0": "${A}", "0": "${B}"}, "size": 1}`), /: it names chunk 0 twice$/)
    assert.match(
      problemOf(json({ 0: A }, Number.MAX_SAFE_INTEGER)),
      /: a size of 9007199254740991 bytes is absurd for 1 chunks$/
    )
  })

  it("refuses every beginning of a map: nothing short of the whole counts", () => {
    const text = json({ 0: A, 1: B }, 5000000)
    for (let length = 0; length < text.length; length++) assert.notStrictEqual(problemOf(text.slice(0, length)), "none")
  })

  it("reads any map back, whatever the order of its entries", () => {
    const id = FastCheck.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => Buffer.from(bytes).toString("hex"))
    const map = FastCheck.uniqueArray(FastCheck.tuple(FastCheck.nat(300), id), {
      selector: ([key]) => key,
      maxLength: 80
    })
    FastCheck.assert(
      FastCheck.property(map, FastCheck.nat(250 * CHUNK_SIZE), FastCheck.boolean(), (entries, size, last) => {
        const mapping = entries.map(([key, id]) => `"${key}": "${id}"`).join(", ")
        // size last, as today, or first, as older Pythons may have it
        const text = last ? `{"mapping": {${mapping}}, "size": ${size}}` : `{"size": ${size}, "mapping": {${mapping}}}`
        const expected = new Map(entries.filter(([, id]) => id !== NONE))
        const map = read(text)
        assert.strictEqual(LegacyMap.count(map), Math.ceil(size / CHUNK_SIZE))
        chunksOf(map).forEach((found, index) => assert.strictEqual<string | undefined>(found, expected.get(index)))
        assert.deepStrictEqual(new Set<string>(LegacyMap.distinctIds(map)), new Set(expected.values()))
      })
    )
  })

  it("never throws on a damaged map, and never reads one as JSON would not", () => {
    const text = json({ 0: A, 1: B, 2: A }, 10_000_000)
    const edit = FastCheck.tuple(FastCheck.nat(text.length), FastCheck.nat(4), FastCheck.string({ maxLength: 3 }))
    FastCheck.assert(
      FastCheck.property(FastCheck.array(edit, { minLength: 1, maxLength: 3 }), (edits) => {
        const damaged = edits.reduce((text, [at, cut, put]) => text.slice(0, at) + put + text.slice(at + cut), text)
        const result = LegacyMap.decode(Buffer.from(damaged))
        if (Either.isLeft(result)) return
        const plain: { mapping: Record<string, string>; size: number } = JSON.parse(damaged)
        assert.strictEqual(result.right.size, plain.size)
        chunksOf(result.right).forEach((id, index) => assert.strictEqual<string | undefined>(id, plain.mapping[index]))
        const named = new Set<string>(LegacyMap.distinctIds(result.right))
        assert.isTrue(Object.values(plain.mapping).every((id) => named.has(id)))
      }),
      { numRuns: 2000 }
    )
  })

  it("never throws on bytes at random", () => {
    FastCheck.assert(FastCheck.property(FastCheck.uint8Array(), (bytes) => {
      assert.isTrue(Either.isLeft(LegacyMap.decode(bytes)))
      LegacyMap.decode(Buffer.concat([Buffer.from(`{"mapping": {"0": "`), bytes]))
    }))
  })
})
