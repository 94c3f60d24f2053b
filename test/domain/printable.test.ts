import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import { escaped, isUnsafe, printable, printableLines } from "../../src/domain/printable.ts"
import * as Yaml from "../../src/domain/Yaml.ts"

/** What must never reach a terminal, written out: not the class that the code has. */
const forbidden = [
  ...Array.from({ length: 0x20 }, (_, code) => code),
  ...Array.from({ length: 0x21 }, (_, code) => 0x7f + code),
  0x061c,
  0x200e,
  0x200f,
  0x2028,
  0x2029,
  0x202a,
  0x202b,
  0x202c,
  0x202d,
  0x202e,
  0x2066,
  0x2067,
  0x2068,
  0x2069,
  0xd800,
  0xdbff,
  0xdc00,
  0xdfff
].map((code) => String.fromCharCode(code))

const nasty = FastCheck.array(FastCheck.oneof(
  FastCheck.constantFrom(...forbidden),
  FastCheck.string({ unit: "grapheme", maxLength: 3 })
)).map((parts) => parts.join(""))

const isClean = (text: string) =>
  text.isWellFormed() && forbidden.every((character) => !character.isWellFormed() || !text.includes(character))

describe("text for a terminal", () => {
  it("has every dangerous character spelt out", () => {
    for (const character of forbidden) {
      assert.isTrue(isUnsafe(`a${character}`))
      const code = character.charCodeAt(0).toString(16)
      assert.strictEqual(
        printable(`a${character}b`),
        code.length <= 2 ? `a\\x${code.padStart(2, "0")}b` : `a\\u${code.padStart(4, "0")}b`
      )
    }
  })

  it("stays as it is otherwise, in every language", () => {
    for (const text of ["", "web01", "Größe 😀 e\u0301", "אבג", "日本語", "a\u200db", "~"]) {
      assert.strictEqual(printable(text), text)
      assert.isFalse(isUnsafe(text))
    }
  })

  it.prop("is one line without anything dangerous, or as many as it had", [nasty], ([text]) => {
    assert.isTrue(isClean(printable(text)))
    assert.strictEqual(printable(printable(text)), printable(text))
    assert.deepStrictEqual(printableLines(text), text.split("\n").map(printable))
  })

  it.prop("comes back from JSON and YAML as it was", [nasty], ([text]) => {
    const json = escaped(JSON.stringify({ [text]: [text] }, null, 2))
    assert.isTrue(isClean(json.replaceAll("\n", "")))
    assert.deepStrictEqual(JSON.parse(json), { [text]: [text] })
    const yaml = Yaml.stringify({ key: [text] })
    assert.isTrue(isClean(yaml.replaceAll("\n", "")), yaml)
    // no YAML has halves of characters
    if (text.isWellFormed()) {
      assert.deepStrictEqual(Either.getOrThrow(Yaml.parse(yaml)).value, { key: [text] })
    }
  })
})
