/** Connections without sockets: a listener whose clients are in this process. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import { type Duplex, duplexPair } from "node:stream"
import { Listener } from "../../src/nbd/Listener.ts"

/** One side of a connection. */
export type Side = Duplex

/** Both sides of a connection. As with sockets, the other side hears of it when one is destroyed. */
const pair = (): readonly [Duplex, Duplex] => {
  const [ours, theirs] = duplexPair()
  for (const [side, other] of [[ours, theirs], [theirs, ours]] as const) {
    // whoever uses it hears of it, too
    side.on("error", () => undefined)
    side.once("close", () => other.destroy())
  }
  return [ours, theirs]
}

export interface MemoryListener {
  readonly layer: Layer.Layer<Listener>
  /** Waits for clients. */
  readonly accept: Effect.Effect<Duplex>
  /** A client's side of a new connection. */
  readonly connect: Effect.Effect<Duplex>
}

export const make: Effect.Effect<MemoryListener> = Effect.map(Queue.unbounded<Duplex>(), (waiting) => {
  const accept = Queue.take(waiting)
  return {
    layer: Layer.succeed(Listener, { listen: (address) => Effect.succeed({ address, accept }) }),
    accept,
    connect: Effect.suspend(() => {
      const [ours, theirs] = pair()
      return Effect.as(Queue.offer(waiting, theirs), ours)
    })
  }
})
