import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Hash from "../../src/platform/hash.ts"

describe("hash", () => {
  it("knows the published digests", () => {
    // https://github.com/BLAKE3-team/BLAKE3/blob/master/test_vectors/test_vectors.json, inputs 0, 1, 2 … mod 251
    const input = (length: number) => Uint8Array.from({ length }, (_, at) => at % 251)
    const digests = {
      0: "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
      1: "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213",
      1024: "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7",
      1025: "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444"
    }
    for (const [length, digest] of Object.entries(digests)) {
      assert.strictEqual(Hash.toHex(Hash.portable(input(Number(length)))), digest)
    }
  })

  it("has a native implementation on this platform", () => {
    assert.isDefined(Hash.loadNative())
    assert.strictEqual(Hash.load().kind, "native")
  })

  it.prop("agrees with itself, native and portable, on every input", [
    FastCheck.uint8Array({ maxLength: 10_000 }),
    FastCheck.nat(100)
  ], ([bytes, start]) => {
    const native = Hash.loadNative()
    assert.isDefined(native)
    // views into larger buffers too
    const view = bytes.subarray(Math.min(start, bytes.length))
    assert.strictEqual(Hash.toHex(native!(view)), Hash.toHex(Hash.portable(view)))
  })

  it.prop("is the same for input that comes in pieces", [
    FastCheck.array(FastCheck.uint8Array({ maxLength: 3_000 }), { maxLength: 5 })
  ], (pieces) => {
    const whole = Hash.toHex(Hash.portable(Buffer.concat(pieces[0])))
    for (const start of [Hash.load().hasher, Hash.collecting(Hash.portable), Hash.portably.hasher]) {
      const hasher = start()
      for (const piece of pieces[0]) {
        const lent = Uint8Array.from(piece)
        hasher.update(lent)
        // the buffer is used again
        lent.fill(0xee)
      }
      assert.strictEqual(Hash.toHex(hasher.digest()), whole)
    }
  })

  it("agrees with itself on a whole chunk", () => {
    const chunk = Uint8Array.from({ length: 4_194_304 }, (_, at) => (at * at) >> 5)
    assert.strictEqual(Hash.toHex(Hash.load().hash(chunk)), Hash.toHex(Hash.portable(chunk)))
  })
})
