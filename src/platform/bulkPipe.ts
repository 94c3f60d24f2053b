/**
 * A pipe for much data: read into buffers of our own, which are used again and again.
 *
 * Node reads the output of a program 64 KiB at a time, each into new memory; at 500 MB/s that alone takes half of a
 * processor. A socket of our own may say where its bytes go, so the program gets the other end of such a one as its
 * standard output.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { mkdtempSync, rmSync } from "node:fs"
import { connect, createServer, type OnReadOpts, type Socket } from "node:net"
import { join } from "node:path"
import * as PieceQueue from "./pieceQueue.ts"
import { follow, type PipeReader } from "./pipeReader.ts"
import { socketFolder } from "./socketFolder.ts"

const BUFFER = 2 * 1024 * 1024
/** A buffer with less room than this is full: as much as Linux gives of a socket at a time, about. */
const LEAST = 256 * 1024
/** With so many buffers waiting to be consumed, the pipe is not read on. */
const ENOUGH = 4

/** Buffers on their way: filled, waiting, lent to who consumes, and filled again. */
const makeBuffers = () => {
  const free: Array<Uint8Array> = []
  const lent = new Set<Uint8Array>()
  const waiting = new Set<Uint8Array>()
  const fresh = () => free.pop() ?? Buffer.allocUnsafeSlow(BUFFER)
  let current = fresh()
  let filled = 0
  return {
    /** Where the next bytes go. */
    room: (): Uint8Array => {
      if (BUFFER - filled < LEAST) {
        current = fresh()
        filled = 0
      }
      return current.subarray(filled)
    },
    /** So many bytes have come to where there was room. */
    take: (count: number): Uint8Array => {
      const piece = current.subarray(filled, filled + count)
      filled += count
      waiting.add(current)
      return piece
    },
    isFull: (): boolean => waiting.size + lent.size > ENOUGH,
    /** All that waited is lent from now on; what was lent before may be written to again. */
    lend: (): void => {
      for (const buffer of lent) if (buffer !== current && !waiting.has(buffer)) free.push(buffer)
      lent.clear()
      for (const buffer of waiting) lent.add(buffer)
      waiting.clear()
    }
  }
}

/** A pipe that can be given to one program. */
export interface BulkPipe<E> {
  /** The program's end; to be destroyed here as soon as the program has it. */
  readonly theirs: Socket
  /** Our end. A piece is valid only until the batch behind its own is asked for. */
  readonly reader: PipeReader<E>
}

/** Two sockets that are connected, of which the second one fills buffers. */
const connected = (onread: OnReadOpts) =>
  Effect.async<{ readonly theirs: Socket; readonly ours: Socket }, unknown>((resume) => {
    try {
      // nobody else may enter it, so nobody else connects
      const directory = mkdtempSync(join(socketFolder(), "backy-"))
      const server = createServer()
      const done = (result: Effect.Effect<{ readonly theirs: Socket; readonly ours: Socket }, unknown>) => {
        server.close()
        rmSync(directory, { recursive: true, force: true })
        resume(result)
      }
      server.on("error", (cause) => done(Effect.fail(cause)))
      server.listen(join(directory, "pipe"), () => {
        const ours = connect({ path: join(directory, "pipe"), onread })
        ours.on("error", (cause) => done(Effect.fail(cause)))
        server.once("connection", (theirs) => {
          ours.removeAllListeners("error")
          done(Effect.succeed({ theirs, ours }))
        })
      })
    } catch (cause) {
      resume(Effect.fail(cause))
    }
  })

/** A pipe until the scope ends; `onError` says what it means that it broke. Fails where no socket can be made. */
export const make = <E>(onError: (cause: unknown) => E): Effect.Effect<BulkPipe<E>, unknown, Scope.Scope> =>
  Effect.suspend(() => {
    const buffers = makeBuffers()
    let resume = () => {}
    const queue = PieceQueue.make<E>(BUFFER, () => {
      buffers.lend()
      resume()
    })
    const pair = connected({
      buffer: buffers.room,
      callback: (count) => {
        queue.push(buffers.take(count))
        // `false` is to stop reading
        return !buffers.isFull()
      }
    })
    const opened = Effect.acquireRelease(pair, ({ ours, theirs }) =>
      Effect.sync(() => {
        theirs.destroy()
        ours.destroy()
      }))
    return Effect.map(opened, ({ ours, theirs }) => {
      const reader = follow(ours, queue, onError)
      resume = () => ours.resume()
      resume()
      return { theirs, reader }
    })
  })
