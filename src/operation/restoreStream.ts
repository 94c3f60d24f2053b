import type { FileSystem } from "@effect/platform/FileSystem"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Mailbox from "effect/Mailbox"
import * as Stream from "effect/Stream"
import type { BlockFile } from "../platform/BlockFile.ts"
import type { Devices } from "../platform/Devices.ts"
import type { FileLock } from "../platform/FileLock.ts"
import type { Repository } from "../repository/Repository.ts"
import type { Blocks } from "../store/Blocks.ts"
import { Output, type OutputClosed } from "./Output.ts"
import { restore, type RestoreError } from "./restore.ts"
import type { TargetRefused } from "./TargetRefused.ts"

/** Why a stream ends before, or behind, the image's last byte. */
export type RestoreStreamError = Exclude<RestoreError, OutputClosed | TargetRefused>

/** Pieces that wait for the consumer; each is a block of the image at most. */
const AHEAD = 2

/**
 * A revision's image, in order and without gaps, every byte checked against its hash before it is given on. Ends without
 * a failure only behind the last byte, so what was cut never looks complete. With `salvage` zeros take the place of lost
 * chunks, and `RestoreIncomplete`, which lists them, comes behind the last byte. The repository's lock is held from the
 * first pull to the end of the stream, however it ends. Fails with `RestoreStreamError`.
 */
export const restoreStream = (options: {
  readonly revision: string
  readonly salvage: boolean
  readonly wait: Duration.Duration
}): Stream.Stream<
  Uint8Array,
  RestoreStreamError,
  BlockFile | Blocks | Devices | FileLock | FileSystem | Repository
> =>
  Stream.unwrapScoped(Effect.gen(function*() {
    const pieces = yield* Mailbox.make<Uint8Array, RestoreStreamError>(AHEAD)
    yield* restore({ ...options, target: { _tag: "Output" }, force: false }).pipe(
      Effect.provideService(Output, {
        // what is written may be used again as soon as this returns
        write: (bytes) => Effect.asVoid(pieces.offer(Uint8Array.from(bytes))),
        finish: Effect.void
      }),
      // the output above never closes, and no path is written to
      Effect.catchTags({ OutputClosed: Effect.die, TargetRefused: Effect.die }),
      Effect.onExit((exit) => exit._tag === "Success" ? pieces.end : pieces.failCause(exit.cause)),
      Effect.forkScoped
    )
    return Mailbox.toStream(pieces)
  }))
