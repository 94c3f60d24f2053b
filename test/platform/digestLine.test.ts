import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as DigestLine from "../../src/platform/digestLine.ts"
import { portable, toHex } from "../../src/platform/hash.ts"

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)
const lines = FastCheck.array(FastCheck.string()).map((all) => bytesOf(all.map((line) => `${line}\n`).join("")))
const words = FastCheck.constantFrom<Array<DigestLine.Word>>("# digest ", "digest ")

describe("the digest at a file's end", () => {
  it.prop("is the hash of all before it, in a line of its own", [words, lines], ([word, body]) => {
    const text = new TextDecoder().decode(DigestLine.seal(word, body).subarray(body.length))
    assert.strictEqual(text, `${word}${toHex(portable(body))}\n`)
    assert.deepStrictEqual(DigestLine.open(word, DigestLine.seal(word, body)), { _tag: "Whole", body })
  })

  it("tells every other file: each bit, each cut, each byte more", () => {
    const bytes = DigestLine.seal("digest ", bytesOf("one\ntwo\n"))
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const flipped = Uint8Array.from(bytes)
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      assert.notStrictEqual(DigestLine.open("digest ", flipped)._tag, "Whole", `bit ${bit}`)
    }
    for (let length = 0; length < bytes.length; length++) {
      assert.notStrictEqual(DigestLine.open("digest ", bytes.subarray(0, length))._tag, "Whole", `${length} bytes`)
    }
    for (let byte = 0; byte < 256; byte++) {
      assert.notStrictEqual(DigestLine.open("digest ", Uint8Array.of(...bytes, byte))._tag, "Whole", `byte ${byte}`)
    }
  })

  it("is not taken for another word's, nor out of the middle of a line", () => {
    assert.strictEqual(DigestLine.open("digest ", bytesOf("a\n"))._tag, "Absent")
    assert.strictEqual(DigestLine.open("# digest ", DigestLine.seal("digest ", bytesOf("a\n")))._tag, "Absent")
    assert.strictEqual(DigestLine.open("digest ", DigestLine.seal("digest ", bytesOf("a")))._tag, "Wrong")
    assert.strictEqual(DigestLine.open("digest ", new Uint8Array(0))._tag, "Absent")
  })
})
