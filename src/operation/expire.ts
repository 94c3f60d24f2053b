import * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Schedule } from "../domain/JobConfig.ts"
import * as Retention from "../domain/Retention.ts"
import * as Revision from "../domain/Revision.ts"
import type { FileLock, LockHeld } from "../platform/FileLock.ts"
import type { IoError } from "../platform/IoError.ts"
import * as locks from "../repository/locks.ts"
import { Repository } from "../repository/Repository.ts"
import type { RepositoryMissing } from "../repository/RepositoryError.ts"
import * as Finished from "./Finished.ts"
import { keptForUnreadable } from "./unreadableLoss.ts"

/** What retention decides about each revision, oldest first, with the reason. */
export interface ExpireReport {
  readonly decisions: ReadonlyArray<Retention.Decision>
}

/** Why retention cannot be applied. */
export type ExpireError = LockHeld | RepositoryMissing | IoError

/**
 * Applies retention: takes tags from revisions that are beyond what the schedule keeps, and removes revisions that have
 * none left. Never the newest trusted one. Fails with `LockHeld`, `RepositoryMissing`, `IoError`.
 */
export const expire = Effect.fn("expire")(function*(options: {
  readonly schedule: Schedule
  /** Only tells what would be done. */
  readonly dryRun: boolean
  /** Also lets go of tags that no schedule knows. */
  readonly unknownTags: boolean
  readonly wait: Duration.Duration
}): Effect.fn.Return<ExpireReport, ExpireError, FileLock | Repository | Scope.Scope> {
  if (!options.dryRun) yield* locks.forEdit(options.wait)
  const repository = yield* Repository
  const history = yield* repository.history
  const decisions = Retention.decide({
    schedule: options.schedule,
    revisions: history.complete,
    now: yield* DateTime.now,
    kept: yield* keptForUnreadable(history),
    unknownTags: options.unknownTags ? "remove" : "keep"
  })
  if (!options.dryRun) {
    const of = (tag: Retention.Decision["_tag"]) => decisions.filter(({ _tag }) => _tag === tag)
    // On a full disk nothing can be rewritten before something has gone.
    yield* Finished.inTurn([
      ...of("remove").map(({ revision }) => repository.remove(revision.id)),
      ...of("untag").map(({ revision, tags }) => repository.publish(Revision.update(revision, { tags })))
    ])
  }
  return { decisions }
}, Effect.scoped)
