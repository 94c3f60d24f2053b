import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import { murmur3 } from "../../../src/store/legacy/murmur3.ts"

const hex = (bytes: Uint8Array): string => Buffer.from(murmur3(bytes)).toString("hex")

const MASK = 0xffff_ffff_ffff_ffffn
const C1 = 0x87c37b91114253d5n
const C2 = 0x4cf5ad432745937fn
const rotate = (a: bigint, by: bigint): bigint => (a << by | a >> 64n - by) & MASK
const avalanche = (a: bigint): bigint => {
  a = (a ^ a >> 33n) * 0xff51afd7ed558ccdn & MASK
  a = (a ^ a >> 33n) * 0xc4ceb9fe1a85ec53n & MASK
  return a ^ a >> 33n
}
const word = (bytes: Uint8Array): bigint => bytes.reduceRight((sum, byte) => sum << 8n | BigInt(byte), 0n)

/** The algorithm as its definition says it, slowly. */
const reference = (bytes: Uint8Array): string => {
  const length = BigInt(bytes.length)
  let h1 = 0n
  let h2 = 0n
  for (let at = 0; at < bytes.length; at += 16) {
    h1 ^= rotate(word(bytes.subarray(at, at + 8)) * C1 & MASK, 31n) * C2 & MASK
    const whole = at + 16 <= bytes.length
    if (whole) h1 = ((rotate(h1, 27n) + h2) * 5n + 0x52dce729n) & MASK
    h2 ^= rotate(word(bytes.subarray(at + 8, at + 16)) * C2 & MASK, 33n) * C1 & MASK
    if (whole) h2 = ((rotate(h2, 31n) + h1) * 5n + 0x38495ab5n) & MASK
  }
  h1 ^= length
  h2 ^= length
  h1 = h1 + h2 & MASK
  h2 = h2 + h1 & MASK
  h1 = avalanche(h1)
  h2 = avalanche(h2)
  h1 = h1 + h2 & MASK
  h2 = h2 + h1 & MASK
  const out = Buffer.alloc(16)
  out.writeBigUInt64LE(h1, 0)
  out.writeBigUInt64LE(h2, 8)
  return out.toString("hex")
}

describe("murmur3", () => {
  it("gives the names that backy 2.5 gave", () => {
    const vectors: ReadonlyArray<readonly [Uint8Array, string]> = [
      [Buffer.from(""), "00000000000000000000000000000000"],
      [Buffer.from("abc"), "6778ad3f3f3f96b4522dca264174a23b"],
      [Buffer.from("hello"), "029bbd41b3a7d8cb191dae486a901e5b"],
      [Buffer.from("hello world".repeat(3)), "251f513a5b35ec13c831b7006402967d"],
      [new Uint8Array(1), "b55cff6ee5ab10468335f878aa2d6251"],
      [new Uint8Array(4 * 1024 * 1024), "c72b4ba82d1f51b71c8a18195ad33fc8"]
    ]
    for (const [bytes, expected] of vectors) assert.strictEqual(hex(bytes), expected)
  })

  it("agrees with the definition for every length of a last block", () => {
    for (let length = 0; length <= 64; length++) {
      for (const byte of [0, 1, 0x7f, 0x80, 0xff]) {
        const bytes = new Uint8Array(length).fill(byte)
        assert.strictEqual(hex(bytes), reference(bytes), `${length} bytes of ${byte}`)
      }
    }
  })

  it("agrees with the definition on any bytes at any alignment", () => {
    const bytes = FastCheck.uint8Array({ maxLength: 300, size: "max" })
    FastCheck.assert(
      FastCheck.property(bytes, FastCheck.nat(15), (content, shift) => {
        const moved = new Uint8Array(content.length + shift).subarray(shift)
        moved.set(content)
        assert.strictEqual(hex(moved), reference(content))
      }),
      { numRuns: 500 }
    )
  })
})
