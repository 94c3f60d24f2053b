import { assert, describe, it } from "@effect/vitest"
import { createHash } from "node:crypto"
import { deflateSync } from "node:zlib"
import * as Goals from "./goals.ts"
import * as Markdown from "./markdown.ts"
import * as MixedImage from "./mixedImage.ts"
import { median, spread } from "./statistics.ts"

const filled = (kind: MixedImage.Kind, name: string, length = 64 * 1024): Uint8Array => {
  const block = new Uint8Array(length)
  MixedImage.fill(block, kind, name)
  return block
}

describe("the mixed image", () => {
  it("is the same for a seed, on every machine", () => {
    const kinds = MixedImage.kindsOf(256, 1)
    const hash = createHash("sha256").update(kinds.join())
    for (const kind of ["text", "binary", "random"] as const) hash.update(filled(kind, "1 0"))
    assert.strictEqual(hash.digest("hex").slice(0, 16), "788ec32992d98642")
    assert.deepStrictEqual(MixedImage.kindsOf(256, 1), kinds)
    assert.notDeepEqual(MixedImage.kindsOf(256, 2), kinds)
  })

  it("holds each kind as often as promised", () => {
    const count = (kind: MixedImage.Kind) => MixedImage.kindsOf(1000, 7).filter((one) => one === kind).length
    assert.deepStrictEqual([count("zero"), count("text"), count("binary"), count("random")], [350, 300, 200, 150])
  })

  it("holds what compresses well, and what does not", () => {
    const rest = (kind: MixedImage.Kind) => deflateSync(filled(kind, "x")).length / (64 * 1024)
    assert.isBelow(rest("text"), 0.5)
    assert.isBelow(rest("binary"), 0.5)
    assert.isAbove(rest("random"), 0.99)
    assert.isTrue(filled("zero", "x").every((byte) => byte === 0))
    assert.notDeepEqual(filled("text", "x"), filled("text", "y"))
  })

  it("changes as many blocks as asked for, each once", () => {
    assert.lengthOf(new Set(MixedImage.someOf(256, 0.05, 3)), 13)
    assert.lengthOf(MixedImage.someOf(10, 0.01, 3), 1)
  })
})

describe("the report", () => {
  it("shows three digits of what it has", () => {
    assert.deepStrictEqual([0.0912, 1.234, 12.34, 123.4].map(Markdown.seconds), ["91 ms", "1.23 s", "12.3 s", "123 s"])
    assert.deepStrictEqual([0, 1023, 1536, 370 * 2 ** 20].map(Markdown.bytes), ["0 B", "1023 B", "1.50 KiB", "370 MiB"])
    assert.strictEqual(Markdown.count(2_621_440), "2,621,440")
  })

  it("lines numbers up on the right, and fills short rows", () => {
    assert.strictEqual(
      Markdown.table(["", "a", "b"], [["x", "1"]], ["b"]),
      "|  | a | b |\n| --- | ---: | --- |\n| x | 1 |  |"
    )
  })

  it("takes the run in the middle, and says how far they lie apart", () => {
    assert.strictEqual(median([3, 1, 2]), 2)
    assert.strictEqual(median([4, 1, 2, 3]), 2.5)
    assert.strictEqual(spread([9, 10, 12]), 0.3)
  })

  it("judges by the best of the others, and only what was measured", () => {
    const goals = Goals.judge({
      seconds: (operation, name) => operation === "verify" ? { backy: 0.5, a: 2, b: 1 }[name] : undefined,
      cpu: () => undefined,
      phase: () => undefined,
      memory: 2 ** 28,
      stored: () => undefined,
      peers: ["a", "b"]
    })
    assert.deepStrictEqual(goals.map(({ met, reached, what }) => [what, reached, met]), [
      ["verify", "0.50 × (500 ms)", false],
      ["peak memory", "256 MiB", false]
    ])
  })
})
