import * as Effect from "effect/Effect"
import { Source, type SnapshotRequest } from "../source/Source.ts"

/**
 * Takes a snapshot of the source for a revision; it is let go with the scope. Fails with `SourceNotReady` before
 * anything is made.
 */
export const snapshot = Effect.fn("snapshot")(function*(request: SnapshotRequest) {
  const source = yield* Source
  yield* source.check
  return yield* source.snapshot(request)
})
