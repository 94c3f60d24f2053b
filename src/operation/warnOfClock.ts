import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import type { Revision } from "../domain/Revision.ts"
import * as Timestamp from "../domain/Timestamp.ts"

/**
 * Warns when a revision is of a later time than the one that is made now: one of the two clocks was wrong, and as long
 * as that date is ahead, the other revision is `latest`.
 */
export const warnOfClock = Effect.fnUntraced(function*(complete: ReadonlyArray<Revision>, at: DateTime.Utc) {
  const ahead = complete.findLast(({ timestamp }) => DateTime.greaterThan(timestamp, at))
  if (ahead === undefined) return
  yield* Effect.logWarning(
    `is the clock right? It says ${Timestamp.format(at).text}, and revision ${ahead.id} is dated later, ` +
      `${Timestamp.format(ahead.timestamp).text}: that one stays the latest, not the one that is made now`
  )
})
