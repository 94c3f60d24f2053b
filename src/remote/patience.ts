/** How often, and how soon, a request that failed for a passing reason is sent again. */
import * as Duration from "effect/Duration"
import * as Schedule from "effect/Schedule"

/** A failure that knows when the store wants to be asked again. */
export interface Passing {
  readonly retryAfter: Duration.Duration | undefined
}

/** A store that asks for more than that is not waited for any longer than this. */
const LONGEST = Duration.minutes(1)

/** Doubling from a quarter of a second to half a minute, eight times; never sooner than the store asks for. */
export const patience: Schedule.Schedule<unknown, Passing> = Schedule.identity<Passing>().pipe(
  Schedule.intersect(
    Schedule.exponential("250 millis", 2).pipe(
      Schedule.union(Schedule.spaced("30 seconds")),
      Schedule.jittered,
      Schedule.intersect(Schedule.recurs(8))
    )
  ),
  Schedule.modifyDelay(([{ retryAfter }], delay) =>
    retryAfter === undefined ? delay : Duration.max(delay, Duration.min(retryAfter, LONGEST))
  )
)

/** What a `Retry-After` header asks for: seconds, or an HTTP date; `undefined` for anything else. */
export const retryAfterOf = (header: string | undefined, now: number): Duration.Duration | undefined => {
  if (header === undefined) return undefined
  if (/^\d{1,9}$/.test(header)) return Duration.seconds(Number(header))
  const at = header.endsWith(" GMT") ? Date.parse(header) : Number.NaN
  return Number.isNaN(at) ? undefined : Duration.millis(Math.max(0, at - now))
}
