/**
 * Standard output as bytes that arrive or fail. `process.stdout` alone does not do: over a file it loses what a short
 * write on a full disk leaves, and over a block device it swallows everything in silence.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { fstatSync, fsync, write as writeFile } from "node:fs"
import type { Writable } from "node:stream"
import { Output, OutputClosed } from "../operation/Output.ts"
import { fromUnknown, type IoError } from "../platform/IoError.ts"

export interface Stdout {
  /** Writes all of the bytes, waiting for a slow reader without blocking the process, so that signals are answered. */
  readonly write: (bytes: Uint8Array) => Effect.Effect<void, OutputClosed | IoError>
  /** What was written to a file or device is on the medium. Does nothing for a pipe or terminal. */
  readonly sync: Effect.Effect<void, IoError>
}

const NAME = "standard output"

const failure = (cause: unknown): OutputClosed | IoError => {
  const error = fromUnknown("write to", NAME, cause)
  return error.code === "EPIPE" || error.code === "ERR_STREAM_DESTROYED" ? new OutputClosed() : error
}

/** Through the queue of a pipe or socket, which waits where the kernel says EAGAIN. */
const toStream = (stream: Writable): Stdout => {
  // the answer to each write tells of its error; without a listener it would end the process
  stream.on("error", () => undefined)
  return {
    write: (bytes) =>
      Effect.async((resume) => {
        stream.write(bytes, (cause) => resume(cause == null ? Effect.void : Effect.fail(failure(cause))))
      }),
    sync: Effect.void
  }
}

/** Straight to a descriptor, until all of it is written. */
const toDescriptor = (descriptor: number, isDurable: boolean): Stdout => {
  const some = (bytes: Uint8Array): Effect.Effect<number, NodeJS.ErrnoException> =>
    Effect.async((resume) => {
      writeFile(descriptor, bytes, 0, bytes.byteLength, null, (error, count) =>
        resume(error === null ? Effect.succeed(count) : Effect.fail(error)))
    })
  const write = (bytes: Uint8Array): Effect.Effect<void, NodeJS.ErrnoException> =>
    bytes.byteLength === 0 ? Effect.void : some(bytes).pipe(
      // a terminal that another process made non-blocking
      Effect.catchIf((error) => error.code === "EAGAIN", () => Effect.as(Effect.sleep("10 millis"), 0)),
      Effect.flatMap((count) => write(bytes.subarray(count)))
    )
  return {
    write: (bytes) => Effect.mapError(write(bytes), failure),
    sync: isDurable
      ? Effect.async((resume) => {
        fsync(
          descriptor,
          (error) => resume(error === null ? Effect.void : Effect.fail(fromUnknown("sync", NAME, error)))
        )
      })
      : Effect.void
  }
}

/** Standard output of this process. */
export const ofProcess = (): Stdout => {
  const kind = fstatSync(1)
  return kind.isFIFO() || kind.isSocket()
    ? toStream(process.stdout)
    : toDescriptor(1, kind.isFile() || kind.isBlockDevice())
}

/** Standard output as the place for an image. */
export const layer = (stdout: Stdout): Layer.Layer<Output> =>
  Layer.succeed(Output, { write: stdout.write, finish: stdout.sync })
