/**
 * Whether all jobs have backups that are young enough, for Nagios, Icinga and their kin: one pure function of the
 * config, the status file and the time. What is not known is never green.
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import type { DaemonConfig, DaemonJob } from "../config/DaemonConfig.ts"
import { counted } from "../domain/counted.ts"
import type { JobStatus } from "../domain/JobStatus.ts"

/** As monitoring systems call the exit codes 0 to 3. */
export type Level = "OK" | "WARNING" | "CRITICAL" | "UNKNOWN"

/** One job that is not fine, or something worth telling of it. */
export interface Remark {
  readonly job: string
  readonly level: Level
  readonly text: string
}

export interface CheckReport {
  readonly level: Level
  /** What the first line says, without the performance data. */
  readonly summary: string
  readonly jobs: number
  readonly remarks: ReadonlyArray<Remark>
  readonly performance: ReadonlyArray<readonly [name: string, value: string]>
}

export interface CheckInput {
  readonly config: Pick<DaemonConfig, "jobs">
  readonly status: ReadonlyArray<JobStatus>
  /** When the status file was written, and when it is looked at; milliseconds since 1970. */
  readonly writtenAt: number
  readonly now: number
  /** What is odd about the base directory; none when nothing is. */
  readonly base?: string | undefined
}

/** A status file older than this is no news. In milliseconds. */
const STALE_AFTER = 5 * 60_000

/** A restore or an export may keep a purge waiting for so long. In milliseconds. */
const PURGE_WAITS = 24 * 60 * 60_000

/** Clocks of file servers may be ahead of ours by so much. In milliseconds. */
const AHEAD = 60_000

const levels: ReadonlyArray<Level> = ["OK", "WARNING", "CRITICAL", "UNKNOWN"]

/** The exit code of a level. */
export const exitCode = (level: Level): number => levels.indexOf(level)

/** A report that says why nothing is known. */
export const unknown = (reason: string): CheckReport => ({
  level: "UNKNOWN",
  summary: reason,
  jobs: 0,
  remarks: [],
  performance: []
})

/** A report that says why nothing can be right, before any job is looked at. */
export const critical = (reason: string): CheckReport => ({ ...unknown(reason), level: "CRITICAL" })

/** Judges all configured jobs. */
export const check = ({ base, config, now, status, writtenAt }: CheckInput): CheckReport => {
  const age = now - writtenAt
  if (age < -AHEAD) return unknown(`the status file is dated ${span(-age)} in the future: is the clock right?`)
  if (age > STALE_AFTER) {
    const summary = `the status file was written ${span(age)} ago: the scheduler does not run, or hangs`
    return { ...unknown(summary), level: "CRITICAL", performance: [["status_age", `${Math.floor(age / 1000)}s`]] }
  }
  const known = new Map(status.map((one) => [one.job, one]))
  // which of the two would be the truth?
  if (known.size < status.length) return unknown("the status file names a job twice: backy does not write such a one")
  const judged = config.jobs.map((job) => judge(job, known.get(job.name), now))
  const remarks = judged.flatMap((one) => one.remarks)
  const late = judged.filter(({ isLate }) => isLate).map(({ name }) => name)
  const warned = new Set(remarks.filter(({ level }) => level === "WARNING").map(({ job }) => job))
  const daemon = daemonRemarks(status, base)
  const ages = judged.flatMap((one) => one.age === undefined ? [] : [one.age])
  const performance = [
    ["jobs", String(config.jobs.length)],
    ["overdue", String(late.length)],
    ["warnings", String(warned.size)],
    // none rather than zero, which would look as good as it gets
    ...ages.length === 0 && config.jobs.length > 0
      ? []
      : [["oldest", `${Math.max(0, ...ages.map((age) => Math.floor(age / 1000)))}s`] as const],
    ["status_age", `${Math.max(0, Math.floor(age / 1000))}s`]
  ] satisfies CheckReport["performance"]
  const common = { jobs: config.jobs.length, remarks: [...daemon, ...remarks], performance }
  const total = count(config.jobs.length)
  if (late.length > 0) {
    return { ...common, level: "CRITICAL", summary: `${late.length} of ${total} not within SLA (${names(late)})` }
  }
  if (warned.size > 0) {
    const need = warned.size === 1 ? "needs" : "need"
    return { ...common, level: "WARNING", summary: `${warned.size} of ${total} ${need} a look (${names([...warned])})` }
  }
  if (daemon.length > 0) {
    return { ...common, level: "WARNING", summary: `${total} within SLA, but ${daemon[0]?.text ?? ""}` }
  }
  return { ...common, level: "OK", summary: `${total} within SLA` }
}

interface Judged {
  readonly name: string
  readonly isLate: boolean
  /** Of the newest backup, or of the job without one; milliseconds. None when nobody knows. */
  readonly age: number | undefined
  readonly remarks: ReadonlyArray<Remark>
}

