/** Waiting for clients on a socket. */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Duplex } from "node:stream"
import type { Address } from "./Address.ts"

/** Nobody can be waited for there. */
export class ListenFailed extends Data.TaggedError("ListenFailed")<{
  readonly address: string
  readonly reason: string
}> {
  override get message() {
    return `cannot listen on ${this.address}: ${this.reason}`
  }
}

/** A socket on which clients are waited for. */
export interface Listening {
  /** As it was given, but for a port that the system has chosen. */
  readonly address: Address
  /** The next client. Its connection is destroyed with the scope, whatever became of it. */
  readonly accept: Effect.Effect<Duplex>
}

export class Listener extends Context.Tag("backy/nbd/Listener")<Listener, {
  /**
   * Listens until the scope ends. A unix socket is for its owner alone (mode 0600) and vanishes with the scope; one that
   * a killed server has left is replaced. Nothing else that lies at its path is.
   */
  readonly listen: (address: Address) => Effect.Effect<Listening, ListenFailed, Scope.Scope>
}>() {}
