import * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Revision } from "../domain/Revision.ts"
import * as Trust from "../domain/Trust.ts"
import type { FileLock, LockHeld } from "../platform/FileLock.ts"
import * as locks from "../repository/locks.ts"
import { Repository } from "../repository/Repository.ts"
import * as Finished from "./Finished.ts"
import { selectCertain, type SelectError, type Selection } from "./select.ts"

/** Why revisions are not distrusted. */
export type DistrustError = LockHeld | SelectError

/**
 * Distrusts revisions by hand: nothing builds on them until `verify` has read them, and they do not count for
 * retention or monitoring. Gives back those that were trusted before. Fails with `LockHeld`, `SelectError`.
 */
export const distrust = Effect.fn("distrust")(function*(options: {
  readonly revisions: Selection
  /** Only revisions made at or after this instant. */
  readonly from: DateTime.Utc | undefined
  /** Only revisions made before this instant. */
  readonly until: DateTime.Utc | undefined
  readonly wait: Duration.Duration
}): Effect.fn.Return<ReadonlyArray<Revision>, DistrustError, FileLock | Repository | Scope.Scope> {
  yield* locks.forEdit(options.wait)
  const repository = yield* Repository
  const at = yield* DateTime.now
  const distrusted: Array<Revision> = []
  for (const revision of yield* selectCertain(options.revisions)) {
    if (!revision.isTrusted || !revision.isComplete) continue
    if (options.from !== undefined && DateTime.lessThan(revision.timestamp, options.from)) continue
    if (options.until !== undefined && DateTime.greaterThanOrEqualTo(revision.timestamp, options.until)) continue
    distrusted.push(Trust.distrust(revision, { reason: "manual", at }))
  }
  yield* Finished.inTurn(distrusted.map((revision) => repository.publish(revision)))
  return distrusted
}, Effect.scoped)
