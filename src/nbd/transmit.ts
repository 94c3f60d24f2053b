/** The server's part after the handshake: requests in, replies out, several at a time. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Option from "effect/Option"
import type { Connection } from "./connection.ts"
import { type Export, Fault } from "./Export.ts"
import type { ConnectionEnded } from "./Inbox.ts"
import { type Agreement, ALLOCATION_ID } from "./negotiate.ts"
import * as Protocol from "./protocol.ts"

/**
 * Bytes of one client's requests that are worked on at a time. What it does not take keeps its next requests from being
 * read, and costs nobody else anything. A single request may be larger by what it touches of two further units.
 */
export const BUDGET = 32 * 1024 * 1024
/** Of this at least, so that there are no more than so many requests at a time. */
const LEAST = BUDGET / 256
/** Content up to this length is copied, and does not keep all of its unit in memory. */
const SMALL = 64 * 1024
/** Extents that one reply on allocation tells at most. */
const MAX_EXTENTS = 1024

const { CHUNK, COMMAND, COMMAND_FLAG: FLAG } = Protocol

const ZEROS = Buffer.alloc(1024 * 1024)

/** Zeros as buffers that all share the same memory. */
const zeros = (length: number): ReadonlyArray<Uint8Array> =>
  Array.from(
    { length: Math.ceil(length / ZEROS.length) },
    (_, index) => ZEROS.subarray(0, Math.min(ZEROS.length, length - index * ZEROS.length))
  )

/** What a request costs of the budget while it is worked on. */
const costOf = ({ unit }: Export, { command, length, offset }: Protocol.Request): number => {
  if (length > Protocol.MAX_PAYLOAD) return LEAST
  const touched = command === COMMAND.read && length > SMALL
    ? (Math.floor((offset + length - 1) / unit) - Math.floor(offset / unit) + 1) * unit
    : command === COMMAND.read || command === COMMAND.write
    ? length
    : 0
  return Math.min(BUDGET, Math.max(LEAST, touched))
}

const flagsOf = ({ disk, structured }: Agreement, command: number): number => {
  const fua = disk.writer === undefined ? 0 : FLAG.fua
  switch (command) {
    case COMMAND.read:
      return fua | (structured ? FLAG.df : 0)
    case COMMAND.writeZeroes:
      return fua | FLAG.noHole
    case COMMAND.blockStatus:
      return fua | FLAG.reqOne
    default:
      return fua
  }
}

const CHANGES: ReadonlySet<number> = new Set([COMMAND.write, COMMAND.trim, COMMAND.writeZeroes])
const KNOWN: ReadonlySet<number> = new Set(Object.values(COMMAND))

/** Why a request cannot be done, whatever the disk holds. */
const problem = (agreement: Agreement, { command, flags, length, offset }: Protocol.Request): Fault | undefined => {
  const { disk } = agreement
  const invalid = (reason: string) => new Fault({ code: "EINVAL", reason })
  if (!KNOWN.has(command)) return invalid("there is no such command")
  if ((flags & ~flagsOf(agreement, command)) !== 0) return invalid("the command has no such flag")
  if (CHANGES.has(command) && disk.writer === undefined) {
    return new Fault({ code: "EPERM", reason: "the export is read-only" })
  }
  if (command === COMMAND.flush) {
    return disk.writer === undefined || offset !== 0 || length !== 0 ? invalid("there is nothing to flush") : undefined
  }
  if (command === COMMAND.blockStatus && !agreement.allocation) return invalid("no context was agreed upon")
  if (length === 0) return invalid("the range is empty")
  if (offset + length > disk.size) {
    const code = command === COMMAND.write || command === COMMAND.writeZeroes ? "ENOSPC" : "EINVAL"
    return new Fault({ code, reason: "the range ends behind the end" })
  }
  if ((command === COMMAND.read || command === COMMAND.write) && length > Protocol.MAX_PAYLOAD) {
    return invalid(`a request may have ${Protocol.MAX_PAYLOAD} bytes`)
  }
  return undefined
}

/** The content of a range behind a head that `head` makes, with room for small content. */
const withContent = (
  pieces: ReadonlyArray<{ readonly length: number; readonly bytes: Uint8Array | undefined }>,
  length: number,
  head: (room: number) => Buffer
): ReadonlyArray<Uint8Array> => {
  if (length > SMALL) return [head(0), ...pieces.flatMap(({ bytes, length }) => bytes ?? zeros(length))]
  const reply = head(length)
  let at = reply.length - length
  for (const piece of pieces) {
    if (piece.bytes === undefined) reply.fill(0, at, at + piece.length)
    else reply.set(piece.bytes, at)
    at += piece.length
  }
  return [reply]
}

/** The chunks of a structured reply to a read: holes are only named, unless it must not be cut. */
const readChunks = (
  { cookie, flags, length, offset }: Protocol.Request,
  pieces: ReadonlyArray<{ readonly length: number; readonly bytes: Uint8Array | undefined }>
): ReadonlyArray<Uint8Array> => {
  const chunks: Array<Uint8Array> = []
  let at = offset
  const end = offset + length
  const place = (chunk: Buffer) => {
    chunk.writeBigUInt64BE(BigInt(at), Protocol.STRUCTURED_HEAD)
    return chunk
  }
  const addData = (run: typeof pieces) => {
    const total = run.reduce((sum, piece) => sum + piece.length, 0)
    const done = at + total === end ? Protocol.DONE : 0
    chunks.push(
      ...withContent(
        run,
        total,
        (room) => place(Protocol.writeStructured(cookie, done, CHUNK.offsetData, 8 + total, 8 + room))
      )
    )
    at += total
  }
  if ((flags & FLAG.df) !== 0) {
    addData(pieces)
    return chunks
  }
  for (let index = 0; index < pieces.length;) {
    const { bytes, length } = pieces[index]!
    if (bytes === undefined) {
      const done = at + length === end ? Protocol.DONE : 0
      const chunk = place(Protocol.writeStructured(cookie, done, CHUNK.offsetHole, 12))
      chunk.writeUInt32BE(length, Protocol.STRUCTURED_HEAD + 8)
      chunks.push(chunk)
      at += length
      index++
      continue
    }
    let next = index + 1
    while (pieces[next]?.bytes !== undefined) next++
    addData(pieces.slice(index, next))
    index = next
  }
  return chunks
}

