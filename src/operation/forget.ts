import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as LostContent from "../domain/LostContent.ts"
import type { RevisionId } from "../domain/RevisionId.ts"
import type { FileLock, LockHeld } from "../platform/FileLock.ts"
import * as History from "../repository/History.ts"
import * as locks from "../repository/locks.ts"
import { Repository } from "../repository/Repository.ts"
import * as Finished from "./Finished.ts"
import { selectCertain, type SelectError, type Selection } from "./select.ts"

/** The newest trusted revision is what a restore would need tomorrow. Nothing was removed. */
export class NewestTrusted extends Data.TaggedError("NewestTrusted")<{ readonly id: RevisionId }> {
  override get message() {
    return `revision ${this.id} is the newest trusted one and was kept, with all others (-f removes it all the same)`
  }
}

/** What cannot be read may be all that there is to restore from. Nothing was removed. */
export class NoTrustedLeft extends Data.TaggedError("NoTrustedLeft")<{ readonly id: RevisionId }> {
  override get message() {
    return `revision ${this.id} cannot be read and was kept, since no trusted one is there beside it ` +
      "(-f gives it up all the same)"
  }
}

/** A revision tells that its source had lost content, and by that one before it stays. Nothing was removed. */
export class MarksLoss extends Data.TaggedError("MarksLoss")<{ readonly id: RevisionId; readonly kept: RevisionId }> {
  override get message() {
    return `revision ${this.id} tells that its source had lost content, and so keeps ${this.kept}, the last before that, ` +
      `from expiring; all were kept (forget ${this.kept} first if nobody wants it back, or -f lets it expire like any other)`
  }
}

/** Why revisions are not removed. */
export type ForgetError = MarksLoss | NewestTrusted | NoTrustedLeft | LockHeld | SelectError

/**
 * Removes revisions; their chunks go with the next purge. All or none: fails with `NewestTrusted`, `MarksLoss`
 * or `NoTrustedLeft` before anything is removed, `LockHeld`, `SelectError`. A full id also gives up a revision whose metadata
 * cannot be read, and with it what its map names.
 */
export const forget = Effect.fn("forget")(function*(options: {
  readonly revisions: Selection
  /**
   * Removes the newest trusted revision too, and one that marks an accepted loss, and gives up what cannot be read where
   * none is trusted.
   */
  readonly force: boolean
  readonly wait: Duration.Duration
}): Effect.fn.Return<ReadonlyArray<RevisionId>, ForgetError, FileLock | Repository | Scope.Scope> {
  yield* locks.forEdit(options.wait)
  const repository = yield* Repository
  const history = yield* repository.history
  const { revisions } = options
  const newest = History.newestTrusted(history)
  const broken = history.broken.find(({ id }) => id === revisions)
  if (broken !== undefined) {
    if (newest === undefined && !options.force) return yield* new NoTrustedLeft({ id: broken.id })
    yield* Effect.logWarning(
      `revision ${broken.id} is given up, whatever it held: ${broken.reason}` +
        (broken.alpha === undefined && history.complete.length > 0
          ? "; should its source have lost content then, what came before can expire now"
          : "")
    )
    yield* Finished.lastly(repository.remove(broken.id))
    return [broken.id]
  }
  const ids = (yield* selectCertain(revisions)).map(({ id }) => id)
  if (newest !== undefined && ids.includes(newest.id) && !options.force) {
    return yield* new NewestTrusted({ id: newest.id })
  }
  const forgotten = new Set(ids)
  const marks = LostContent.marksOf(
    history.complete,
    new Set(history.complete.filter(({ id }) => forgotten.has(id)))
  )
  for (const { kept, mark } of marks) {
    if (!options.force) return yield* new MarksLoss({ id: mark.id, kept: kept.id })
    yield* Effect.logWarning(
      `revision ${mark.id} told that its source had lost content: ${kept.id}, the last before that, can expire now`
    )
  }
  yield* Finished.inTurn(ids.map((id) => repository.remove(id)))
  return ids
}, Effect.scoped)