const judge = (job: DaemonJob, status: JobStatus | undefined, now: number): Judged => {
  const { name } = job
  const remarks: Array<Remark> = []
  const add = (level: Level, text: string) => void remarks.push({ job: name, level, text })
  const shortest = Math.min(...Object.values(job.schedule).map(({ interval }) => Duration.toMillis(interval)))
  if (status === undefined) {
    add("CRITICAL", "the scheduler does not know this job: has it been reloaded?")
    return { name, isLate: true, age: undefined, remarks }
  }
  const isFuture = status.last_time !== null && millis(status.last_time) > now
  const last = status.last_time === null || isFuture ? undefined : millis(status.last_time)
  const since = last ?? (status.configured_since === null ? undefined : millis(status.configured_since))
  const age = since === undefined ? Infinity : Math.max(0, now - since)
  const isLate = age > shortest * 1.5
  if (isLate) {
    const why = status.problem === null ? "" : `; ${status.problem}`
    const doing = status.running_since === null
      ? ""
      : `; running for ${span(now - millis(status.running_since))} (${status.progress ?? status.status})`
    add(
      "CRITICAL",
      last === undefined
        ? `never backed up${since === undefined ? "" : `, configured ${span(age)} ago`}${doing}${why}`
        : `the newest backup is ${span(age)} old, allowed are ${span(shortest * 1.5)}${doing}${why}`
    )
  }
  if (isFuture) add("WARNING", "the newest backup is dated in the future and does not count")
  if (status.stalled !== null) add("WARNING", "the last run was ended because nothing moved")
  if (status.quarantine_reports > 0) {
    add("WARNING", `${status.quarantine_reports} quarantine report${status.quarantine_reports === 1 ? "" : "s"}`)
  }
  if (status.running_since !== null && now - millis(status.running_since) > shortest) {
    add(
      "WARNING",
      `the backup has been running for ${span(now - millis(status.running_since))}, longer than an interval`
    )
  }
  if (status.purge_blocked !== null) {
    const since = status.purge_blocked_since
    if (since === null) add("WARNING", `purge: ${status.purge_blocked}`)
    else if (now - millis(since) > PURGE_WAITS) {
      const day = new Date(millis(since)).toISOString().slice(0, 16).replace("T", " ")
      add("WARNING", `purge has had to wait since ${day} UTC: ${status.purge_blocked}`)
    }
  }
  if (status.broken_revisions > 0) {
    add("WARNING", `${counted(status.broken_revisions, "broken revision")}, named by backy status`)
  }
  if (status.busy_since !== null && now - millis(status.busy_since) > shortest) {
    add("WARNING", `another process has had the repository for ${span(now - millis(status.busy_since))}`)
  }
  if (status.manual_tags !== null && status.manual_tags !== "") add("OK", `manual tags: ${status.manual_tags}`)
  return { name, isLate, age: Number.isFinite(age) ? age : undefined, remarks }
}

/** The same with each job of the file, told once. */
const daemonRemarks = (status: ReadonlyArray<JobStatus>, base: string | undefined): ReadonlyArray<Remark> => {
  const refused = status.find(({ reload_refused: text }) => text !== null)?.reload_refused
  const state = status.find(({ state_trouble: text }) => text !== null)?.state_trouble
  return [
    ...base === undefined ? [] : [base],
    ...refused == null ? [] : [`the scheduler runs by an older config: ${refused}`],
    ...state == null ? [] : [state]
  ].map((text): Remark => ({ job: "-", level: "WARNING", text }))
}

const millis = (instant: DateTime.Utc): number => DateTime.toEpochMillis(instant)

const count = (jobs: number): string => `${jobs} job${jobs === 1 ? "" : "s"}`

/** As many as fit on a line. */
const names = (all: ReadonlyArray<string>): string =>
  all.length <= 10 ? all.join(", ") : `${all.slice(0, 10).join(", ")} and ${all.length - 10} more`

/** `3d 4h`, `2h 5m`, `40s`: two units are enough. */
const span = (length: number): string => {
  const seconds = Math.max(0, Math.floor(length / 1000))
  const parts = [[86_400, "d"], [3600, "h"], [60, "m"], [1, "s"]] as const
  const first = parts.findIndex(([size]) => seconds >= size)
  if (first < 0) return "0s"
  return parts.slice(first, first + 2)
    .map(([size, unit], index) => `${Math.floor((index === 0 ? seconds : seconds % parts[first]![0]) / size)}${unit}`)
    .filter((text, index) => index === 0 || !text.startsWith("0")).join(" ")
}

/** The report as monitoring systems read it: one line with performance data, then a line for each remark. */
export const lines = ({ level, performance, remarks, summary }: CheckReport): ReadonlyArray<string> => {
  // a bar would begin the performance data
  const plain = (text: string) => text.replaceAll("|", "/").replaceAll(/[\r\n]+/g, " ")
  const data = performance.map(([name, value]) => `${name}=${value}`).join(" ")
  return [
    `${level}: ${plain(summary)}${data === "" ? "" : ` | ${data}`}`,
    ...remarks.map(({ job, level, text }) =>
      plain(`${level === "OK" ? "info" : level.toLowerCase()}: ${job === "-" ? "" : `${job}: `}${text}`)
    )
  ]
}
