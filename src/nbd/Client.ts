/**
 * A client for the network block device protocol on a unix socket: as much of it as reading an export needs.
 */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { connect as connectSocket, type Socket } from "node:net"

/** The server could not be reached, broke the protocol, or answered with an error. */
export class NbdError extends Data.TaggedError("NbdError")<{ readonly reason: string }> {
  override get message() {
    return this.reason
  }
}

/** A connection. Reads wait for each other. */
export interface Client {
  /** Bytes of the export. */
  readonly size: number
  /** The bytes of a range, which must lie within the export. After a failure every further read fails. */
  readonly read: (offset: number, length: number) => Effect.Effect<Uint8Array, NbdError>
}

/** What servers take in one request at least; qemu's limit is 32 MiB. */
const MAX_REQUEST = 4 * 1024 * 1024

const OPTION_GO = 7
const REPLY_ACK = 1
const REPLY_INFO = 3
const REPLY_ERROR = 2 ** 31
const COMMAND_DISCONNECT = 2
/** No option of ours is answered with more than a few lines. */
const MAX_OPTION_REPLY = 65_536

/** The bytes that arrive, handed out in the lengths that are asked for. One asks at a time. */
const makeInbox = (socket: Socket) => {
  let buffers: Array<Buffer> = []
  let have = 0
  let failure: NbdError | undefined
  let waiting: (() => void) | undefined
  const fail = (reason: string) => {
    failure ??= new NbdError({ reason })
    waiting?.()
  }
  socket.on("data", (data: Buffer) => {
    buffers.push(data)
    have += data.length
    waiting?.()
  })
  socket.on("error", (error) => fail(`the connection failed: ${error.message}`))
  socket.on("close", () => fail("the server closed the connection"))
  return {
    fail,
    take: (length: number): Effect.Effect<Buffer, NbdError> =>
      Effect.async((resume) => {
        const look = () => {
          if (have >= length) {
            waiting = undefined
            const all = buffers.length === 1 && buffers[0] !== undefined ? buffers[0] : Buffer.concat(buffers)
            buffers = all.length > length ? [all.subarray(length)] : []
            have = all.length - length
            resume(Effect.succeed(all.subarray(0, length)))
          } else if (failure !== undefined) {
            waiting = undefined
            resume(failure)
          }
        }
        waiting = look
        look()
        return Effect.sync(() => {
          waiting = undefined
        })
      })
  }
}

const open = (path: string): Effect.Effect<Socket, NbdError, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.async<Socket, NbdError>((resume) => {
      const socket = connectSocket(path)
      socket.once("connect", () => resume(Effect.succeed(socket)))
      socket.once("error", (error) => resume(new NbdError({ reason: `no connection to ${path}: ${error.message}` })))
      return Effect.sync(() => socket.destroy())
    }),
    (socket) =>
      Effect.sync(() => {
        const goodbye = Buffer.alloc(28)
        goodbye.writeUInt32BE(0x25609513)
        goodbye.writeUInt16BE(COMMAND_DISCONNECT, 6)
        if (socket.writable) socket.end(goodbye)
        socket.destroySoon()
      })
  )

/**
 * Connects to the export without a name. The connection ends with the scope. Fails within `patience` when the server
 * does not answer, and so does each read.
 */
export const connect = Effect.fnUntraced(function*(path: string, patience: Duration.DurationInput = "1 minute") {
  const socket = yield* open(path)
  const inbox = makeInbox(socket)
  const send = (bytes: Buffer) => Effect.sync(() => void socket.write(bytes))
  const within = Effect.timeoutFail({
    duration: patience,
    onTimeout: () => {
      const reason = `no answer within ${Duration.format(patience)}`
      // an answer that comes later would be taken for that of the next request
      inbox.fail(reason)
      return new NbdError({ reason })
    }
  })

  const size = yield* within(Effect.gen(function*() {
    const greeting = yield* inbox.take(18)
    if (greeting.toString("latin1", 0, 16) !== "NBDMAGICIHAVEOPT") {
      return yield* new NbdError({ reason: "the server does not speak the newstyle protocol" })
    }
    const option = Buffer.alloc(26)
    // fixed newstyle, without padding
    option.writeUInt32BE(3)
    option.write("IHAVEOPT", 4)
    option.writeUInt32BE(OPTION_GO, 12)
    option.writeUInt32BE(6, 16)
    yield* send(option)
    let size: number | undefined
    while (true) {
      const head = yield* inbox.take(20)
      const type = head.readUInt32BE(12)
      const length = head.readUInt32BE(16)
      if (length > MAX_OPTION_REPLY) return yield* new NbdError({ reason: "the server's answer is too long" })
      const data = yield* inbox.take(length)
      if (type >= REPLY_ERROR) {
        return yield* new NbdError({ reason: `the server refuses: ${data.toString("utf8") || type.toString(16)}` })
      }
      if (type === REPLY_INFO && length >= 12 && data.readUInt16BE(0) === 0) size = Number(data.readBigUInt64BE(2))
      if (type !== REPLY_ACK) continue
      return size ?? (yield* new NbdError({ reason: "the server does not tell the size" }))
    }
  }))

  const lock = yield* Effect.makeSemaphore(1)
  let cookie = 0n

  const request = (offset: number, length: number) =>
    Effect.gen(function*() {
      const head = Buffer.alloc(28)
      head.writeUInt32BE(0x25609513)
      head.writeBigUInt64BE(++cookie, 8)
      head.writeBigUInt64BE(BigInt(offset), 16)
      head.writeUInt32BE(length, 24)
      yield* send(head)
      const reply = yield* inbox.take(16)
      if (reply.readUInt32BE(0) !== 0x67446698 || reply.readBigUInt64BE(8) !== cookie) {
        inbox.fail("the server answers something else")
        return yield* new NbdError({ reason: "the server answers something else" })
      }
      const code = reply.readUInt32BE(4)
      if (code !== 0) return yield* new NbdError({ reason: `the server cannot read (error ${code})` })
      return yield* inbox.take(length)
    }).pipe(
      within,
      // half an answer may be left behind
      Effect.onInterrupt(() => Effect.sync(() => inbox.fail("a read was given up")))
    )

  const read = Effect.fnUntraced(function*(offset: number, length: number) {
    const bytes = new Uint8Array(length)
    for (let done = 0; done < length; done += MAX_REQUEST) {
      bytes.set(yield* request(offset + done, Math.min(MAX_REQUEST, length - done)), done)
    }
    return bytes
  })

  return { size, read: (offset, length) => lock.withPermits(1)(read(offset, length)) } satisfies Client
})
