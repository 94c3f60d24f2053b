/** Who may run now: two pools of slots, so that short jobs pass long ones. Pure. */

/** Jobs whose last backup took less than ten minutes are fast; a job without one is slow. */
export type Pool = "fast" | "slow"

/** A backup of this length, in seconds, makes a job slow. */
const SLOW_FROM = 600

/** The pool of a job by how long its last backup took, in seconds. */
export const poolOf = (lastDuration: number | undefined): Pool =>
  lastDuration !== undefined && lastDuration < SLOW_FROM ? "fast" : "slow"

/** Who wants to run. */
export interface Applicant {
  readonly job: string
  readonly pool: Pool
  /** It has no revision yet. */
  readonly isFirst: boolean
  /** It converts what the ancestor stored, which takes up to one more copy of the image for a time. */
  readonly converts: boolean
  /** Somebody asked for it and waits. */
  readonly isRequested: boolean
  /** When its SLA is, or was, broken. */
  readonly breachAt: number
}

/** Who runs and who waits; both pools have `limit` slots. */
export interface Crowd {
  readonly limit: number
  readonly running: ReadonlyArray<Applicant>
  readonly waiting: ReadonlyArray<Applicant>
}

/** First runs get half of the slow slots, and at least one. */
export const firstLimit = (limit: number): number => Math.max(1, Math.floor(limit / 2))

/** Those asked for first, then the earliest SLA breach; the name decides between equals. */
const before = (a: Applicant, b: Applicant): number =>
  Number(b.isRequested) - Number(a.isRequested) || compare(a.breachAt, b.breachAt) || (a.job < b.job ? -1 : 1)

// not a subtraction: both may be infinite
const compare = (a: number, b: number): number => a < b ? -1 : a > b ? 1 : 0

/** Those of the waiting that may begin now, in order; of each pool one at a time that converts. A limit that was lowered ends nobody's run. */
export const admit = ({ limit, running, waiting }: Crowd): ReadonlyArray<Applicant> => {
  const free = {
    fast: limit - running.filter(({ pool }) => pool === "fast").length,
    slow: limit - running.filter(({ pool }) => pool === "slow").length
  }
  let first = firstLimit(limit) - running.filter(({ isFirst }) => isFirst).length
  if (free.fast <= 0 && free.slow <= 0) return []
  const converting = new Set(running.filter(({ converts }) => converts).map(({ pool }) => pool))
  const admitted: Array<Applicant> = []
  for (const applicant of [...waiting].sort(before)) {
    const { converts, isFirst, pool } = applicant
    if (free[pool] <= 0 || (isFirst && first <= 0) || (converts && converting.has(pool))) continue
    free[pool]--
    if (isFirst) first--
    if (converts) converting.add(pool)
    admitted.push(applicant)
  }
  return admitted
}

/** So many new jobs for each slot that they may have are no crowd. */
const CROWD = 8

/**
 * When new jobs may begin. A few begin at once, and wait only for slots; when there are many, they begin spread over
 * `span` milliseconds from when they were configured, each at its own `fraction` of it.
 */
export const firstRunAt = (options: {
  readonly configuredSince: number
  readonly newJobs: number
  readonly limit: number
  readonly fraction: number
  readonly span: number
}): number =>
  options.newJobs <= CROWD * firstLimit(options.limit)
    ? options.configuredSince
    : options.configuredSince + Math.floor(options.fraction * options.span)
