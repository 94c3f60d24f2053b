/**
 * When a job is due. Due instants are a function of the schedule and the job's name alone, what is late one of the
 * history: no state to lose, nothing to drift. All arithmetic is in whole milliseconds and exact.
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import type { Schedule } from "./JobConfig.ts"
import type { Revision } from "./Revision.ts"
import { counts } from "./Trust.ts"

/** What has to be known of a revision. */
export type Dated = Pick<Revision, "timestamp" | "tags" | "isComplete" | "isTrusted">

/** An instant, and the tags of the schedule that are due at it. */
export interface Due {
  readonly at: DateTime.Utc
  readonly tags: ReadonlyArray<string>
}

/** 0001-01-01T00:00Z, where all grids begin. */
const EPOCH = -62_135_596_800_000

/** Missed tags wait for a regular run that is nearer than this. */
const CATCH_UP_AFTER = Duration.minutes(5)

const shortest = (schedule: Schedule): number | undefined => {
  const intervals = Object.values(schedule).map((rule) => Duration.toMillis(rule.interval))
  return intervals.length === 0 ? undefined : Math.min(...intervals)
}

/**
 * By how much a job's grid is shifted, so that jobs spread evenly over the longest interval: the first 8 bytes of the
 * SHA-256 of its name, as a fraction of that interval, in whole seconds.
 */
export const spreadOf = (sha256OfName: Uint8Array, schedule: Schedule): Duration.Duration => {
  const longest = Math.max(0, ...Object.values(schedule).map((rule) => Duration.toMillis(rule.interval)))
  let fraction = 0n
  for (const byte of sha256OfName.subarray(0, 8)) fraction = fraction << 8n | BigInt(byte)
  return Duration.seconds(Number(fraction * BigInt(Math.floor(longest / 1000)) >> 64n))
}

/** The first instant after `after` at which some tag is due, and all tags that are due then; none without tags. */
export const nextDue = (schedule: Schedule, spread: Duration.Duration, after: DateTime.Utc): Due | undefined => {
  const instants = Object.entries(schedule).map(([tag, rule]) => {
    const interval = Duration.toMillis(rule.interval)
    const passed = DateTime.toEpochMillis(after) - EPOCH - Duration.toMillis(spread)
    // Instants before the year 1 do not occur, but a remainder must not be negative either.
    const sinceLast = (passed % interval + interval) % interval
    return { tag, at: DateTime.toEpochMillis(after) - sinceLast + interval }
  })
  if (instants.length === 0) return undefined
  const at = Math.min(...instants.map((instant) => instant.at))
  return {
    at: DateTime.unsafeMake(at),
    tags: instants.filter((instant) => instant.at === at).map((instant) => instant.tag).sort()
  }
}

/** The tags whose newest revision is older than their interval, or that have none. */
export const missedTags = (
  schedule: Schedule,
  revisions: Iterable<Dated>,
  now: DateTime.Utc
): ReadonlyArray<string> => {
  const newest = new Map<string, number>()
  for (const revision of revisions) {
    if (!counts(revision, now)) continue
    const at = DateTime.toEpochMillis(revision.timestamp)
    for (const tag of revision.tags) newest.set(tag, Math.max(at, newest.get(tag) ?? at))
  }
  const isMissed = ([tag, { interval }]: [string, Schedule[string]]): boolean => {
    const at = newest.get(tag)
    return at === undefined || DateTime.toEpochMillis(now) - at > Duration.toMillis(interval)
  }
  return Object.entries(schedule).filter(isMissed).map(([tag]) => tag).sort()
}

/** The next run of a job: `first` when it has no revision yet, `catch-up` for what was missed, else `regular`. */
export interface Plan extends Due {
  readonly kind: "first" | "catch-up" | "regular"
}

/** What a plan depends on. */
export interface PlanInput {
  readonly schedule: Schedule
  readonly spread: Duration.Duration
  readonly revisions: ReadonlyArray<Dated>
  readonly now: DateTime.Utc
}

/**
 * When to run next, and with which tags: at once when there is no revision yet, or when tags were missed and the next
 * regular run is more than five minutes away; else at the next due instant, missed tags riding along. A schedule
 * without tags has no next run.
 */
export const plan = ({ now, revisions, schedule, spread }: PlanInput): Plan | undefined => {
  const due = nextDue(schedule, spread, now)
  if (due === undefined) return undefined
  const missed = missedTags(schedule, revisions, now)
  if (!revisions.some((revision) => revision.isComplete)) return { kind: "first", at: now, tags: missed }
  const isFar = DateTime.distance(now, due.at) > Duration.toMillis(CATCH_UP_AFTER)
  return missed.length > 0 && isFar
    ? { kind: "catch-up", at: now, tags: missed }
    : { kind: "regular", at: due.at, tags: Array.from(new Set([...due.tags, ...missed])).sort() }
}

/** How long to wait after so many failures in a row: 2, 4, 8 … minutes, at most six hours; nothing after none. */
export const retryDelay = (failures: number): Duration.Duration =>
  failures <= 0 ? Duration.zero : Duration.minutes(Math.min(2 ** failures, 360))

/** Whether a job has a backup that is young enough. */
export interface Sla {
  /** The newest revision that counts, if there is one. */
  readonly newest: DateTime.Utc | undefined
  /** The age of that revision, or of the job as long as it has none; never negative. */
  readonly age: Duration.Duration
  /** When the age is, or was, too high; never without tags. */
  readonly breachAt: DateTime.Utc | undefined
  readonly isOverdue: boolean
}

/** What an SLA depends on. */
export interface SlaInput {
  readonly schedule: Schedule
  readonly revisions: Iterable<Dated>
  readonly now: DateTime.Utc
  /** Since when the job exists: what counts as long as it has no backup. */
  readonly configuredSince: DateTime.Utc
}

/** A job is overdue when its newest revision that counts is older than one and a half times its shortest interval. */
export const sla = ({ configuredSince, now, revisions, schedule }: SlaInput): Sla => {
  let newest: DateTime.Utc | undefined
  for (const revision of revisions) {
    if (!counts(revision, now)) continue
    if (newest === undefined || DateTime.greaterThan(revision.timestamp, newest)) newest = revision.timestamp
  }
  const since = newest ?? configuredSince
  const age = Math.max(0, DateTime.distance(since, now))
  const interval = shortest(schedule)
  const limit = interval === undefined ? undefined : interval * 1.5
  return {
    newest,
    age: Duration.millis(age),
    breachAt: limit === undefined ? undefined : DateTime.addDuration(since, Duration.millis(limit)),
    isOverdue: limit !== undefined && age > limit
  }
}
