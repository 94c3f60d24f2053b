/**
 * Reads a pipe in batches, so that the cost of a step is paid per mebibyte, not per 64 KiB.
 */
import * as Cause from "effect/Cause"
import type * as Stream from "effect/Stream"
import type { Readable } from "node:stream"
import * as PieceQueue from "./pieceQueue.ts"

/** With so many bytes waiting to be consumed, the pipe is not read on. */
const ENOUGH = 1024 * 1024

/** A pipe that is being read. */
export interface PipeReader<E> {
  /** Its bytes, once; ends when the writer closed it. */
  readonly stream: Stream.Stream<Uint8Array, E>
  /** Lets the stream fail at its next step, whatever still comes through the pipe. */
  readonly fail: (cause: Cause.Cause<E>) => void
}

/** Lets a queue end as the pipe does; `onError` says what a broken pipe means. */
export const follow = <E>(
  readable: Readable,
  queue: PieceQueue.PieceQueue<E>,
  onError: (cause: unknown) => E
): PipeReader<E> => {
  let ended = false
  const broken = (cause: unknown): void => queue.fail(Cause.fail(onError(cause)))
  readable.on("end", () => {
    ended = true
    queue.end()
  })
  readable.on("error", broken)
  // Closed without an end is cut off.
  readable.on("close", () => ended || broken(new Error("closed before its end")))
  return { stream: queue.stream, fail: queue.fail }
}

/** Begins to read; `onError` says what a broken pipe means. */
export const readPipe = <E>(readable: Readable, onError: (cause: unknown) => E): PipeReader<E> => {
  const queue = PieceQueue.make<E>(0, () => readable.resume())
  const reader = follow(readable, queue, onError)
  readable.on("data", (piece: Uint8Array) => {
    if (queue.push(piece) >= ENOUGH) readable.pause()
  })
  return reader
}
