import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import { load, portable } from "../../src/platform/hash.ts"
import * as MemoryDisk from "../../src/platform/MemoryDisk.ts"
import { glance, readDiffering } from "../../src/store/blockPieces.ts"
import { type Bench, makeBuffers, SourceEnded } from "../../src/store/blockSource.ts"
import * as ChunkFile from "../../src/store/chunkFile.ts"
import { write } from "../support/diskFiles.ts"

/** Blocks made of few values, so that equal ones, zeros, and differences in any piece are all likely. */
const block = FastCheck.uint8Array({ min: 0, max: 1, minLength: 1, maxLength: 12 })

const piece = FastCheck.integer({ min: 1, max: 13 })

/** An image of two blocks, the second of which is looked at. */
const over = <A>(
  content: Uint8Array,
  length: number,
  piece: number,
  use: (bench: Bench, request: Parameters<typeof glance>[1], source: number) => A
): A => {
  const { disk } = MemoryDisk.make()
  write(disk, "/image", Uint8Array.from([...new Uint8Array(length).fill(9), ...content]))
  const { hash, hasher } = load()
  const bench = { tools: { disk, hash, hasher, level: 1, piece, writer: "abcdef" }, buffers: makeBuffers() }
  // what an earlier block left in them does not matter
  bench.buffers.block(20).fill(7)
  bench.buffers.piece(20).fill(7)
  return ChunkFile.withFile(disk, disk.open("/image", { access: "read" }), (descriptor) => {
    const source = { path: "/image", descriptor }
    return use(bench, { repository: "/", source, size: 2 * length, chunkSize: length, indexes: [1] }, descriptor)
  })
}

const isZeros = (bytes: Uint8Array) => bytes.every((byte) => byte === 0)

describe("blocks in pieces", () => {
  it.prop("are told from each other by their hash, as if they had been read whole", [
    block,
    block,
    FastCheck.boolean(),
    piece
  ], ([content, other, equal, piece]) => {
    const base = equal ? content : other
    const seen = over(
      content,
      content.length,
      piece,
      (bench, request, source) => glance(bench, request, source, 1, isZeros(base) ? undefined : portable(base))
    )
    if (content.length <= piece) assert.strictEqual(seen, "other")
    else if (isZeros(content)) assert.strictEqual(seen, "zeros")
    else assert.strictEqual(seen, Buffer.compare(content, base) === 0 ? "same" : "other")
  })

  it.prop("are compared as if they had been read whole", [block, block, piece], ([content, other, piece]) => {
    const expected = Uint8Array.from(content, (_, at) => other[at] ?? 0)
    const found = over(
      content,
      content.length,
      piece,
      (bench, request, source) => {
        const block = readDiffering(bench, request, source, 1, isZeros(expected) ? undefined : expected)
        return block === undefined ? undefined : Uint8Array.from(block)
      }
    )
    assert.deepStrictEqual(found, Buffer.compare(content, expected) === 0 ? undefined : content)
  })

  it.prop("say at which byte the source ends too early", [
    block,
    piece,
    FastCheck.integer({ min: 1, max: 5 })
  ], ([content, piece, missing]) => {
    const length = content.length + missing
    const position = length + content.length
    over(content, length, piece, (bench, request, source) => {
      for (const expected of [undefined, Uint8Array.from({ length }, (_, at) => content[at] ?? 0)]) {
        try {
          readDiffering(bench, request, source, 1, expected)
          assert.fail("it did not end")
        } catch (cause) {
          assert.instanceOf(cause, SourceEnded)
          assert.strictEqual((cause as SourceEnded).position, position)
        }
      }
    })
  })
})
