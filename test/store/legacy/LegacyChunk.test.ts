import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import { createHash } from "node:crypto"
import { readdirSync, readFileSync } from "node:fs"
import * as LegacyChunk from "../../../src/store/legacy/LegacyChunk.ts"
import * as LegacyMap from "../../../src/store/legacy/LegacyMap.ts"
import { container, encode, legacyChunk, legacyImage } from "../../support/lzoEncoder.ts"

const fixtures = new URL("../../fixtures/backy25/", import.meta.url)
const jobs = ["chunked", "quarantine"]

const chunkFiles = (job: string): ReadonlyArray<string> =>
  readdirSync(new URL(`${job}/chunks/`, fixtures), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".chunk.lzo"))

const idOf = (path: string): LegacyChunk.LegacyChunkId => {
  const id = LegacyChunk.idOf(path.slice(path.lastIndexOf("/") + 1))
  return id ?? assert.fail(`${path} is no chunk`)
}

const reasonOf = (result: Either.Either<Uint8Array, LegacyChunk.LegacyChunkInvalid>): string =>
  Either.match(result, { onLeft: (error) => error.reason, onRight: () => "none" })

const flipped = (file: Uint8Array, at: number, bit: number): Uint8Array => {
  const copy = Uint8Array.from(file)
  copy[at] = (copy[at] ?? 0) ^ 1 << bit
  return copy
}

describe("LegacyChunk", () => {
  it("knows its files by name and place", () => {
    const id = idOf("0a/0aed0abdd964a8fd7b9107a306727e76.chunk.lzo")
    assert.strictEqual(LegacyChunk.relativePath(id), "chunks/0a/0aed0abdd964a8fd7b9107a306727e76.chunk.lzo")
    assert.strictEqual(LegacyChunk.relativePathV1(id), "chunks/0a/ed/0aed0abdd964a8fd7b9107a306727e76.chunk.lzo")
    const others = ["store", "tmpab12cd34", `${id}.chunk.zst`, `${id}x.chunk.lzo`, `${id.toUpperCase()}.chunk.lzo`]
    for (const name of others) {
      assert.isUndefined(LegacyChunk.idOf(name), name)
    }
  })

  it("decodes every chunk that backy 2.5 wrote, and its content hashes to its name", () => {
    const scratch = new Uint8Array(LegacyChunk.CHUNK_SIZE)
    for (const job of jobs) {
      const files = chunkFiles(job)
      assert.isAtLeast(files.length, 3)
      for (const path of files) {
        const id = idOf(path)
        const file = readFileSync(new URL(`${job}/${LegacyChunk.relativePath(id)}`, fixtures))
        assert.isBelow(file.length, LegacyChunk.MAX_FILE_LENGTH)
        assert.strictEqual(reasonOf(LegacyChunk.decode(id, file, { scratch })), "none", path)
      }
    }
  })

  it("gives back every revision of the fixtures, cut at the size of its image", () => {
    const sums = JSON.parse(readFileSync(new URL("SHA256SUMS.json", fixtures), "utf8"))
    for (const job of jobs) {
      assert.isNotEmpty(Object.keys(sums[job]))
      for (const [revision, expected] of Object.entries<{ sha256: string; size: number }>(sums[job])) {
        const map = Either.getOrThrow(LegacyMap.decode(readFileSync(new URL(`${job}/${revision}`, fixtures))))
        assert.strictEqual(map.size, expected.size)
        const digest = createHash("sha256")
        for (let index = 0; index < LegacyMap.count(map); index++) {
          const id = LegacyMap.chunkAt(map, index) ?? assert.fail(`chunk ${index} is missing`)
          const file = readFileSync(new URL(`${job}/${LegacyChunk.relativePath(id)}`, fixtures))
          const content = Either.getOrThrow(LegacyChunk.decode(id, file))
          assert.isAtLeast(content.length, LegacyMap.lengthAt(map, index))
          digest.update(content.subarray(0, LegacyMap.lengthAt(map, index)))
        }
        assert.strictEqual(digest.digest("hex"), expected.sha256, revision)
      }
    }
  })

  it("tells sound bytes of another content from damaged ones", () => {
    const { file } = legacyChunk(Buffer.from("what was asked for"))
    const { id } = legacyChunk(Buffer.from("something else"))
    const other = Either.getOrThrow(Either.flip(LegacyChunk.decode(id, file)))
    assert.strictEqual(other.reason, "wrong-content")
    assert.match(other.message, /^legacy chunk [0-9a-f]{32} is damaged: its content hashes to [0-9a-f]{32}$/)
    const torn = Either.getOrThrow(Either.flip(LegacyChunk.decode(id, file.subarray(0, -1))))
    assert.strictEqual(torn.reason, "input-overrun")
    assert.match(
      torn.message,
      /^legacy chunk [0-9a-f]{32} is damaged: the compressed bytes end in the middle of the stream$/
    )
  })

  it("refuses a chunk of more than 4 MiB, or than the caller takes, before it is unpacked", () => {
    const bomb = container(encode(new Uint8Array(100)), LegacyChunk.CHUNK_SIZE + 1)
    const { id } = legacyChunk(Buffer.from("abc"))
    assert.strictEqual(reasonOf(LegacyChunk.decode(id, bomb)), "too-large")
    assert.strictEqual(
      reasonOf(LegacyChunk.decode(id, legacyChunk(Buffer.from("abc")).file, { limit: 2 })),
      "too-large"
    )
  })

  it("never takes a flipped bit for the content", () => {
    const content = FastCheck.uint8Array({ minLength: 1, maxLength: 200, size: "max" })
    FastCheck.assert(
      FastCheck.property(content, FastCheck.nat(), FastCheck.nat(7), (content, place, bit) => {
        const { file, id } = legacyChunk(content)
        const damaged = flipped(file, place % file.length, bit)
        const result = LegacyChunk.decode(id, damaged)
        // f0 and f1 mean the same, and some bits of the end mark mean nothing: the content is what counts
        assert.isTrue(Either.isLeft(result) || Buffer.from(result.right).equals(content))
      }),
      { numRuns: 500 }
    )
  })

  it("survives any bytes in place of a chunk", () => {
    const { id } = legacyChunk(Buffer.from("abc"))
    FastCheck.assert(
      FastCheck.property(FastCheck.uint8Array({ maxLength: 100, size: "max" }), (bytes) => {
        assert.isTrue(Either.isLeft(LegacyChunk.decode(id, bytes)))
      })
    )
  })

  it("reads back an image that the test encoder wrote", () => {
    const image = new Uint8Array(LegacyChunk.CHUNK_SIZE + 12345).map((_, at) => at >> 9)
    const { chunks, map: text } = legacyImage(image)
    const map = Either.getOrThrow(LegacyMap.decode(Buffer.from(text)))
    assert.strictEqual(map.size, image.length)
    const parts = Array.from(
      LegacyMap.distinctIds(map),
      (id) => Either.getOrThrow(LegacyChunk.decode(id, chunks.get(id) ?? new Uint8Array()))
    )
    assert.isTrue(Buffer.concat(parts).equals(image))
  })
})
