/**
 * The stream that `rbd export-diff` writes (version 1): what changed in an image between two snapshots. Pure. The format
 * has no checksum, no length and an end mark of one byte, so a stream counts only when `finish` has accepted it **and**
 * the program that wrote it succeeded.
 */
import * as Chunk from "effect/Chunk"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Stream from "effect/Stream"

/** The stream is not a whole, consistent diff between the snapshots that were asked for. */
export class RbdDiffInvalid extends Data.TaggedError("RbdDiffInvalid")<{
  /** Byte of the stream at which this was noticed. */
  readonly position: number
  readonly reason: string
}> {
  override get message() {
    return `the diff stream of rbd is invalid at byte ${this.position}: ${this.reason}`
  }
}

/** The snapshots between which the diff was asked for; without `from` everything since the image was made. */
export interface Range {
  readonly from?: string | undefined
  readonly to?: string | undefined
}

/** What comes before the data. `size`: bytes of the image at the end point. */
export interface Header extends Range {
  readonly _tag: "Header"
  readonly size: number
}

/** Data. Long records come in several pieces; `bytes` is a view into what was pushed. */
export interface Write {
  readonly _tag: "Write"
  readonly offset: number
  readonly bytes: Uint8Array
}

/** A range that reads as zeros. */
export interface Zero {
  readonly _tag: "Zero"
  readonly offset: number
  readonly length: number
}

/** A header, then data in any order; of overlapping records the later one counts. */
export type Event = Header | Write | Zero

/** Takes a stream in pieces of any size. After a failure it must not be used again. */
export interface Parser {
  /** The events that these bytes complete. The bytes may be reused only when the events have been dealt with. */
  readonly push: (bytes: Uint8Array) => Either.Either<ReadonlyArray<Event>, RbdDiffInvalid>
  /** To be called when the stream has ended: fails unless it ended behind its end mark. */
  readonly finish: () => Either.Either<void, RbdDiffInvalid>
}

const MAGIC = "rbd diff v1\n"

/** Ceph's own names are far shorter. */
const MAX_NAME = 4096

/** What the next bytes are. A name or a size belongs to the record whose tag came before. */
type Part = "magic" | "tag" | "name length" | "name" | "size" | "range" | "payload" | "nothing"

/** A parser for the diff of a known range: a stream of any other range is refused. */
export const make = (expected: Range): Parser => {
  const scratch = Buffer.alloc(MAX_NAME)
  let part: Part = "magic"
  let tag = ""
  let needed = MAGIC.length
  let collected = 0
  let position = 0
  let header: { from?: string; to?: string; size?: number } = {}
  let data = false
  let payload = { offset: 0, left: 0 }

  const expect = (next: Part, bytes: number): void => {
    part = next
    needed = bytes
    collected = 0
  }

  const startRecord = (): string | undefined => {
    switch (tag) {
      case "f":
      case "t":
        return metadata(tag === "f" ? "from" : "to", "name length", 4)
      case "s":
        return metadata("size", "size", 8)
      case "w":
      case "z":
        if (header.size === undefined) return "data before the image's size"
        expect("range", 16)
        return
      case "e":
        if (header.size === undefined) return "it ends without the image's size"
        expect("nothing", 0)
        return
      default:
        return `unknown record ${JSON.stringify(tag)}`
    }
  }

  const metadata = (key: "from" | "to" | "size", next: Part, bytes: number): string | undefined => {
    if (data) return "a name or a size after data"
    if (header[key] !== undefined) return `a second ${key === "size" ? "size" : `${key}-snapshot`}`
    expect(next, bytes)
    return
  }

  const takeName = (): string | undefined => {
    let name: string
    try {
      name = new TextDecoder("utf-8", { fatal: true }).decode(scratch.subarray(0, needed))
    } catch {
      return "a snapshot's name is not UTF-8"
    }
    const key = tag === "f" ? "from" : "to"
    if (name !== expected[key]) {
      return `its ${key}-snapshot is ${JSON.stringify(name)}, not ${JSON.stringify(expected[key] ?? null)}`
    }
    header = { ...header, [key]: name }
    expect("tag", 1)
    return
  }

  const takeSize = (): string | undefined => {
    const size = scratch.readBigUInt64LE(0)
    if (size > Number.MAX_SAFE_INTEGER) return `an image of ${size} bytes`
    header = { ...header, size: Number(size) }
    expect("tag", 1)
    return
  }

  /** The first data, or the end, is where the metadata must be complete. */
  const takeHeader = (events: Array<Event>): string | undefined => {
    if (data || (part !== "range" && part !== "nothing")) return
    for (const key of ["from", "to"] as const) {
      if (header[key] !== expected[key]) return `its ${key}-snapshot is not named`
    }
    data = true
    const { size = 0, ...range } = header
    events.push({ _tag: "Header", ...range, size })
    return
  }

  const takeRange = (events: Array<Event>): string | undefined => {
    const offset = scratch.readBigUInt64LE(0)
    const length = scratch.readBigUInt64LE(8)
    if (offset + length > BigInt(header.size ?? 0)) {
      return `a record of ${length} bytes at ${offset} in an image of ${header.size} bytes`
    }
    if (tag === "w") {
      payload = { offset: Number(offset), left: Number(length) }
      expect(payload.left > 0 ? "payload" : "tag", 1)
    } else {
      if (length > 0n) events.push({ _tag: "Zero", offset: Number(offset), length: Number(length) })
      expect("tag", 1)
    }
    return
  }

  /** Deals with a part that is complete in `scratch`; gives a reason to refuse the stream. */
  const take = (events: Array<Event>): string | undefined => {
    switch (part) {
      case "magic":
        if (scratch.toString("latin1", 0, MAGIC.length) !== MAGIC) return "it does not begin with \"rbd diff v1\""
        expect("tag", 1)
        return
      case "tag":
        tag = scratch.toString("latin1", 0, 1)
        return startRecord() ?? takeHeader(events)
      case "name length": {
        const length = scratch.readUInt32LE(0)
        if (length > MAX_NAME) return `a snapshot's name of ${length} bytes`
        expect("name", length)
        return length === 0 ? takeName() : undefined
      }
      case "name":
        return takeName()
      case "size":
        return takeSize()
      default:
        return takeRange(events)
    }
  }

  const invalid = (reason: string) => Either.left(new RbdDiffInvalid({ position, reason }))

  const push: Parser["push"] = (bytes) => {
    const events: Array<Event> = []
    for (let at = 0; at < bytes.length;) {
      if (part === "nothing") return invalid("bytes after the end mark")
      if (part === "payload") {
        const piece = bytes.subarray(at, at + payload.left)
        events.push({ _tag: "Write", offset: payload.offset, bytes: piece })
        payload = { offset: payload.offset + piece.length, left: payload.left - piece.length }
        at += piece.length
        position += piece.length
        if (payload.left === 0) expect("tag", 1)
        continue
      }
      const piece = bytes.subarray(at, at + needed - collected)
      scratch.set(piece, collected)
      collected += piece.length
      at += piece.length
      position += piece.length
      if (collected < needed) continue
      const reason = take(events)
      if (reason !== undefined) return invalid(reason)
    }
    return Either.right(events)
  }

  return {
    push,
    finish: () => part === "nothing" ? Either.void : invalid("it ends before its end mark: it was cut")
  }
}

