import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import { type SnapshotRequest, Source, SourceNotReady } from "../source/Source.ts"

/**
 * Takes a snapshot of the source for a revision; it is let go with the scope. Fails with `SourceNotReady` before
 * anything is made.
 */
export const snapshot = Effect.fn("snapshot")(function*(request: SnapshotRequest) {
  const source = yield* Source
  yield* source.check
  const taken = yield* source.snapshot(request)
  // types do not bind a plug-in
  if (taken.content._tag === "Changes" && !Predicate.isRecord(taken.content.second)) {
    const reason = "its source type does not say how what was stored can be compared with the source"
    return yield* new SourceNotReady({ source: source.name, reason })
  }
  return taken
})
