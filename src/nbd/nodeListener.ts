/** What `Listener` does, over the sockets of the system. */
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import { chmodSync, lstatSync, unlinkSync } from "node:fs"
import { connect, createServer, type Server, type Socket } from "node:net"
import { codeOf, textOf } from "../platform/errno.ts"
import { type Address, MAX_SOCKET_PATH } from "./Address.ts"
import { ListenFailed, type Listening } from "./Listener.ts"

const textOfAddress = (address: Address): string =>
  address._tag === "Unix" ? address.path : `${address.host}:${address.port}`

const failed = (address: Address, reason: string) => new ListenFailed({ address: textOfAddress(address), reason })

const failedBy = (address: Address, cause: unknown) => {
  const code = codeOf(cause)
  return failed(address, `${textOf(code) ?? (cause instanceof Error ? cause.message : String(cause))} (${code})`)
}

/** Whether a server answers on a unix socket. */
const answers = (path: string): Effect.Effect<boolean> =>
  Effect.async((resume) => {
    const socket = connect(path)
    const end = (is: boolean) => {
      socket.destroy()
      resume(Effect.succeed(is))
    }
    socket.once("connect", () => end(true))
    // that it is refused says that nobody listens; anything else says nothing
    socket.once("error", (cause) => end(codeOf(cause) !== "ECONNREFUSED"))
    return Effect.sync(() => socket.destroy())
  })

/** Removes a socket that a killed server has left. */
const clear = Effect.fnUntraced(function*(address: Address & { readonly _tag: "Unix" }) {
  const { path } = address
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH) {
    return yield* failed(address, `the path of a socket has at most ${MAX_SOCKET_PATH} bytes`)
  }
  const stat = yield* Effect.try({
    try: () => lstatSync(path, { throwIfNoEntry: false }),
    catch: (cause) => failedBy(address, cause)
  })
  if (stat === undefined) return
  if (!stat.isSocket()) return yield* failed(address, "something is there that is no socket")
  if (yield* answers(path)) return yield* failed(address, "another server listens there")
  yield* Effect.try({ try: () => unlinkSync(path), catch: (cause) => failedBy(address, cause) })
})

/** Listens; the socket of a path is never anybody else's, not even for a moment. */
const bind = (server: Server, address: Address): Effect.Effect<void, ListenFailed> =>
  Effect.async((resume) => {
    server.once("error", (cause) => resume(failedBy(address, cause)))
    server.once("listening", () => resume(Effect.void))
    if (address._tag === "Tcp") return void server.listen(address.port, address.host)
    // node:net binds before `listen` returns
    const umask = process.umask(0o177)
    try {
      server.listen(address.path)
    } finally {
      process.umask(umask)
    }
  })

/** Listens on a socket of the system until the scope ends. */
export const listen = Effect.fnUntraced(function*(address: Address) {
  if (address._tag === "Unix") yield* clear(address)
  const waiting = yield* Queue.unbounded<Socket>()
  const sockets = new Set<Socket>()
  const server = createServer({ noDelay: true }, (socket) => {
    // whoever serves it hears of it, too; without a listener it would end the process
    socket.on("error", () => undefined)
    socket.once("close", () => sockets.delete(socket))
    sockets.add(socket)
    Queue.unsafeOffer(waiting, socket)
  })
  yield* Effect.acquireRelease(bind(server, address), () =>
    Effect.sync(() => {
      server.close()
      for (const socket of sockets) socket.destroy()
    }))
  if (address._tag === "Unix") {
    yield* Effect.try({ try: () => chmodSync(address.path, 0o600), catch: (cause) => failedBy(address, cause) })
  }
  // e.g. no more descriptors: the next client finds some
  server.on("error", () => undefined)
  const bound = server.address()
  const port = bound !== null && typeof bound === "object" ? bound.port : 0
  return {
    address: address._tag === "Tcp" ? { ...address, port } : address,
    accept: Queue.take(waiting)
  } satisfies Listening
})
