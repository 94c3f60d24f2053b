import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as TelnetInput from "../../src/daemon/TelnetInput.ts"

const bytes = (...parts: ReadonlyArray<string | number>): Uint8Array =>
  Uint8Array.from(parts.flatMap((part) => typeof part === "number" ? [part] : [...new TextEncoder().encode(part)]))
const feed = (...packets: ReadonlyArray<Uint8Array>) => {
  const input = TelnetInput.make()
  return packets.flatMap((packet) => [...input.feed(packet)])
}
const lines = (...packets: ReadonlyArray<Uint8Array>) =>
  feed(...packets).flatMap((event) => event._tag === "Line" ? [event.text] : [])

describe("TelnetInput", () => {
  it("ends lines at LF, CR LF, CR NUL and CR", () => {
    assert.deepStrictEqual(lines(bytes("a\nb\r\nc\r", 0, "d\r", "e\n\n")), ["a", "b", "c", "d", "e", ""])
  })

  it("takes the protocol out and refuses what is offered or asked for", () => {
    const events = feed(
      bytes("jo", 255, 251, 24, "bs", 255, 253, 1, 255, 252, 3, 255, 250, 24, 0, "x", 255, 255, "y", 255, 240, "\r\n")
    )
    assert.deepStrictEqual(events, [
      { _tag: "Reply", bytes: [255, 254, 24] },
      { _tag: "Reply", bytes: [255, 252, 1] },
      { _tag: "Line", text: "jobs" }
    ])
  })

  it("knows backspace, Ctrl-C, Ctrl-D and interrupt", () => {
    assert.deepStrictEqual(lines(bytes("jox", 127, "bs\n")), ["jobs"])
    for (const end of [bytes(3), bytes(4), bytes(255, 244), bytes(255, 236)]) {
      assert.deepStrictEqual(feed(end), [{ _tag: "End" }])
    }
  })

  it("keeps no more than a line, and answers no more offers than a client needs", () => {
    assert.strictEqual(feed(new Uint8Array(100_000).fill(97)).filter(({ _tag }) => _tag === "TooLong").length, 97)
    const offers = Uint8Array.from(Array.from({ length: 1000 }, () => [255, 251, 24]).flat())
    assert.isBelow(feed(offers).length, 100)
  })

  it.prop("does not care how bytes are cut into packets", [
    FastCheck.uint8Array({ maxLength: 60 }),
    FastCheck.infiniteStream(FastCheck.integer({ min: 1, max: 4 }))
  ], ([all, sizes]) => {
    const packets: Array<Uint8Array> = []
    for (let at = 0; at < all.length;) {
      const size = sizes.next().value ?? 1
      packets.push(all.subarray(at, at + size))
      at += size
    }
    assert.deepStrictEqual(feed(...packets), feed(all))
  })
})
