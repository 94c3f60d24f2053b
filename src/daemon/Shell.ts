/**
 * The daemon's shell for `telnet` and `nc`: lines in, answers out, everything bounded. There is no login; it listens on
 * loopback addresses unless the config says otherwise.
 */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import { createServer, type Server, type Socket } from "node:net"
import { printable } from "../domain/printable.ts"
import { fromUnknown, IoError } from "../platform/IoError.ts"
import { banner, type Controls, execute } from "./commands.ts"
import * as TelnetInput from "./TelnetInput.ts"

export interface Limits {
  /** Sessions at a time; who comes next is told so. */
  readonly sessions: number
  /** A session in which nobody types for so long ends. */
  readonly idle: Duration.Duration
}

const defaults: Limits = { sessions: 16, idle: Duration.minutes(10) }

/** Unread input of one session, in packets; a client that sends faster than it is answered has to wait. */
const BACKLOG = 16

const PROMPT = "backy> "

/** Sends; waits for a client that reads slowly. */
const send = (socket: Socket, data: string | Uint8Array): Effect.Effect<void> =>
  Effect.async((resume) => {
    if (!socket.writable) return resume(Effect.void)
    socket.write(data, () => resume(Effect.void))
  })

/** Whatever the answer quotes, only its own line breaks reach the client. */
const text = (lines: ReadonlyArray<string>): string => lines.map((line) => `${printable(line)}\r\n`).join("")

/** Packets of a socket, and its end. Reading stops while nobody takes them. */
const packets = (socket: Socket) =>
  Effect.gen(function*() {
    const queue = yield* Queue.unbounded<Uint8Array | "end">()
    let waiting = 0
    socket.on("data", (bytes: Buffer) => {
      waiting++
      if (waiting >= BACKLOG) socket.pause()
      queue.unsafeOffer(bytes)
    })
    for (const event of ["end", "error", "close"]) socket.on(event, () => queue.unsafeOffer("end"))
    return Effect.tap(Queue.take(queue), () =>
      Effect.sync(() => {
        waiting--
        if (waiting < BACKLOG && socket.isPaused()) socket.resume()
      }))
  })

const session = (socket: Socket, controls: Controls, limits: Limits) =>
  Effect.gen(function*() {
    const input = TelnetInput.make()
    const next = yield* packets(socket)
    // also one that does not read what it is sent
    socket.setTimeout(Duration.toMillis(limits.idle) + 5000, () => socket.destroy())
    yield* send(socket, `${text(banner)}${PROMPT}`)
    while (true) {
      const packet = yield* Effect.timeoutTo(next, {
        duration: limits.idle,
        onSuccess: (packet) => packet,
        onTimeout: () => "idle" as const
      })
      if (packet === "end") return
      if (packet === "idle") return yield* send(socket, "\r\nNobody is there. Goodbye.\r\n")
      for (const event of input.feed(packet)) {
        switch (event._tag) {
          case "Reply":
            yield* send(socket, Uint8Array.from(event.bytes))
            break
          case "End":
            return yield* send(socket, "\r\nGoodbye.\r\n")
          case "TooLong":
            return yield* send(socket, "\r\nNo command is that long. Goodbye.\r\n")
          case "Line": {
            const answer = yield* execute(controls, event.text)
            if (answer === "quit") return yield* send(socket, "Goodbye.\r\n")
            yield* send(socket, `${text(answer)}${PROMPT}`)
          }
        }
      }
    }
  }).pipe(
    Effect.timeoutOption(Duration.times(limits.idle, 60)),
    Effect.ensuring(Effect.sync(() => {
      socket.end()
      // what it does not take within a second it does not want
      setTimeout(() => socket.destroy(), 1000).unref()
    }))
  )

const listening = (server: Server, host: string, port: number): Effect.Effect<void, IoError> =>
  Effect.async((resume) => {
    const failed = (cause: unknown) =>
      resume(Effect.fail(
        cause instanceof Error && "code" in cause && cause.code === "EADDRINUSE"
          ? new IoError({
            operation: "listen on",
            path: `${host} port ${port}`,
            code: "EADDRINUSE",
            detail: "another program uses it (telnet-port in the config names another one)"
          })
          : fromUnknown("listen on", `${host} port ${port}`, cause)
      ))
    server.once("error", failed)
    server.listen(port, host, () => {
      server.off("error", failed)
      // out of descriptors, for instance: the next connection may fare better
      server.on("error", () => {})
      resume(Effect.void)
    })
  })

/**
 * Serves the shell at an address until the scope ends; sessions end then, too. Fails when the address cannot be
 * listened on.
 */
export const serve = (
  options: { readonly host: string; readonly port: number; readonly controls: Controls; readonly limits?: Limits }
): Effect.Effect<{ readonly port: number }, IoError, Scope.Scope> =>
  Effect.gen(function*() {
    const limits = options.limits ?? defaults
    const sessions = new Set<Socket>()
    const run = yield* FiberSet.makeRuntime<never>()
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      if (sessions.size >= limits.sessions) {
        socket.on("error", () => {})
        socket.end("There are too many sessions. Goodbye.\r\n")
        setTimeout(() => socket.destroy(), 1000).unref()
        return
      }
      sessions.add(socket)
      socket.on("close", () => sessions.delete(socket))
      run(session(socket, options.controls, limits))
    })
    yield* Effect.acquireRelease(listening(server, options.host, options.port), () =>
      Effect.gen(function*() {
        const closed = yield* Deferred.make<void>()
        server.close(() => Deferred.unsafeDone(closed, Effect.void))
        for (const socket of sessions) socket.destroy()
        yield* Deferred.await(closed)
      }))
    const address = server.address()
    return { port: typeof address === "object" && address !== null ? address.port : options.port }
  })

/** Where the shell listens. */
interface Address {
  readonly host: string
  readonly port: number
}

export class Shell extends Context.Tag("backy/daemon/Shell")<Shell, {
  /** Serves until the scope ends; sessions end then, too. Fails when the address cannot be listened on. */
  readonly serve: (address: Address, controls: Controls) => Effect.Effect<void, IoError, Scope.Scope>
}>() {}

/** Shells on the network. */
export const layer: Layer.Layer<Shell> = Layer.succeed(Shell, {
  serve: (address, controls) => Effect.asVoid(serve({ ...address, controls }))
})

/** Shells that are nowhere but in `shells`, by `host:port`. */
export const layerMemory = (shells: Map<string, Controls>): Layer.Layer<Shell> =>
  Layer.succeed(Shell, {
    serve: ({ host, port }, controls) => {
      const name = `${host}:${port}`
      return Effect.acquireRelease(
        Effect.sync(() => void shells.set(name, controls)),
        () => Effect.sync(() => shells.delete(name))
      )
    }
  })
