/**
 * When a job runs, decided without a clock, files or processes: a pure function of the job's schedule, its history and
 * the time, and the Effect `Schedule` that a job's loop follows, which is nothing but that function stepped.
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as ScheduleDecision from "effect/ScheduleDecision"
import * as ScheduleInterval from "effect/ScheduleInterval"
import type * as Schedules from "../domain/JobConfig.ts"
import * as Timetable from "../domain/Timetable.ts"
import { counts } from "../domain/Trust.ts"

/** What is known of a job when it is decided; all of it survives a restart. Instants are milliseconds since 1970. */
export interface Job {
  readonly schedule: Schedules.Schedule
  readonly spread: Duration.Duration
  readonly revisions: ReadonlyArray<Timetable.Dated>
  /** After a failure, or while another process was busy with the repository. */
  readonly notBefore: number | undefined
  /** When a job without any revision may begin. */
  readonly firstRunAt: number
}

/** What one look leaves for the next: until when the timetable has been followed, and what it asked for since. */
export interface Memory {
  readonly lookedAt: number
  /** Tags whose due instant came while somebody looked and that no revision has yet, with that instant. */
  readonly owed: Readonly<Record<string, number>>
}

/** What a look finds: when the job runs next, and with which tags. Without any tags in the schedule `at` is infinite. */
export interface Look {
  readonly kind: "first" | "catch-up" | "regular"
  readonly at: number
  readonly tags: ReadonlyArray<string>
  /** When it was decided. */
  readonly lookedAt: number
}

/** A first run waits at most so long for its turn among many new jobs. */
export const FIRST_RUNS_SPREAD = Duration.hours(1)

/** No wait after a failure is longer. */
const MAX_RETRY = Duration.hours(6)

/** What a loop knows that has just begun. */
export const begin = (now: number): Memory => ({ lookedAt: now, owed: {} })

/** The tags that have a due instant after `after`, and not after `now`. */
const reached = (
  schedule: Schedules.Schedule,
  spread: Duration.Duration,
  after: number,
  now: number
): ReadonlyArray<string> =>
  Object.entries(schedule).flatMap(([tag, rule]) => {
    const due = Timetable.nextDue({ [tag]: rule }, spread, DateTime.unsafeMake(after))
    return due !== undefined && DateTime.toEpochMillis(due.at) <= now ? [tag] : []
  })

/** Whether a revision of that instant or later has the tag. */
const isMade = (revisions: ReadonlyArray<Timetable.Dated>, tag: string, since: number, now: DateTime.Utc): boolean =>
  revisions.some((revision) =>
    revision.tags.includes(tag) && DateTime.toEpochMillis(revision.timestamp) >= since && counts(revision, now)
  )

/**
 * Decides when the job runs next. A clock that was set back neither makes it wait for the old time nor forget what is
 * owed; one that was set forward makes it run once for all that came due.
 */
export const decide = (job: Job, memory: Memory, now: number): readonly [Memory, Look] => {
  const { revisions, schedule, spread } = job
  const instant = DateTime.unsafeMake(now)
  const owed: Record<string, number> = {}
  for (const [tag, since] of Object.entries(memory.owed)) {
    const from = Math.min(since, now)
    if (Object.hasOwn(schedule, tag) && !isMade(revisions, tag, from, instant)) owed[tag] = from
  }
  const from = Math.min(memory.lookedAt, now)
  for (const tag of from === now ? [] : reached(schedule, spread, from, now)) {
    // made by somebody else, or by a run that began before this instant's look
    if (!isMade(revisions, tag, from, instant)) owed[tag] ??= now
  }
  const next: Memory = { lookedAt: now, owed }
  const plan = Timetable.plan({ schedule, spread, revisions, now: instant })
  if (plan === undefined) return [next, { kind: "regular", at: Infinity, tags: [], lookedAt: now }]
  const waiting = Object.keys(owed)
  const isOwed = plan.kind === "regular" && waiting.length > 0
  const tags = waiting.length === 0
    ? plan.tags
    : withAll(waiting, isOwed ? Timetable.missedTags(schedule, revisions, instant) : plan.tags)
  const planned = isOwed ? now : DateTime.toEpochMillis(plan.at)
  const first = plan.kind === "first" ? Math.min(job.firstRunAt, now + Duration.toMillis(FIRST_RUNS_SPREAD)) : 0
  return [next, { kind: plan.kind, at: Math.max(planned, first, job.notBefore ?? 0), tags, lookedAt: now }]
}

const withAll = (some: Iterable<string>, others: Iterable<string>): ReadonlyArray<string> =>
  Array.from(new Set([...some, ...others])).sort()

