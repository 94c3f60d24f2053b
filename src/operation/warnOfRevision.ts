import * as Effect from "effect/Effect"
import type { Revision } from "../domain/Revision.ts"
import * as History from "../repository/History.ts"
import { Repository } from "../repository/Repository.ts"

/**
 * Says before a revision is read that it is distrusted, and which one is not; and that one with an earlier time was made
 * after it. Revisions go by their times: of one whose clock was ahead, or of others whose was back, only the parents
 * tell.
 */
export const warnOfRevision = Effect.fnUntraced(function*(revision: Revision) {
  const history = yield* (yield* Repository).history
  if (!revision.isTrusted) {
    const trusted = History.newestTrusted(history)
    yield* Effect.logWarning(
      `revision ${revision.id} is distrusted; ` +
        (trusted === undefined ? "no trusted one exists" : `the newest trusted one is ${trusted.id}`)
    )
  }
  const later = History.madeAfter(history, revision)
  if (later === undefined) return
  yield* Effect.logWarning(
    `revision ${later.id} was made after ${revision.id}, although its time is earlier: a clock was wrong, ` +
      `and what is restored is older than ${later.id}`
  )
})
