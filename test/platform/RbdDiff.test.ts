import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as Stream from "effect/Stream"
import { readFileSync } from "node:fs"
import * as RbdDiff from "../../src/platform/RbdDiff.ts"

const MiB = 1024 * 1024

const sample = (name: string) => Uint8Array.from(readFileSync(new URL(`../services/samples/${name}`, import.meta.url)))

const join = (pieces: Iterable<Uint8Array>) => Uint8Array.from(Buffer.concat([...pieces]))

/** All events of a stream that arrives in pieces of the given lengths, or why it was refused. */
const parse = (
  bytes: Uint8Array,
  expected: RbdDiff.Range,
  pieceLength = bytes.length
): Either.Either<ReadonlyArray<RbdDiff.Event>, RbdDiff.RbdDiffInvalid> =>
  Either.gen(function*() {
    const parser = RbdDiff.make(expected)
    const events: Array<RbdDiff.Event> = []
    for (let at = 0; at < bytes.length; at += pieceLength) {
      events.push(...(yield* parser.push(bytes.subarray(at, at + pieceLength))))
    }
    yield* parser.finish()
    return events
  })

/** Pieces of one record joined again, so that streams cut in different ways can be compared. */
const whole = (events: ReadonlyArray<RbdDiff.Event>): ReadonlyArray<RbdDiff.Event> => {
  const joined: Array<RbdDiff.Event> = []
  for (const event of events) {
    const last = joined.at(-1)
    if (event._tag === "Write" && last?._tag === "Write" && last.offset + last.bytes.length === event.offset) {
      joined[joined.length - 1] = { ...last, bytes: join([last.bytes, event.bytes]) }
    } else {
      joined.push(event._tag === "Write" ? { ...event, bytes: Uint8Array.from(event.bytes) } : event)
    }
  }
  return joined
}

const SIZE = 1000

const range = FastCheck.record({
  from: FastCheck.option(FastCheck.string({ maxLength: 20 }), { nil: undefined }),
  to: FastCheck.option(FastCheck.string({ maxLength: 20 }), { nil: undefined })
}).map(({ from, to }): RbdDiff.Range => ({
  ...(from === undefined ? {} : { from }),
  ...(to === undefined ? {} : { to })
}))

const place = FastCheck.record({
  offset: FastCheck.integer({ min: 0, max: SIZE - 1 }),
  length: FastCheck.integer({ min: 1, max: 300 })
}).map(({ length, offset }) => ({ offset, length: Math.min(length, SIZE - offset) }))

const change: FastCheck.Arbitrary<RbdDiff.Event> = FastCheck.oneof(
  place.map((where): RbdDiff.Event => ({ _tag: "Zero", ...where })),
  FastCheck.tuple(place, FastCheck.integer({ min: 0, max: 255 })).map(([{ length, offset }, byte]): RbdDiff.Event => ({
    _tag: "Write",
    offset,
    bytes: new Uint8Array(length).fill(byte)
  }))
)

/** A header and changes in any order, which may overlap. */
const diff = FastCheck.tuple(range, FastCheck.array(change, { maxLength: 8 })).map(([names, changes]) => {
  const header: RbdDiff.Header = { _tag: "Header", ...names, size: SIZE }
  return { names, events: [header, ...changes] }
})

const u64 = (value: bigint) => {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(value)
  return bytes
}
const u32 = (value: number) => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}
const start = Buffer.from("rbd diff v1\n")
const size = Buffer.concat([Buffer.from("s"), u64(100n)])
const end = Buffer.from("e")
const record = (tag: string, offset: bigint, length: bigint) =>
  Buffer.concat([Buffer.from(tag), u64(offset), u64(length)])
const name = (tag: string, text: string) => Buffer.concat([Buffer.from(tag), u32(text.length), Buffer.from(text)])

