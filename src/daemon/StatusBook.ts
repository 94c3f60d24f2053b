/**
 * What is said of each job, made again only when something of it has changed: a thousand jobs are asked for twice a
 * minute and with each command of the shell, and hardly any of them has news.
 */
import * as DateTime from "effect/DateTime"
import type { JobStatus } from "../domain/JobStatus.ts"
import * as Job from "./Job.ts"
import { encodeJob, join } from "./StatusFile.ts"
import { type DaemonTrouble, statusOf } from "./view.ts"

/** One job's entry. */
export interface Entry {
  readonly status: JobStatus
  /** The same as a block of the status file. */
  readonly text: string
}

export interface StatusBook {
  /** What is to be said of a job now. */
  readonly entryOf: (job: Job.Job, now: number, trouble: DaemonTrouble) => Entry
}

interface Kept extends Entry {
  /** Everything that a status is made of: the job's own is replaced, never changed. */
  readonly of: ReadonlyArray<unknown>
  /** The time in which it says the same, in milliseconds since 1970. */
  readonly from: number
  readonly until: number
}

/** A book without entries. Forgets a job with the job itself. */
export const make = (): StatusBook => {
  const kept = new WeakMap<Job.Job, Kept>()
  return {
    entryOf: (job, now, trouble) => {
      const of = partsOf(job, trouble)
      const old = kept.get(job)
      if (
        old !== undefined && now >= old.from && now < old.until && old.of.every((part, index) => part === of[index])
      ) return old
      const status = statusOf(job, now, trouble)
      const entry = { status, text: encodeJob(status), of, from: now, until: changesAt(job, now) }
      kept.set(job, entry)
      return entry
    }
  }
}

/** Makes the status file of entries; the same bytes as before when they are the same entries, as they mostly are. */
export const binder = (): (entries: ReadonlyArray<Entry>) => Uint8Array => {
  let bound: { readonly of: ReadonlyArray<Entry>; readonly bytes: Uint8Array } | undefined
  return (entries) => {
    const old = bound
    if (old?.of.length === entries.length && entries.every((entry, index) => entry === old.of[index])) return old.bytes
    const bytes = new TextEncoder().encode(join(entries.map(({ text }) => text)))
    bound = { of: entries, bytes }
    return bytes
  }
}

const partsOf = (job: Job.Job, { reloadRefused, stateTrouble }: DaemonTrouble): ReadonlyArray<unknown> => [
  job.config,
  job.facts,
  job.unreadable,
  job.record,
  job.activity,
  job.troubles,
  job.busy,
  job.stalledAt,
  // each look is a new one, and most find the same
  job.look?.at,
  job.look?.tags.join(),
  reloadRefused,
  stateTrouble
]

/** When time alone makes another status of it: at once while it is overdue, because that is counted in seconds. */
const changesAt = (job: Job.Job, now: number): number => {
  const { breachAt, isOverdue } = Job.slaOf(job, now)
  if (isOverdue) return now
  const future = job.facts.revisions.map(({ timestamp }) => DateTime.toEpochMillis(timestamp)).filter((at) => at > now)
  // overdue is what is older, not what is just as old
  return Math.min(breachAt === undefined ? Infinity : DateTime.toEpochMillis(breachAt) + 1, ...future)
}