/** The reply to a question on allocation. */
const statusChunk = (disk: Export, { cookie, flags, length, offset }: Protocol.Request): Buffer => {
  const { data, hole, zero } = Protocol.ALLOCATION
  const extents = disk.allocations(offset, length, (flags & FLAG.reqOne) !== 0 ? 1 : MAX_EXTENTS)
  const chunk = Protocol.writeStructured(cookie, Protocol.DONE, CHUNK.blockStatus, 4 + 8 * extents.length)
  chunk.writeUInt32BE(ALLOCATION_ID, Protocol.STRUCTURED_HEAD)
  extents.forEach((extent, index) => {
    const at = Protocol.STRUCTURED_HEAD + 4 + 8 * index
    chunk.writeUInt32BE(extent.length, at)
    chunk.writeUInt32BE(extent.data ? data : hole | zero, at + 4)
  })
  return chunk
}

/**
 * Answers a client's requests until it leaves or no more can be read from it; what has arrived by then is still
 * answered. A request that fails, in whatever way, is answered with an error and harms no other. An interrupt waits for
 * what is being sent, so whoever interrupts destroys the connection first.
 */
export const transmit = (connection: Connection, agreement: Agreement): Effect.Effect<void, ConnectionEnded> =>
  Effect.gen(function*() {
    const { disk, structured } = agreement
    const { send, skip, take } = connection
    const running = yield* FiberSet.make<void, ConnectionEnded>()
    const budget = yield* Effect.makeSemaphore(BUDGET)

    const fail = ({ cookie }: Protocol.Request, { code, offset, reason }: Fault) =>
      structured
        ? send(Protocol.writeError(cookie, Protocol.ERROR[code], reason, offset))
        : send(Protocol.writeSimple(cookie, Protocol.ERROR[code]))

    const change = (
      { command, flags, length, offset }: Protocol.Request,
      writer: NonNullable<Export["writer"]>,
      payload: Buffer
    ) =>
      Effect.zipRight(
        command === COMMAND.write
          ? writer.write(offset, payload)
          : writer.zero(offset, length, { hole: (flags & FLAG.noHole) === 0 }),
        (flags & FLAG.fua) !== 0 ? writer.flush : Effect.void
      )

    const answer = (request: Protocol.Request, payload: Buffer): Effect.Effect<void, Fault | ConnectionEnded> => {
      const { command, cookie, length, offset } = request
      if (command === COMMAND.read) {
        return Effect.flatMap(disk.read(offset, length), (pieces) =>
          send(
            ...structured
              ? readChunks(request, pieces)
              : withContent(pieces, length, (room) => Protocol.writeSimple(cookie, 0, room))
          ))
      }
      if (command === COMMAND.blockStatus) return send(statusChunk(disk, request))
      const { writer } = disk
      if (writer === undefined) return new Fault({ code: "EPERM", reason: "the export is read-only" })
      return Effect.zipRight(
        command === COMMAND.flush ? writer.flush : change(request, writer, payload),
        send(Protocol.writeSimple(cookie, 0))
      )
    }

    /** What is answered when the request cannot be done. */
    const guarded = (request: Protocol.Request, payload: Buffer) =>
      Effect.catchAllCause(answer(request, payload), (cause): Effect.Effect<void, ConnectionEnded> => {
        const failure = Option.getOrUndefined(Cause.failureOption(cause))
        if (failure?._tag === "ConnectionEnded") return failure
        if (failure !== undefined) return fail(request, failure)
        if (Cause.isInterruptedOnly(cause)) return Effect.interrupt
        const fault = new Fault({ code: "EIO", reason: "this is a bug in backy; its log says more" })
        return Effect.zipRight(
          Effect.logError("a request of an NBD client could not be answered", cause),
          fail(request, fault)
        )
      })

    const next = Effect.gen(function*() {
      const request = Protocol.readRequest(yield* take(Protocol.REQUEST_HEAD))
      if (request === undefined) return false
      const { command, length } = request
      if (command === COMMAND.disconnect) return false
      const fault = problem(agreement, request)
      const cost = costOf(disk, request)
      yield* budget.take(cost)
      let payload: Buffer = NOTHING
      if (command === COMMAND.write) {
        if (fault === undefined) payload = yield* take(length)
        else yield* skip(length)
      }
      const reply = fault === undefined ? guarded(request, payload) : fail(request, fault)
      yield* FiberSet.run(running, Effect.ensuring(reply, budget.release(cost)))
      return true
    })
    const loop: Effect.Effect<void, ConnectionEnded> = Effect.flatMap(next, (more) => more ? loop : Effect.void)
    // a reply that cannot be sent ends all
    const ended = yield* Effect.exit(Effect.raceFirst(loop, FiberSet.join(running)))
    yield* FiberSet.awaitEmpty(running)
    return yield* ended
  }).pipe(Effect.scoped)

const NOTHING = Buffer.alloc(0)
