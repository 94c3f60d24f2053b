/** Where an image goes that is restored to standard output. */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { IoError } from "../platform/IoError.ts"

/** The reader has gone away. It may have had enough, so this is told quietly. */
export class OutputClosed extends Data.TaggedError("OutputClosed") {
  override get message() {
    return "the reader of standard output has gone"
  }
}

export class Output extends Context.Tag("backy/operation/Output")<Output, {
  /** Writes all of the bytes, waiting for a slow reader. */
  readonly write: (bytes: Uint8Array) => Effect.Effect<void, OutputClosed | IoError>
  /** What was written is on the medium, if it is one that can tell. */
  readonly finish: Effect.Effect<void, IoError>
}>() {}

/** Collects what is written. */
export const layerMemory = (written: Array<Uint8Array>): Layer.Layer<Output> =>
  Layer.succeed(Output, {
    write: (bytes) => Effect.sync(() => void written.push(Uint8Array.from(bytes))),
    finish: Effect.void
  })
