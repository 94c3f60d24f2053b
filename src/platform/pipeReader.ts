/**
 * Reads a pipe in batches, so that the cost of a step is paid per mebibyte, not per 64 KiB.
 */
import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { Readable } from "node:stream"

/** With so many bytes waiting to be consumed, the pipe is not read on. */
const ENOUGH = 1024 * 1024

/** A pipe that is being read. */
export interface PipeReader<E> {
  /** Its bytes, once; ends when the writer closed it. */
  readonly stream: Stream.Stream<Uint8Array, E>
  /** Lets the stream fail at its next step, whatever still comes through the pipe. */
  readonly fail: (cause: Cause.Cause<E>) => void
}

/** Begins to read; `onError` says what a broken pipe means. */
export const readPipe = <E>(readable: Readable, onError: (cause: unknown) => E): PipeReader<E> => {
  let pieces: Array<Uint8Array> = []
  let bytes = 0
  let ended = false
  let failure: Cause.Cause<E> | undefined
  let wake = () => {}
  const fail = (cause: Cause.Cause<E>): void => {
    failure ??= cause
    wake()
  }
  readable.on("data", (piece: Uint8Array) => {
    pieces.push(piece)
    bytes += piece.length
    if (bytes >= ENOUGH) readable.pause()
    // Not at once: more pieces may come in this turn of the event loop, and a step of the stream costs as much as all
    // of them.
    if (pieces.length === 1) setImmediate(() => wake())
  })
  readable.on("end", () => {
    ended = true
    wake()
  })
  readable.on("error", (cause) => fail(Cause.fail(onError(cause))))
  // Closed without an end is cut off.
  readable.on("close", () => ended || fail(Cause.fail(onError(new Error("closed before its end")))))
  const pull: Effect.Effect<Chunk.Chunk<Uint8Array>, Option.Option<E>> = Effect.suspend(() => {
    if (failure !== undefined) return Effect.failCause(Cause.map(failure, Option.some))
    if (pieces.length > 0) {
      const batch = Chunk.unsafeFromArray(pieces)
      pieces = []
      bytes = 0
      readable.resume()
      return Effect.succeed(batch)
    }
    if (ended) return Effect.fail(Option.none())
    return Effect.async<Chunk.Chunk<Uint8Array>, Option.Option<E>>((resume) => {
      wake = () => {
        wake = () => {}
        resume(pull)
      }
      return Effect.sync(() => {
        wake = () => {}
      })
    })
  })
  return { stream: Stream.repeatEffectChunkOption(pull), fail }
}
