import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { isRevisionId, type RevisionId } from "../domain/RevisionId.ts"
import * as History from "../repository/History.ts"
import * as locks from "../repository/locks.ts"
import { Repository } from "../repository/Repository.ts"
import { select, type Selection } from "./select.ts"

/** The newest trusted revision is what a restore would need tomorrow. Nothing was removed. */
export class NewestTrusted extends Data.TaggedError("NewestTrusted")<{ readonly id: RevisionId }> {
  override get message() {
    return `revision ${this.id} is the newest trusted one and was kept, with all others (-f removes it all the same)`
  }
}

/**
 * Removes revisions; their chunks go with the next purge. All or none: fails with `NewestTrusted` before anything is
 * removed, `LockHeld`, `IoError` and what selecting fails with. A full id also removes a revision whose metadata or map
 * cannot be read, so that it no longer blocks purge.
 */
export const forget = Effect.fn("forget")(function*(options: {
  readonly revisions: Selection
  /** Removes the newest trusted revision too. */
  readonly force: boolean
  readonly wait: Duration.Duration
}) {
  yield* locks.forEdit(options.wait)
  const repository = yield* Repository
  const history = yield* repository.history
  const { revisions } = options
  const brokenId = isRevisionId(revisions) && history.broken.some(({ path }) => path.endsWith(`/${revisions}.rev`))
    ? revisions
    : undefined
  const ids = brokenId === undefined ? (yield* select(revisions)).map(({ id }) => id) : [brokenId]
  const newest = History.newestTrusted(history)
  if (newest !== undefined && ids.includes(newest.id) && !options.force) {
    return yield* new NewestTrusted({ id: newest.id })
  }
  yield* Effect.forEach(ids, (id) => repository.remove(id), { discard: true })
  return ids
}, Effect.scoped)