/**
 * The events of a stream of bytes. Fails with `RbdDiffInvalid` at the first byte that cannot be right, and at the end
 * when the end mark is missing; an error of the stream itself comes first.
 */
export const decode =
  (expected: Range) => <E, R>(bytes: Stream.Stream<Uint8Array, E, R>): Stream.Stream<Event, E | RbdDiffInvalid, R> =>
    Stream.suspend(() => {
      const parser = make(expected)
      // not piece by piece: each step of a stream costs as much as parsing a few hundred KiB
      const parse = (pieces: Chunk.Chunk<Uint8Array>): Either.Either<Chunk.Chunk<Event>, RbdDiffInvalid> =>
        Either.gen(function*() {
          const events: Array<Event> = []
          for (const piece of pieces) for (const event of yield* parser.push(piece)) events.push(event)
          return Chunk.unsafeFromArray(events)
        })
      return bytes.pipe(
        Stream.mapChunksEffect(parse),
        Stream.concat(Stream.drain(Stream.fromEffect(Effect.suspend(parser.finish))))
      )
    })

/** The bytes of a diff, in pieces: what Ceph would write, for the in-memory implementation and tests. */
export function* encode(events: Iterable<Event>): Generator<Uint8Array> {
  yield Buffer.from(MAGIC)
  for (const event of events) {
    switch (event._tag) {
      case "Header":
        if (event.from !== undefined) yield nameRecord("f", event.from)
        if (event.to !== undefined) yield nameRecord("t", event.to)
        yield record("s", event.size)
        break
      case "Write":
        yield record("w", event.offset, event.bytes.length)
        yield event.bytes
        break
      case "Zero":
        yield record("z", event.offset, event.length)
    }
  }
  yield Buffer.from("e")
}

const record = (tag: string, ...numbers: ReadonlyArray<number>): Uint8Array => {
  const bytes = Buffer.alloc(1 + numbers.length * 8, tag)
  numbers.forEach((number, index) => bytes.writeBigUInt64LE(BigInt(number), 1 + index * 8))
  return bytes
}

const nameRecord = (tag: string, name: string): Uint8Array => {
  const text = Buffer.from(name)
  const bytes = Buffer.alloc(5 + text.length, tag)
  bytes.writeUInt32LE(text.length, 1)
  bytes.set(text, 5)
  return bytes
}
