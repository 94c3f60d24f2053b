/** One side of a connection: what arrives, and what is sent. */
import * as Effect from "effect/Effect"
import type { Duplex } from "node:stream"
import * as Inbox from "./Inbox.ts"

export interface Connection extends Inbox.Inbox {
  /**
   * Sends these bytes one after the other, nothing between them. Ends when the other side, or the kernel, has taken
   * them; only then may their memory be used for something else, so that this cannot be interrupted. Fails when the
   * connection is closed, also when it is destroyed meanwhile.
   */
  readonly send: (...parts: ReadonlyArray<Uint8Array>) => Effect.Effect<void, Inbox.ConnectionEnded>
}

/** Reads and writes a stream from now on. */
export const make = (stream: Duplex, peer: "client" | "server"): Connection => {
  const sending = new Set<(error: Error | null | undefined) => void>()
  const closed = new Error("it was closed")
  // not every stream tells of what it was writing when it was destroyed
  stream.once("close", () => {
    for (const done of sending) done(closed)
  })
  return {
    ...Inbox.make(stream, peer),
    send: (...parts) =>
      Effect.uninterruptible(Effect.async((resume) => {
        const done = (error: Error | null | undefined) => {
          sending.delete(done)
          const reason = `the connection failed: ${error?.message ?? ""}`
          resume(error == null ? Effect.void : Effect.fail(new Inbox.ConnectionEnded({ reason })))
        }
        if (stream.closed) return done(closed)
        sending.add(done)
        const last = parts.length - 1
        stream.cork()
        parts.forEach((part, index) => index < last ? stream.write(part) : stream.write(part, done))
        stream.uncork()
      }))
  }
}
