/** Serving many clients over connections that somebody else accepts. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import type * as Scope from "effect/Scope"
import type { Duplex } from "node:stream"
import { inOwnFiber } from "../platform/inOwnFiber.ts"
import * as Connection from "./connection.ts"
import type { Exports } from "./Export.ts"
import { ConnectionEnded } from "./Inbox.ts"
import { negotiate } from "./negotiate.ts"
import { transmit } from "./transmit.ts"

/** Clients at a time; more are turned away. */
export const MAX_CLIENTS = 32
/** A client has chosen an export by then, or is turned away. */
const HANDSHAKE = Duration.seconds(30)
/** What is in flight is answered by then when the server ends. */
const FAREWELL = Duration.seconds(3)

/** One client, from its first byte to its last. */
const converse = (connection: Connection.Connection, exports: Exports) =>
  Effect.gen(function*() {
    const agreement = yield* Effect.timeoutFail(negotiate(connection, exports), {
      duration: HANDSHAKE,
      onTimeout: () => new ConnectionEnded({ reason: "the client took too long to choose an export" })
    })
    if (agreement === undefined) return
    yield* Effect.logDebug(`an NBD client reads ${agreement.disk.name}`)
    yield* transmit(connection, agreement)
  }).pipe(
    Effect.scoped,
    Effect.catchTag("ConnectionEnded", ({ reason }) => Effect.logDebug(`an NBD client has left: ${reason}`))
  )

/** Closes a connection when the other side has taken what was sent to it. */
const close = (stream: Duplex) =>
  Effect.sync(() => {
    stream.end(() => stream.destroy())
  })

/**
 * Serves whoever is accepted until the scope ends. Then no further request is read, what is in flight is answered, and
 * within 3 seconds every connection is closed.
 */
export const serve = (accept: Effect.Effect<Duplex>, exports: Exports): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function*() {
    const open = new Map<Duplex, Connection.Connection>()
    const clients = yield* FiberSet.make()

    const admit = Effect.fnUntraced(function*(stream: Duplex) {
      if (open.size >= MAX_CLIENTS) {
        stream.destroy()
        return yield* Effect.logWarning(`an NBD client was turned away: there are ${MAX_CLIENTS} already`)
      }
      const connection = Connection.make(stream, "client")
      open.set(stream, connection)
      yield* FiberSet.run(
        clients,
        converse(connection, exports).pipe(
          Effect.ensuring(close(stream)),
          Effect.ensuring(Effect.sync(() => open.delete(stream)))
        )
      )
    })

    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        for (const connection of open.values()) connection.fail("the server ends")
      }).pipe(
        Effect.zipRight(Effect.timeoutOption(FiberSet.awaitEmpty(clients), FAREWELL)),
        inOwnFiber,
        // whoever is interrupted may wait for what is being sent
        Effect.zipRight(Effect.sync(() => {
          for (const stream of open.keys()) stream.destroy()
        }))
      )
    )
    // ends first, so that nobody new comes meanwhile
    yield* Effect.forkScoped(Effect.forever(Effect.flatMap(accept, admit)))
  })