describe("RbdDiff", () => {
  it.prop("parses what it encodes, in pieces of any length", [diff, FastCheck.integer({ min: 1, max: 50 })], ([
    { events, names },
    pieceLength
  ]) => {
    const bytes = join(RbdDiff.encode(events))
    assert.deepStrictEqual(Either.map(parse(bytes, names, pieceLength), whole), Either.right(whole(events)))
  })

  it.prop("refuses a stream that was cut at any byte, and one that goes on after its end", [diff], ([
    { events, names }
  ]) => {
    const bytes = join(RbdDiff.encode(events))
    for (let length = 0; length < bytes.length; length++) {
      assert.isTrue(Either.isLeft(parse(bytes.subarray(0, length), names)), `cut at ${length}`)
    }
    assert.isTrue(Either.isLeft(parse(join([bytes, Uint8Array.of(0)]), names)))
  })

  it.prop("gives nothing outside the image and never throws, whatever byte is wrong", [
    diff,
    FastCheck.nat(),
    FastCheck.integer({ min: 0, max: 255 }),
    FastCheck.integer({ min: 1, max: 50 })
  ], ([{ events, names }, position, byte, pieceLength]) => {
    const bytes = join(RbdDiff.encode(events))
    bytes[position % bytes.length] = byte
    const parser = RbdDiff.make(names)
    let limit = 0
    for (let at = 0; at < bytes.length; at += pieceLength) {
      const result = parser.push(bytes.subarray(at, at + pieceLength))
      if (Either.isLeft(result)) return
      for (const event of result.right) {
        if (event._tag === "Header") limit = event.size
        else assert.isAtMost(event.offset + (event._tag === "Zero" ? event.length : event.bytes.length), limit)
      }
    }
  })

  it.prop("answers garbage with an error", [FastCheck.uint8Array({ maxLength: 200 })], ([garbage]) => {
    assert.isTrue(Either.isLeft(parse(garbage, {})))
    assert.isTrue(Either.isLeft(parse(join([start, garbage]), {})))
  })

  const refused: ReadonlyArray<readonly [what: string, bytes: ReadonlyArray<Uint8Array>, reason: RegExp]> = [
    ["nothing", [], /cut/],
    ["version 2", [Buffer.from("rbd diff v2\n"), size, end], /begin/],
    ["an image in version 2", [Buffer.from("rbd image v2\n"), size, end], /begin/],
    ["a missing size", [start, end], /without the image's size/],
    ["data before the size", [start, record("z", 0n, 1n), size, end], /before the image's size/],
    ["a size after data", [start, size, record("z", 0n, 1n), size, end], /after data/],
    ["two sizes", [start, size, size, end], /second size/],
    ["a size of 2^64-1", [start, Buffer.from("s"), u64(2n ** 64n - 1n), end], /18446744073709551615/],
    ["a record that ends behind the image", [start, size, record("z", 50n, 51n), end], /51 bytes at 50/],
    ["a record whose end overflows", [start, size, record("w", 2n ** 64n - 1n, 2n), end], /at 18446744073709551615/],
    ["an unknown record", [start, size, Buffer.from("x"), end], /"x"/],
    ["bytes after the end", [start, size, end, end], /after the end/],
    ["a name where none was asked for", [start, name("f", "a"), size, end], /from-snapshot is "a"/],
    ["a name of 4 GiB", [start, Buffer.from("t"), u32(2 ** 32 - 1)], /4294967295 bytes/],
    ["a name that is not UTF-8", [start, Buffer.from("t"), u32(1), Uint8Array.of(0xff), size, end], /UTF-8/]
  ]
  for (const [what, pieces, reason] of refused) {
    it(`refuses ${what}`, () => {
      const result = parse(join(pieces), {})
      assert.match(Either.isLeft(result) ? result.left.message : "accepted", reason)
    })
  }

  const asked = { from: "a", to: "b" }
  const misnamed: ReadonlyArray<readonly [what: string, bytes: ReadonlyArray<Uint8Array>, reason: RegExp]> = [
    ["another start", [start, name("f", "x"), name("t", "b"), size, end], /from-snapshot is "x", not "a"/],
    ["another end", [start, name("f", "a"), name("t", "x"), size, end], /to-snapshot is "x", not "b"/],
    ["no start: it would be a full export", [start, name("t", "b"), size, end], /from-snapshot is not named/],
    ["no end: it would be of the running image", [start, name("f", "a"), size, end], /to-snapshot is not named/],
    ["two starts", [start, name("f", "a"), name("f", "a"), name("t", "b"), size, end], /second from-snapshot/]
  ]
  for (const [what, pieces, reason] of misnamed) {
    it(`refuses ${what}`, () => {
      const result = parse(join(pieces), asked)
      assert.match(Either.isLeft(result) ? result.left.message : "accepted", reason)
    })
  }

  it("accepts records of any length, place and order", () => {
    const bytes = new Uint8Array(9 * MiB + 1).fill(7)
    const events: ReadonlyArray<RbdDiff.Event> = [
      { _tag: "Header", to: "b", size: 40 * MiB },
      { _tag: "Write", offset: 20 * MiB + 5, bytes },
      { _tag: "Zero", offset: 3, length: 40 * MiB - 3 },
      { _tag: "Write", offset: 0, bytes: bytes.subarray(0, 1) }
    ]
    const parsed = parse(join(RbdDiff.encode(events)), { to: "b" }, 65_536)
    assert.isTrue(Either.isRight(parsed))
    const again = join(RbdDiff.encode(whole(Either.getOrElse(parsed, () => []))))
    assert.isTrue(Buffer.from(again).equals(join(RbdDiff.encode(events))))
  })

  it("reads what Ceph wrote", () => {
    const full = Either.getOrThrow(parse(sample("tiny-full.rbddiff"), { to: "backy-1" }))
    assert.deepStrictEqual(full[0], { _tag: "Header", to: "backy-1", size: 25_165_824 })
    const increment = Either.getOrThrow(parse(sample("tiny-incr.rbddiff"), { from: "backy-1", to: "backy-2" }))
    assert.deepStrictEqual(increment[0], { _tag: "Header", from: "backy-1", to: "backy-2", size: 27_262_976 })
    assert.isTrue(Either.isLeft(parse(sample("tiny-incr.rbddiff"), { to: "backy-2" })))
    const unchanged = Either.getOrThrow(parse(sample("tiny-nochange-head.rbddiff"), { from: "backy-2" }))
    assert.deepStrictEqual(unchanged.map(({ _tag }) => _tag), ["Header"])
  })

  it.effect("as a stream fails at its end when the end mark is missing, but first with the stream's own error", () =>
    Effect.gen(function*() {
      const cut = Stream.make(start, size)
      const missing = yield* Effect.flip(Stream.runDrain(RbdDiff.decode({})(cut)))
      assert.match(missing.message, /cut/)
      const broken = Stream.concat(cut, Stream.fail("rbd exited with 1" as const))
      assert.strictEqual(yield* Effect.flip(Stream.runDrain(RbdDiff.decode({})(broken))), "rbd exited with 1")
    }))
})