/** The tags of a run that begins now, later than the look that asked for it: whatever has come due meanwhile, too. */
export const currentTags = (job: Job, look: Look, now: number): ReadonlyArray<string> =>
  withAll(
    look.tags.filter((tag) => Object.hasOwn(job.schedule, tag)),
    [
      ...Timetable.missedTags(job.schedule, job.revisions, DateTime.unsafeMake(now)),
      ...reached(job.schedule, job.spread, Math.min(look.lookedAt, now), now)
    ]
  )

/** The tags of a run that somebody asked for: what is missed, and what would be made next anyway. */
export const requestedTags = (job: Job, look: Look, now: number): ReadonlyArray<string> => {
  const due = Timetable.nextDue(job.schedule, job.spread, DateTime.unsafeMake(now))
  return withAll(currentTags(job, look, now), due?.tags ?? [])
}

/**
 * Until when every look finds what this one found, as long as nothing but time passes; not after the look itself when
 * that takes more to say: after failures, for new jobs, and while a run is late.
 */
export const staysUntil = ({ notBefore, revisions, schedule }: Job, { at, kind, lookedAt }: Look): number => {
  if (kind !== "regular" || notBefore !== undefined) return lookedAt
  const now = DateTime.unsafeMake(lookedAt)
  let until = at
  const newest = new Map<string, number>()
  for (const revision of revisions) {
    const made = DateTime.toEpochMillis(revision.timestamp)
    // from then on it is no longer one of the future
    if (made > lookedAt) until = Math.min(until, made)
    if (!counts(revision, now)) continue
    for (const tag of revision.tags) newest.set(tag, Math.max(made, newest.get(tag) ?? made))
  }
  for (const [tag, { interval }] of Object.entries(schedule)) {
    // missed is what is older than its interval, not what is just as old
    const missed = (newest.get(tag) ?? -Infinity) + Duration.toMillis(interval) + 1
    if (missed > lookedAt) until = Math.min(until, missed)
  }
  return until
}

/** The next look after `now` within `lookEvery`, each job at its own time: a thousand of them do not look at once. */
export const nextLook = (spread: Duration.Duration, lookEvery: Duration.Duration, now: number): number => {
  const every = Duration.toMillis(lookEvery)
  const passed = (now - Duration.toMillis(spread)) % every
  return now + every - (passed + every) % every
}

/**
 * The `Schedule` that a job's loop follows. Each step takes what is known of the job, decides, and waits for the run;
 * but at most for `lookEvery`, so that a clock that was set, a machine that slept and a timer of more than 24.8 days do
 * no harm. It gives the look, and whether the run is due now. Its only state besides the persisted history is `Memory`.
 */
export const dueSchedule = (
  lookEvery: Duration.Duration
): Schedule.Schedule<Look & { readonly isDue: boolean }, Job> =>
  Schedule.makeWithState<Memory | undefined, Job, Look & { readonly isDue: boolean }>(
    undefined,
    (now, job, memory) =>
      Effect.sync(() => {
        const [next, look] = decide(job, memory ?? begin(now), now)
        const wake = Math.min(look.at, nextLook(job.spread, lookEvery, now))
        const decision = ScheduleDecision.continueWith(ScheduleInterval.after(wake))
        return [next, { ...look, isDue: look.at <= wake }, decision]
      })
  )

/** What a step of it gives; its state is nobody else's business. */
export type Step = readonly [
  state: unknown,
  look: Look & { readonly isDue: boolean },
  decision: ScheduleDecision.ScheduleDecision
]

/** The milliseconds from `now` until the step after a decision. */
export const waitOf = (decision: ScheduleDecision.ScheduleDecision, now: number): number =>
  ScheduleDecision.isDone(decision)
    ? Infinity
    : Math.max(0, Math.min(...Array.from(decision.intervals.intervals, ({ startMillis }) => startMillis)) - now)

/**
 * Waits after failures: 2, 4, 8 … minutes, at most six hours. What is left of it after some failures is an exponential
 * again, so a daemon that was restarted goes on where it was.
 */
export const retrySchedule = (failures: number): Schedule.Schedule<unknown> =>
  Schedule.exponential(Duration.minutes(2 ** Math.min(Math.max(failures, 1), 20)), 2).pipe(
    Schedule.union(Schedule.spaced(MAX_RETRY))
  )

/** When to try again after so many failures in a row, the last one just now. */
export const retryAt = (failures: number, now: number): number => {
  const schedule = retrySchedule(failures)
  // a step of these combinators asks nobody anything
  const [, , decision] = Effect.runSync(schedule.step(now, undefined, schedule.initial))
  return now + Math.min(waitOf(decision, now), Duration.toMillis(MAX_RETRY))
}
