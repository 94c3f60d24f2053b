/**
 * A client for the network block device protocol: as much of it as reading an export needs.
 */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { connect as connectSocket, type Socket } from "node:net"
import type { Duplex } from "node:stream"
import * as Inbox from "./Inbox.ts"
import * as Protocol from "./protocol.ts"

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
/** No option of ours is answered with more than a few lines. */
const MAX_ANSWER = 65_536

const fail = (reason: string) => new NbdError({ reason })

const open = (path: string): Effect.Effect<Socket, NbdError, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.async<Socket, NbdError>((resume) => {
      const socket = connectSocket(path)
      socket.once("connect", () => resume(Effect.succeed(socket)))
      socket.once("error", (error) => resume(fail(`no connection to ${path}: ${error.message}`)))
      return Effect.sync(() => socket.destroy())
    }),
    (socket) => Effect.sync(() => socket.destroySoon())
  )

/** Says that it ends, if anybody still listens. */
const sayGoodbye = (connection: Duplex) =>
  Effect.sync(() => {
    const { disconnect: command } = Protocol.COMMAND
    if (connection.writable) {
      connection.end(Protocol.writeRequest({ command, cookie: 0n, flags: 0, offset: 0, length: 0 }))
    }
  })

/**
 * Connects to the export without a name on a unix socket. The connection ends with the scope. Fails within `patience`
 * when the server does not answer, and so does each read.
 */
export const connect = (
  path: string,
  patience: Duration.DurationInput = "1 minute"
): Effect.Effect<Client, NbdError, Scope.Scope> => Effect.flatMap(open(path), (socket) => over(socket, { patience }))

/** The same over a connection that is there, and to any export. */
export const over = Effect.fnUntraced(function*(
  connection: Duplex,
  { name = "", patience = "1 minute" }: { readonly name?: string; readonly patience?: Duration.DurationInput } = {}
) {
  const inbox = Inbox.make(connection, "server")
  yield* Effect.addFinalizer(() => sayGoodbye(connection))
  const take = (length: number) => Effect.mapError(inbox.take(length), ({ reason }) => fail(reason))
  const send = (bytes: Buffer) => Effect.sync(() => void connection.write(bytes))
  const within = Effect.timeoutFail({
    duration: patience,
    onTimeout: () => {
      const reason = `no answer within ${Duration.format(patience)}`
      // an answer that comes later would be taken for that of the next request
      inbox.fail(reason)
      return fail(reason)
    }
  })

  const negotiate = Effect.gen(function*() {
    const greeting = yield* take(Protocol.GREETING.length)
    if (greeting.toString("latin1", 0, 16) !== Protocol.GREETING_MAGIC) {
      return yield* fail("the server does not speak the newstyle protocol")
    }
    const flags = Buffer.alloc(4)
    flags.writeUInt32BE(Protocol.HANDSHAKE.fixedNewstyle | Protocol.HANDSHAKE.noZeroes)
    yield* send(Buffer.concat([flags, Protocol.writeOption(Protocol.OPTION.go, goTo(name))]))
    let size: number | undefined
    while (true) {
      const head = Protocol.readAnswer(yield* take(Protocol.ANSWER_HEAD))
      if (head === undefined) return yield* fail("the server answers something else")
      if (head.length > MAX_ANSWER) return yield* fail("the server's answer is too long")
      const data = yield* take(head.length)
      if (Protocol.isError(head.answer)) {
        return yield* fail(`the server refuses: ${data.toString("utf8") || head.answer.toString(16)}`)
      }
      if (head.answer === Protocol.ANSWER.info && head.length >= 12 && data.readUInt16BE(0) === Protocol.INFO.export) {
        size = Number(data.readBigUInt64BE(2))
      }
      if (head.answer === Protocol.ANSWER.ack) return size ?? (yield* fail("the server does not tell the size"))
    }
  })
  const size = yield* within(negotiate)

  const lock = yield* Effect.makeSemaphore(1)
  let cookie = 0n

  const request = (offset: number, length: number) =>
    Effect.gen(function*() {
      const { read: command } = Protocol.COMMAND
      yield* send(Protocol.writeRequest({ command, cookie: ++cookie, flags: 0, offset, length }))
      const reply = Protocol.readSimple(yield* take(Protocol.SIMPLE_HEAD))
      if (reply === undefined || reply.cookie !== cookie) {
        inbox.fail("the server answers something else")
        return yield* fail("the server answers something else")
      }
      if (reply.error !== 0) return yield* fail(`the server cannot read (error ${reply.error})`)
      return yield* take(length)
    }).pipe(
      within,
      // half an answer may be left behind
      Effect.onInterrupt(() => Effect.sync(() => inbox.fail("a read was given up")))
    )

  const read = Effect.fnUntraced(function*(offset: number, length: number) {
    // one answer is all of it: it need not be copied
    if (length <= MAX_REQUEST) {
      const { buffer, byteOffset } = yield* request(offset, length)
      return new Uint8Array(buffer, byteOffset, length)
    }
    const bytes = new Uint8Array(length)
    for (let done = 0; done < length; done += MAX_REQUEST) {
      bytes.set(yield* request(offset + done, Math.min(MAX_REQUEST, length - done)), done)
    }
    return bytes
  })

  return { size, read: (offset, length) => lock.withPermits(1)(read(offset, length)) } satisfies Client
})

/** The data of OPT_GO: a name, and no wish for information. */
const goTo = (name: string): Buffer => {
  const bytes = Buffer.from(name)
  const data = Buffer.alloc(4 + bytes.length + 2)
  data.writeUInt32BE(bytes.length)
  data.set(bytes, 4)
  return data
}
