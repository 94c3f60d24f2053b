/**
 * The bytes that arrive on a connection, handed out in the lengths that are asked for. One asks at a time. What nobody
 * has asked for stays with the sender, but for a small rest.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type { Duplex } from "node:stream"

/** No more bytes come: the other side has gone, or this side wants no more. */
export class ConnectionEnded extends Data.TaggedError("ConnectionEnded")<{ readonly reason: string }> {
  override get message() {
    return this.reason
  }
}

export interface Inbox {
  /** The next `length` bytes, once they are there. The buffer belongs to the caller. */
  readonly take: (length: number) => Effect.Effect<Buffer, ConnectionEnded>
  /** Lets `length` bytes pass without keeping them. */
  readonly skip: (length: number) => Effect.Effect<void, ConnectionEnded>
  /** Every `take` fails from now on, also the one that waits, whatever has arrived. */
  readonly fail: (reason: string) => void
}

/** As much may wait here that nobody has asked for. */
const AHEAD = 256 * 1024
/** What is skipped passes in pieces of this length. */
const PIECE = 64 * 1024

/** Reads a connection from now on. `peer` says who is on the other side. */
export const make = (connection: Duplex, peer: "client" | "server"): Inbox => {
  let buffers: Array<Buffer> = []
  let have = 0
  /** As much is asked for. */
  let wanted = 0
  /** Why no more will come; what is there can still be taken. */
  let ended: ConnectionEnded | undefined
  let failed: ConnectionEnded | undefined
  let waiting: (() => void) | undefined

  const end = (reason: string) => {
    ended ??= new ConnectionEnded({ reason })
    waiting?.()
  }
  connection.on("data", (data: Buffer) => {
    if (failed !== undefined) return
    buffers.push(data)
    have += data.length
    if (have > wanted + AHEAD) connection.pause()
    if (have >= wanted) waiting?.()
  })
  connection.on("error", (error) => end(`the connection failed: ${error.message}`))
  connection.on("end", () => end(`the ${peer} closed the connection`))
  connection.on("close", () => end(`the ${peer} closed the connection`))

  const cut = (length: number): Buffer => {
    const [first] = buffers
    let bytes: Buffer
    if (first !== undefined && first.length >= length) {
      bytes = first.subarray(0, length)
      if (first.length === length) buffers.shift()
      else buffers[0] = first.subarray(length)
    } else {
      const all = Buffer.concat(buffers)
      bytes = all.subarray(0, length)
      buffers = all.length > length ? [all.subarray(length)] : []
    }
    have -= length
    if (have <= AHEAD && connection.isPaused()) connection.resume()
    return bytes
  }

  /** What a `take` comes to now; `undefined` while it has to wait. */
  const outcome = (length: number): Effect.Effect<Buffer, ConnectionEnded> | undefined =>
    failed ?? (have >= length ? Effect.succeed(cut(length)) : ended)

  const take = (length: number): Effect.Effect<Buffer, ConnectionEnded> =>
    Effect.suspend(() =>
      outcome(length) ?? Effect.async<Buffer, ConnectionEnded>((resume) => {
        const done = () => {
          waiting = undefined
          wanted = 0
        }
        wanted = length
        waiting = () => {
          const now = outcome(length)
          if (now === undefined) return
          done()
          resume(now)
        }
        connection.resume()
        return Effect.sync(done)
      })
    )

  const skip = (length: number): Effect.Effect<void, ConnectionEnded> =>
    length === 0
      ? Effect.void
      : Effect.flatMap(take(Math.min(length, PIECE)), (bytes) => skip(length - bytes.length))

  return {
    take,
    skip,
    fail: (reason) => {
      failed ??= new ConnectionEnded({ reason })
      buffers = []
      have = 0
      waiting?.()
    }
  }
}
