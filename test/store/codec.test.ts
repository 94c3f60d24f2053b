import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import { execFileSync } from "node:child_process"
import { compress, decompress, maxFrameLength } from "../../src/store/codec.ts"

const contents = FastCheck.oneof(
  FastCheck.uint8Array({ minLength: 1, maxLength: 5000 }),
  // long runs, as images have them
  FastCheck.array(FastCheck.tuple(FastCheck.nat(255), FastCheck.integer({ min: 1, max: 3000 })), { minLength: 1 }).map(
    (runs) => Uint8Array.from(runs.flatMap(([byte, length]) => Array.from({ length }, () => byte)))
  )
)

describe("codec", () => {
  it.prop("gives back what went in, at every level, within the promised length", [
    contents,
    FastCheck.integer({ min: 1, max: 19 })
  ], ([content, level]) => {
    const frame = compress(content, level)
    assert.isAtMost(frame.length, maxFrameLength(content.length))
    assert.deepStrictEqual(Uint8Array.from(decompress(frame, content.length) ?? []), content)
  })

  it.prop("refuses every frame that was cut", [contents, FastCheck.nat()], ([content, seed]) => {
    const frame = compress(content, 1)
    assert.isUndefined(decompress(frame.subarray(0, seed % frame.length), content.length))
  })

  it.prop("refuses whatever follows a frame", [contents, FastCheck.uint8Array({ minLength: 1 })], ([content, more]) => {
    const frame = compress(content, 1)
    assert.isUndefined(decompress(Uint8Array.from([...frame, ...more]), content.length + 1))
  })

  it("refuses a frame that would give more than the limit", () => {
    const bomb = compress(new Uint8Array(100_000_000), 1)
    // telling what it gave would take more memory than there is
    assert.isTrue(decompress(bomb, 4_194_304) === undefined)
  })

  it("keeps incompressible blocks within the promised length", () => {
    const content = new Uint8Array(4_194_304)
    // a generator of the Lehmer kind: no two runs alike, and the same at each run of the test
    let state = 1
    for (let at = 0; at < content.length; at++) content[at] = (state = state * 48_271 % 2_147_483_647) & 0xff
    const frame = compress(content, 1)
    assert.isAbove(frame.length, content.length)
    assert.isAtMost(frame.length, maxFrameLength(content.length))
  })

  it("writes the content size into the header, so that other readers know it beforehand", () => {
    const frame = compress(new Uint8Array(70_000).fill(7), 1)
    // RFC 8878, 3.1.1.1: magic number, descriptor with the size flag in its two highest bits, window or size field
    assert.deepStrictEqual([...frame.subarray(0, 4)], [0x28, 0xb5, 0x2f, 0xfd])
    const descriptor = frame[4] ?? 0
    assert.isTrue(descriptor >> 6 > 0 || (descriptor & 0x20) !== 0)
  })

  it("writes what the zstd program reads", () => {
    const content = Buffer.from("a chunk is one ordinary zstd frame. ".repeat(1000))
    const read = execFileSync("zstd", ["-dc"], { input: compress(content, 3) })
    assert.isTrue(read.equals(content))
  })
})
