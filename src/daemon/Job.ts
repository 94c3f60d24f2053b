/** What the daemon knows of one job while it runs. Changed only by the job's own loop and by a reload. */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import type * as Queue from "effect/Queue"
import * as Redacted from "effect/Redacted"
import type { DaemonConfig, DaemonJob } from "../config/DaemonConfig.ts"
import * as Timetable from "../domain/Timetable.ts"
import { counts } from "../domain/Trust.ts"
import * as Admission from "./admission.ts"
import * as Due from "./dueSchedule.ts"
import { type Facts, type Known, nothing } from "./JobHistory.ts"
import type { Trouble } from "./JobRunner.ts"
import type { JobRecord } from "./JobState.ts"

/** What a job does now. Instants are milliseconds since 1970. */
export type Activity =
  | { readonly _tag: "Idle" }
  | { readonly _tag: "Waiting"; readonly pool: Admission.Pool; readonly since: number }
  | {
    readonly _tag: "Running"
    readonly pool: Admission.Pool
    readonly since: number
    readonly tags: ReadonlyArray<string>
    readonly step: string
    readonly report: string | undefined
  }

export interface Job {
  config: DaemonJob
  spread: Duration.Duration
  facts: Facts
  /** Why the facts are not known, or not up to date. */
  unreadable: string | undefined
  record: JobRecord
  activity: Activity
  look: Due.Look | undefined
  /** Somebody asked for a run. */
  isRequested: boolean
  /** It is no longer configured; its loop ends when it can. */
  isRetired: boolean
  /** The last run did not end well, or nobody knows how it ended: purge after the next. */
  isUnclean: boolean
  /** When a purge found the lock held at last, if that was since the daemon began. */
  purgeTriedAt: number | undefined
  /** What went wrong at last, with the backup or after it; none once a run went well. */
  troubles: ReadonlyArray<Trouble>
  busy: { readonly since: number; readonly holder: string } | undefined
  stalledAt: number | undefined
  /** Wakes the loop. */
  readonly bell: Queue.Queue<void>
}

/** How a job's grid is shifted, and its place among many new jobs: the hash of its name. */
export type HashOf = (name: string) => Uint8Array

/** A job that has just been configured, or of which only the record is known. */
export const make = (config: DaemonJob, record: JobRecord, hash: HashOf, bell: Queue.Queue<void>): Job => ({
  config,
  spread: Timetable.spreadOf(hash(config.name), config.schedule),
  facts: nothing,
  unreadable: undefined,
  record,
  activity: { _tag: "Idle" },
  look: undefined,
  isRequested: false,
  isRetired: false,
  isUnclean: true,
  purgeTriedAt: undefined,
  troubles: [],
  busy: undefined,
  stalledAt: undefined,
  bell
})

/** Whether it never had a backup: not even one that is distrusted now. */
export const isNew = ({ facts }: Job): boolean => !facts.revisions.some(({ isComplete }) => isComplete)

/**
 * Whether its next backup makes ours of what the ancestor stored. A file is read as a whole; other sources tell what
 * has changed since the last revision, and the rest of that is converted.
 */
export const converts = ({ config, facts }: Job): boolean =>
  config.source.type !== "file" && facts.revisions.findLast(({ isComplete }) => isComplete)?.isLegacy === true

/** The newest revision that counts as a backup. */
export const newest = ({ facts }: Job, now: number): Known | undefined => {
  const instant = DateTime.unsafeMake(now)
  return facts.revisions.findLast((revision) => counts(revision, instant))
}

/** Whether and since when it is overdue. */
export const slaOf = ({ config, facts, record }: Job, now: number): Timetable.Sla =>
  Timetable.sla({
    schedule: config.schedule,
    revisions: facts.revisions,
    now: DateTime.unsafeMake(now),
    configuredSince: DateTime.unsafeMake(Math.min(record.configuredSince, now))
  })

/** A job whose repository another process has waits at most so long. */
export const BUSY_MINUTES = 5

