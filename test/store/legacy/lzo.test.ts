import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import { createHash } from "node:crypto"
import { readdirSync, readFileSync } from "node:fs"
import { decode, type LzoFault } from "../../../src/store/legacy/lzo.ts"
import { assemble, container, encode, isEncodable, type Step } from "../../support/lzoEncoder.ts"

const fixtures = new URL("../../fixtures/lzo/", import.meta.url)
const samples = readdirSync(fixtures).filter((name) => name.endsWith(".lzo"))
const sample = (name: string): Uint8Array => readFileSync(new URL(name, fixtures))
const bytes = (hex: string): Uint8Array => Buffer.from(hex.replaceAll(" ", ""), "hex")
const LIMIT = 4 * 1024 * 1024

const faultOf = (input: Uint8Array, limit = LIMIT): LzoFault | undefined =>
  Either.match(decode(input, limit), { onLeft: (error) => error.fault, onRight: () => undefined })

const fnv = (content: Uint8Array): string => {
  let hash = 0x811c9dc5
  for (const byte of content) hash = Math.imul(hash ^ byte, 0x01000193)
  return (hash >>> 0).toString(16).padStart(8, "0")
}

describe("decode", () => {
  it("reads the examples of python-lzo", () => {
    const content = (hex: string) => Buffer.from(Either.getOrThrow(decode(bytes(hex), LIMIT))).toString("latin1")
    assert.strictEqual(content("f0 00000000 110000"), "")
    assert.strictEqual(content("f0 00000001 12 00 110000"), "\0")
    assert.strictEqual(content("f1 00000003 14 616263 110000"), "abc")
    assert.strictEqual(
      content("f0 00000021 08 68656c6c6f20776f726c64 2a2800 07 656c6c6f20776f726c64 110000"),
      "hello world".repeat(3)
    )
  })

  it("reads what liblzo2 compressed, at both of its levels", () => {
    const sums = JSON.parse(readFileSync(new URL("SHA256SUMS.json", fixtures), "utf8"))
    assert.isAtLeast(samples.length, 20)
    for (const name of samples) {
      const content = Either.getOrThrow(decode(sample(name), LIMIT))
      const expected = sums[name.replace(/\.\d+\.lzo$/, "")]
      assert.strictEqual(content.length, expected.length, name)
      assert.strictEqual(createHash("sha256").update(content).digest("hex"), expected.sha256, name)
    }
  })

  it("agrees with liblzo2 on hundreds of damaged streams", () => {
    const lines = readFileSync(new URL("verdicts.txt", fixtures), "utf8").trimEnd().split("\n")
    assert.isAtLeast(lines.length, 400)
    for (const line of lines) {
      const [hex = "", room = "", verdict = "", hash] = line.split(" ")
      if (hash === undefined) {
        assert.isTrue(Either.isLeft(decode(container(bytes(hex), Number(room)), LIMIT)), line)
      } else {
        const content = Either.getOrThrow(decode(container(bytes(hex), Number(verdict)), LIMIT))
        assert.strictEqual(fnv(content), hash, line)
      }
    }
  })

  it("says what is wrong with a damaged container", () => {
    assert.strictEqual(faultOf(bytes("")), "no-header")
    assert.strictEqual(faultOf(bytes("f0 00000000 1100")), "no-header")
    assert.strictEqual(faultOf(bytes("f2 00000000 110000")), "no-header")
    assert.strictEqual(faultOf(bytes("f0 ffffffff 110000")), "too-large")
    assert.strictEqual(faultOf(bytes("f0 00000003 14 616263 110000"), 2), "too-large")
    assert.strictEqual(faultOf(bytes("f0 00000003 14 616263 1100")), "input-overrun")
    assert.strictEqual(faultOf(bytes("f0 00000003 14 6162")), "input-overrun")
    assert.strictEqual(faultOf(bytes("f0 00000002 14 616263 110000")), "output-overrun")
    assert.strictEqual(faultOf(bytes("f0 00000004 14 616263 110000")), "wrong-length")
    assert.strictEqual(faultOf(bytes("f0 00000003 14 616263 110000 00")), "trailing-bytes")
    assert.strictEqual(faultOf(bytes("f0 00000006 14 616263 2c0c00 110000")), "lookbehind-overrun")
  })

  it("explains itself in one sentence", () => {
    const error = Either.flip(decode(bytes("f0 00000003 14 616263 1100"), LIMIT)).pipe(Either.getOrThrow)
    assert.strictEqual(error.message, "the compressed bytes end in the middle of the stream")
  })

  it("refuses a length of endless zeros without a loop or memory", () => {
    const zeros = new Uint8Array(LIMIT)
    assert.strictEqual(faultOf(container(zeros, LIMIT)), "input-overrun")
    zeros.set([18, 0, 32])
    zeros[LIMIT - 1] = 1
    assert.strictEqual(faultOf(container(zeros, LIMIT)), "input-overrun")
    zeros.set([1, 0, 0], LIMIT - 3)
    assert.strictEqual(faultOf(container(zeros, LIMIT)), "output-overrun")
  })

  it("reads every content back that was compressed", () => {
    // pieces that repeat, so that copies of all kinds occur
    const piece = FastCheck.oneof(
      FastCheck.uint8Array({ maxLength: 40 }),
      FastCheck.nat(2000).map((length) => new Uint8Array(length)),
      FastCheck.constantFrom("abc", "hello world, hello", "0123456789".repeat(9)).map((text) => Buffer.from(text))
    )
    FastCheck.assert(FastCheck.property(FastCheck.array(piece, { maxLength: 30, size: "max" }), (pieces) => {
      const content = new Uint8Array(Buffer.concat(pieces))
      const decoded = Either.getOrThrow(decode(container(encode(content), content.length), content.length))
      assert.isTrue(Buffer.from(decoded).equals(content))
    }))
  })

  it("follows every sequence of instructions, in every form, as the definition says", () => {
    const step = FastCheck.record({
      literals: FastCheck.oneof(FastCheck.uint8Array({ maxLength: 5 }), FastCheck.uint8Array({ maxLength: 300 })),
      distance: FastCheck.oneof(FastCheck.integer({ min: 1, max: 12 }), FastCheck.integer({ min: 1, max: 0xbfff })),
      length: FastCheck.oneof(FastCheck.integer({ min: 2, max: 9 }), FastCheck.integer({ min: 3, max: 20000 })),
      long: FastCheck.boolean()
    })
    FastCheck.assert(
      FastCheck.property(
        FastCheck.array(step, { maxLength: 40, size: "max" }),
        FastCheck.uint8Array(),
        (steps, last) => {
          const content: Array<number> = []
          const valid: Array<Step> = []
          for (const step of steps) {
            const literals = content.length === 0 && step.literals.length === 0 ? Uint8Array.of(7) : step.literals
            const distance = Math.min(step.distance, content.length + literals.length)
            const fitting = { ...step, literals, distance }
            if (!isEncodable(fitting, literals.length)) continue
            valid.push(fitting)
            content.push(...literals)
            for (let i = 0; i < step.length; i++) content.push(content[content.length - distance]!)
          }
          content.push(...last)
          const stream = container(assemble(valid, last), content.length)
          assert.isTrue(Buffer.from(Either.getOrThrow(decode(stream, content.length))).equals(Uint8Array.from(content)))
        }
      )
    )
  })

  it("stays within its limits on any damage, and fails only as announced", () => {
    const mutation = FastCheck.record({
      at: FastCheck.oneof(FastCheck.nat(20), FastCheck.nat(40_000)),
      cut: FastCheck.nat(3),
      insert: FastCheck.uint8Array({ maxLength: 3 })
    })
    const border = 64
    FastCheck.assert(
      FastCheck.property(
        FastCheck.constantFrom(...samples),
        FastCheck.array(mutation, { minLength: 1, maxLength: 4 }),
        FastCheck.nat(400_000),
        (name, mutations, limit) => {
          let damaged = Buffer.from(sample(name))
          for (const { at, cut, insert } of mutations) {
            // the header stays as it is, so that the stream itself is reached
            const place = 5 + at % (damaged.length - 4)
            damaged = Buffer.concat([damaged.subarray(0, place), insert, damaged.subarray(place + cut)])
          }
          const memory = new Uint8Array(limit + 2 * border).fill(0xa5)
          const result = decode(damaged, limit, memory.subarray(border, border + limit))
          if (Either.isRight(result)) {
            assert.isAtMost(result.right.length, limit)
            assert.strictEqual(result.right.length, damaged.readUInt32BE(1))
          }
          assert.isTrue(memory.subarray(0, border).every((byte) => byte === 0xa5))
          assert.isTrue(memory.subarray(-border).every((byte) => byte === 0xa5))
        }
      ),
      { numRuns: 1000 }
    )
  })

  it("gives the announced length or a fault on bytes at random", () => {
    const stream = FastCheck.uint8Array({ maxLength: 200, size: "max" })
    FastCheck.assert(
      FastCheck.property(stream, FastCheck.nat(5000), (stream, length) => {
        const result = decode(container(stream, length), 5000)
        assert.isTrue(Either.isLeft(result) || result.right.length === length)
        assert.isTrue(Either.isLeft(decode(stream, 0)) || stream.subarray(1, 5).every((byte) => byte === 0))
      }),
      { numRuns: 3000 }
    )
  })

  it("decodes into the memory it is given, or into new memory where that is too small", () => {
    const input = bytes("f0 00000003 14 616263 110000")
    const scratch = new Uint8Array(8)
    assert.strictEqual(Either.getOrThrow(decode(input, LIMIT, scratch)).buffer, scratch.buffer)
    assert.notStrictEqual(Either.getOrThrow(decode(input, LIMIT, scratch.subarray(0, 2))).buffer, scratch.buffer)
  })
})
