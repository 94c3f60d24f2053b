/** What is said of a job: in the status file, in the shell's tables. Pure. */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import { counted } from "../domain/counted.ts"
import type { JobStatus } from "../domain/JobStatus.ts"
import { isManual } from "../domain/Tag.ts"
import * as Job from "./Job.ts"

/** What concerns all jobs. */
export interface DaemonTrouble {
  readonly reloadRefused: string | undefined
  readonly stateTrouble: string | undefined
}

const instant = (at: number | undefined): DateTime.Utc | null =>
  at === undefined || !Number.isFinite(at) ? null : DateTime.unsafeMake(at)

/** What it does, in upstream's words. */
const doing = ({ activity, busy, record, unreadable }: Job.Job): string => {
  switch (activity._tag) {
    case "Waiting":
      return `waiting for worker slot (${activity.pool})`
    case "Running":
      return `running (${activity.pool})`
    case "Idle":
      if (busy !== undefined) return "waiting for another process"
      if (record.failures > 0) return `failed ${counted(record.failures, "time")}, waiting for retry`
      return unreadable === undefined ? "waiting for deadline" : "unreadable"
  }
}

/** `backup: verifying 43 %`; a report that is not what we write is left out. */
const progressOf = (step: string, report: string | undefined): string => {
  if (report === undefined) return step
  try {
    const value: unknown = JSON.parse(report)
    if (typeof value !== "object" || value === null || !("phase" in value) || typeof value.phase !== "string") {
      return step
    }
    const phase = value.phase.replace(/[^a-z -]/g, "").slice(0, 40)
    const bytes = "bytes" in value ? Number(value.bytes) : Number.NaN
    const total = "total" in value ? Number(value.total) : Number.NaN
    const percent = total > 0 && bytes >= 0 ? ` ${Math.floor(Math.min(bytes / total, 1) * 100)} %` : ""
    return `${step}: ${phase}${percent}`
  } catch {
    return step
  }
}

/** Tags by their interval, the most frequent first; then those that the schedule does not know. */
const byInterval = ({ config: { schedule } }: Job.Job, tags: ReadonlyArray<string>): string =>
  [...tags].sort((a, b) => rank(schedule, a) - rank(schedule, b) || (a < b ? -1 : 1)).join(",")

const rank = (schedule: Job.Job["config"]["schedule"], tag: string): number => {
  const rule = Object.hasOwn(schedule, tag) ? schedule[tag] : undefined
  return rule === undefined ? Number.MAX_SAFE_INTEGER : Duration.toMillis(rule.interval)
}

/** Everything that is known of a job, as the status file has it. */
export const statusOf = (job: Job.Job, now: number, trouble: DaemonTrouble): JobStatus => {
  const { activity, busy, facts, look, record } = job
  const sla = Job.slaOf(job, now)
  const newest = Job.newest(job, now)
  const running = activity._tag === "Running"
  const manual = new Set(facts.revisions.flatMap(({ tags }) => tags.filter(isManual)))
  const next = running || look === undefined ? undefined : look
  const purge = job.troubles.find(({ isBusy, step }) => step === "purge" && !isBusy)?.sentence
  const problem = job.unreadable ?? job.troubles.map(({ sentence, step }) => `${step}: ${sentence}`).join("; ")
  return {
    job: job.config.name,
    sla: sla.isOverdue ? "TOO OLD" : "OK",
    sla_overdue: sla.isOverdue ? Math.floor(Duration.toSeconds(sla.age)) : 0,
    status: doing(job),
    last_time: newest?.timestamp ?? null,
    last_tags: newest === undefined ? null : byInterval(job, newest.tags),
    last_duration: newest?.duration ?? null,
    next_time: instant(next?.at),
    next_tags: next === undefined ? null : byInterval(job, next.tags),
    manual_tags: [...manual].sort().join(", "),
    quarantine_reports: facts.reports,
    configured_since: instant(record.configuredSince),
    running_since: running ? instant(activity.since) : null,
    progress: running ? progressOf(activity.step, activity.report) : null,
    failures: record.failures,
    problem: problem === "" ? null : problem.slice(0, 500),
    busy_since: instant(busy?.since),
    stalled: instant(job.stalledAt),
    purge_blocked: purge ?? record.purgeBlocked?.sentence ?? null,
    purge_blocked_since: purge === undefined ? instant(record.purgeBlocked?.since) : null,
    broken_revisions: facts.broken,
    reload_refused: trouble.reloadRefused ?? null,
    state_trouble: trouble.stateTrouble ?? null
  }
}