/** A purge that found the lock held is tried again after so long, in milliseconds: the next backup may be a week away. */
const PURGE_AGAIN = 60 * 60_000

/** When to try a purge again without a backup before it; infinite while none is kept waiting. */
export const purgeAgainAt = ({ purgeTriedAt, record: { purgeBlocked } }: Job): number =>
  purgeBlocked === undefined ? Infinity : (purgeTriedAt ?? purgeBlocked.since) + PURGE_AGAIN

/**
 * The record without instants that a clock which was set back left too far in the future. It has to be kept: what is
 * bounded anew with each look moves on with the clock.
 */
export const bounded = (record: JobRecord, now: number): JobRecord => {
  const { configuredSince, failures, notBefore, purgeBlocked } = record
  const latest = now + Math.max(Duration.toMillis(Timetable.retryDelay(failures)), BUSY_MINUTES * 60_000)
  return configuredSince <= now && (notBefore ?? 0) <= latest && (purgeBlocked?.since ?? 0) <= now ? record : {
    failures,
    configuredSince: Math.min(configuredSince, now),
    notBefore: notBefore === undefined ? undefined : Math.min(notBefore, latest),
    purgeBlocked: purgeBlocked === undefined
      ? undefined
      : { ...purgeBlocked, since: Math.min(purgeBlocked.since, now) }
  }
}

/** What decides when it runs; `limit` and `newJobs` are those of the daemon. */
export const dueOf = (
  job: Job,
  { hash, limit, newJobs }: { readonly hash: HashOf; readonly limit: number; readonly newJobs: number }
): Due.Job => ({
  schedule: job.config.schedule,
  spread: job.spread,
  revisions: job.facts.revisions,
  notBefore: job.record.notBefore,
  firstRunAt: isNew(job)
    ? Admission.firstRunAt({
      configuredSince: job.record.configuredSince,
      newJobs,
      limit,
      fraction: fraction(hash(job.config.name)),
      // no longer than until they would be due anyway
      span: Math.min(
        Duration.toMillis(Due.FIRST_RUNS_SPREAD),
        ...Object.values(job.config.schedule).map(({ interval }) => Duration.toMillis(interval))
      )
    })
    : 0
})

/** Not the bytes of the spread: a job's place in the hour has nothing to do with its place in the day. */
const fraction = (hash: Uint8Array): number => ((hash[8] ?? 0) * 256 + (hash[9] ?? 0)) / 65_536

/** The job as one who wants a slot. */
export const applicantOf = (job: Job, now: number): Admission.Applicant => {
  const { breachAt } = slaOf(job, now)
  return {
    job: job.config.name,
    pool: Admission.poolOf(newest(job, now)?.duration),
    isFirst: isNew(job),
    converts: converts(job),
    isRequested: job.isRequested,
    breachAt: breachAt === undefined ? Infinity : DateTime.toEpochMillis(breachAt)
  }
}

/** Another config for the same job. */
export const reconfigure = (job: Job, config: DaemonJob, hash: HashOf): void => {
  job.config = config
  job.spread = Timetable.spreadOf(hash(config.name), config.schedule)
  job.isRetired = false
}

/** Whether two configs of a job say the same. */
export const isSame = (a: DaemonJob, b: DaemonJob): boolean =>
  a.scheduleName === b.scheduleName && inWords(a.schedule) === inWords(b.schedule) &&
  inWords(a.source) === inWords(b.source)

/** A value as text, secrets included, which JSON alone would all call the same. For comparing, never for showing. */
const inWords = (value: unknown): string =>
  JSON.stringify(value, function(this: Readonly<Record<string, unknown>>, key, shown: unknown) {
    const own = this[key]
    return Redacted.isRedacted(own) ? { secret: Redacted.value(own) } : shown
  })

/** What a scheduler needs of the config. */
export type Runtime = Pick<
  DaemonConfig,
  "baseDir" | "workerLimit" | "backupCompletedCallback" | "settings" | "jobs"
>
