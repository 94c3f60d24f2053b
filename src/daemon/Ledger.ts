/** The records of all jobs in memory, and when they are written: `JobState` while the daemon runs. */
import * as Effect from "effect/Effect"
import * as Job from "./Job.ts"
import { type JobRecord, JobState, type Records } from "./JobState.ts"

export interface Ledger {
  /** The record of a job that is added: what the daemon before this one knew of it, or one that begins at `since`. */
  readonly open: (name: string, since: number) => JobRecord
  /** All jobs of the first config are there: who is added later has not been configured all the time. */
  readonly forget: () => void
  /** Whether what the daemon before this one knew cannot be read, until `forget`. */
  readonly isLost: () => boolean
  /** Changes a job's record; `save` writes it. */
  readonly change: (job: Job.Job, record: Partial<JobRecord>) => void
  /** Takes instants back that a clock which was set left in the future: see `Job.bounded`. */
  readonly bound: (job: Job.Job, now: number) => void
  /** There is something to save, though no record has changed: a job was added or taken out. */
  readonly touch: () => void
  /** Writes what has changed since the last time. A failure is told, kept, and tried again with the next. */
  readonly save: Effect.Effect<void>
  /** What keeps the state from being read or written, if anything does. */
  readonly trouble: () => string | undefined
}

/** A ledger of these jobs, over what was saved last. */
export const make = Effect.fnUntraced(function*(jobs: ReadonlyMap<string, Job.Job>) {
  const state = yield* JobState
  const saving = yield* Effect.makeSemaphore(1)
  let trouble: string | undefined
  let unsaved = false
  let isLost = false
  let remembered: Records = yield* state.load.pipe(
    Effect.catchAll((error) => {
      trouble = error.message
      isLost = true
      return Effect.as(
        Effect.logError(`${error.message}; jobs count as configured when their directory was`),
        new Map()
      )
    })
  )

  const change: Ledger["change"] = (job, record) => {
    job.record = { ...job.record, ...record }
    unsaved = true
  }

  return {
    open: (name, since) => {
      const record = remembered.get(name)
      unsaved ||= record === undefined
      return record ?? { configuredSince: since, failures: 0, notBefore: undefined, purgeBlocked: undefined }
    },
    forget: () => {
      remembered = new Map()
      isLost = false
    },
    isLost: () => isLost,
    change,
    bound: (job, now) => {
      const record = Job.bounded(job.record, now)
      if (record !== job.record) change(job, record)
    },
    touch: () => {
      unsaved = true
    },
    // whoever waits while another saves finds his change saved, too
    save: saving.withPermits(1)(Effect.suspend(() => {
      if (!unsaved) return Effect.void
      unsaved = false
      return state.save(new Map(Array.from(jobs, ([name, { record }]) => [name, record]))).pipe(
        Effect.match({
          onSuccess: () => void (trouble = undefined),
          onFailure: (error) => {
            unsaved = true
            trouble = error.message
          }
        }),
        Effect.tap(() => trouble === undefined ? Effect.void : Effect.logError(trouble))
      )
    })),
    trouble: () => trouble
  } satisfies Ledger
})
