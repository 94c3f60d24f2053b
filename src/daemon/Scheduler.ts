/**
 * Runs every job when it is due. What is due is decided by `dueSchedule`, who may run by `admission`, what a run is by
 * `JobRunner`; here is only who waits for what.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberMap from "effect/FiberMap"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Random from "effect/Random"
import * as Alarm from "./Alarm.ts"
import * as Due from "./dueSchedule.ts"
import * as Job from "./Job.ts"
import { JobHistory } from "./JobHistory.ts"
import { directoryOf, JobRunner, type Outcome } from "./JobRunner.ts"
import { JobState, type Records } from "./JobState.ts"
import * as Slots from "./Slots.ts"

export interface Options {
  /** The SHA-256 of a name. */
  readonly hash: Job.HashOf
  /** No job is left alone for longer, whatever clocks and timers do. */
  readonly lookEvery: Duration.Duration
}

/** What came of asking for a run. */
export type Requested = "requested" | "running" | "unknown"

export class Scheduler extends Context.Tag("backy/daemon/Scheduler")<Scheduler, {
  /** Runs by this config from now on. Running backups of changed and removed jobs are left to finish. */
  readonly configure: (config: Job.Runtime) => Effect.Effect<void>
  /** All configured jobs, sorted by name, as they are now. To be read, not kept. */
  readonly jobs: Effect.Effect<ReadonlyArray<Job.Job>>
  /** Runs a job as soon as there is a slot. Refused during a run. */
  readonly request: (name: string) => Effect.Effect<Requested>
  /** What keeps the daemon's own state from being read or written, if anything does. */
  readonly stateTrouble: Effect.Effect<string | undefined>
}>() {}

const make = Effect.fnUntraced(function*({ hash, lookEvery }: Options) {
  const history = yield* JobHistory
  const runner = yield* JobRunner
  const state = yield* JobState
  const jobs = new Map<string, Job.Job>()
  const loops = yield* FiberMap.make<string>()
  const alarm = yield* Alarm.make
  const slots = Slots.make(1)
  const saving = yield* Effect.makeSemaphore(1)
  let config: Job.Runtime = { baseDir: "/", workerLimit: 1, backupCompletedCallback: undefined, settings: {}, jobs: [] }
  let stateTrouble: string | undefined
  let unsaved = false
  let isStateLost = false

  /** Of the daemon before this one; who is added later has not been configured all the time. */
  let remembered: Records = yield* state.load.pipe(
    Effect.catchAll((error) => {
      stateTrouble = error.message
      isStateLost = true
      return Effect.as(
        Effect.logError(`${error.message}; jobs count as configured when their directory was`),
        new Map()
      )
    })
  )

  /** Whoever waits while another saves finds his change saved, too. */
  const save = saving.withPermits(1)(Effect.suspend(() => {
    if (!unsaved) return Effect.void
    unsaved = false
    return state.save(new Map(Array.from(jobs, ([name, { record }]) => [name, record]))).pipe(
      Effect.match({
        onSuccess: () => void (stateTrouble = undefined),
        onFailure: (error) => {
          unsaved = true
          stateTrouble = error.message
        }
      }),
      Effect.tap(() => stateTrouble === undefined ? Effect.void : Effect.logError(stateTrouble))
    )
  }))

  const change = (job: Job.Job, record: Partial<Job.Job["record"]>): void => {
    job.record = { ...job.record, ...record }
    unsaved = true
  }

  /** Set back by a year, the clock would keep a job without backups green for a year, and one that failed waiting. */
  const bound = (job: Job.Job, now: number): void => {
    const record = Job.bounded(job.record, now)
    if (record !== job.record) change(job, record)
  }

  /** Looks what the repository holds now. What cannot be read stays as it was. */
  const refresh = Effect.fnUntraced(function*(job: Job.Job) {
    const facts = yield* Effect.either(history.read(directoryOf(config, job.config)))
    job.unreadable = facts._tag === "Left" ? facts.left.message : undefined
    if (facts._tag === "Right") job.facts = facts.right
    bound(job, yield* Clock.currentTimeMillis)
  })

  const settle = Effect.fnUntraced(function*(job: Job.Job, tags: ReadonlyArray<string>, outcome: Outcome) {
    const now = yield* Clock.currentTimeMillis
    job.busy = outcome._tag === "Busy" ? { since: job.busy?.since ?? now, holder: outcome.holder } : undefined
    job.stalledAt = outcome._tag === "Failed" && outcome.isStalled ? now : undefined
    switch (outcome._tag) {
      case "Done": {
        job.facts = outcome.facts
        job.troubles = outcome.troubles
        job.isUnclean = outcome.troubles.some(({ step }) => step === "purge")
        yield* Effect.forEach(outcome.troubles, ({ sentence, step }) => Effect.logWarning(`${step}: ${sentence}`))
        if (job.record.failures > 0 || job.record.notBefore !== undefined) {
          change(job, { failures: 0, notBefore: undefined })
        }
        return yield* Effect.logInfo(`made ${tags.join(",")}`)
      }
      case "Busy": {
        const minutes = yield* Random.nextRange(1, Job.BUSY_MINUTES)
        change(job, { notBefore: now + Math.round(minutes * 60_000) })
        return yield* Effect.logWarning(`busy, trying again in ${minutes.toFixed(1)} minutes: ${outcome.holder}`)
      }
      case "Failed": {
        const failures = job.record.failures + 1
        const notBefore = Due.retryAt(failures, now)
        job.isUnclean = true
        job.troubles = [outcome.trouble]
        change(job, { failures, notBefore })
        const span = Duration.format(Duration.millis(notBefore - now))
        return yield* Effect.logError(
          `${outcome.trouble.step} failed (${failures} in a row), trying again in ${span}: ${outcome.trouble.sentence}`
        )
      }
    }
  })

  /** One run in a slot. Everything may have changed since it was asked for. */
  const run = Effect.fnUntraced(function*(job: Job.Job, look: Due.Look, pool: "fast" | "slow") {
    const requested = job.isRequested
    job.isRequested = false
    yield* refresh(job)
    const now = yield* Clock.currentTimeMillis
    const due = Job.dueOf(job, { hash, limit: config.workerLimit, newJobs: 0 })
    const tags = requested ? Due.requestedTags(due, look, now) : Due.currentTags(due, look, now)
    if (job.isRetired || tags.length === 0) return
    const running = { _tag: "Running", pool, since: now, tags } as const
    job.activity = { ...running, step: "config", report: undefined }
    yield* Effect.logInfo(`making ${tags.join(",")}${requested ? " on request" : ""}`)
    const outcome = yield* runner.run({
      job: job.config,
      config,
      tags,
      purge: job.isUnclean,
      onProgress: ({ report, step }) => void (job.activity = { ...running, step, report })
    })
    yield* settle(job, tags, outcome)
    // what else runs in this slot must not see the old state after a power loss
    yield* save
  })

  const inSlot = Effect.fnUntraced(function*(job: Job.Job, look: Due.Look) {
    const now = yield* Clock.currentTimeMillis
    const applicant = Job.applicantOf(job, now)
    job.activity = { _tag: "Waiting", pool: applicant.pool, since: now }
    yield* slots.inSlot(applicant, run(job, look, applicant.pool))
  }, (effect, job) => Effect.ensuring(effect, Effect.sync(() => void (job.activity = { _tag: "Idle" }))))

  /** A bug in one job's run is that run's failure, and no other job's. */
  const survived = (job: Job.Job) => (cause: Cause.Cause<never>) =>
    Cause.isInterruptedOnly(cause) ? Effect.failCause(cause) : Effect.zipRight(
      Effect.logError("a bug in backy's scheduler", cause),
      settle(job, [], {
        _tag: "Failed",
        trouble: { step: "backup", sentence: "a bug in backy's scheduler; its log has more" },
        isStalled: false
      })
    )

  const due = Due.dueSchedule(lookEvery)

  const loop = (job: Job.Job) =>
    Effect.gen(function*() {
      // as `Schedule.driver` does it, but for the wait, which all jobs have in common
      let state: unknown = due.initial
      while (true) {
        if (job.isRetired) {
          // at once with looking: a reload that comes later makes a new job, one that came before kept this
          jobs.delete(job.config.name)
          return
        }
        yield* refresh(job)
        if (unsaved) yield* save
        const view = Job.dueOf(job, { hash, limit: config.workerLimit, newJobs: Job.isNew(job) ? countNew() : 0 })
        const now = yield* Clock.currentTimeMillis
        const step: Due.Step = yield* due.step(now, view, state)
        const [next, look, decision] = step
        state = next
        job.look = look
        const isOver = yield* alarm.wait(job.bell, Due.waitOf(decision, now))
        if (job.isRetired || !(isOver && look.isDue || job.isRequested)) continue
        yield* inSlot(job, look).pipe(Effect.catchAllCause(survived(job)))
      }
    }).pipe(
      Effect.annotateLogs("job", job.config.name)
    )

  const countNew = (): number => {
    let count = 0
    for (const job of jobs.values()) if (Job.isNew(job)) count++
    return count
  }

  const ring = (job: Job.Job) => Queue.offer(job.bell, undefined)

  const add = Effect.fnUntraced(function*(one: Job.Runtime["jobs"][number], since: number) {
    const bell = yield* Queue.sliding<void>(1)
    const record = remembered.get(one.name) ?? { configuredSince: since, failures: 0, notBefore: undefined }
    const job = Job.make(one, record, hash, bell)
    jobs.set(one.name, job)
    if (!remembered.has(one.name)) unsaved = true
    return job
  })

  const configure = Effect.fn("Scheduler.configure")(function*(next: Job.Runtime) {
    const now = yield* Clock.currentTimeMillis
    config = next
    slots.resize(next.workerLimit)
    const names = new Set(next.jobs.map(({ name }) => name))
    for (const [name, job] of jobs) {
      if (names.has(name)) continue
      job.isRetired = true
      unsaved = true
      slots.giveUp(name)
      yield* ring(job)
    }
    const added: Array<Job.Job> = []
    for (const one of next.jobs) {
      const job = jobs.get(one.name)
      if (job === undefined) added.push(yield* add(one, now))
      else if (job.isRetired || !Job.isSame(job.config, one)) {
        Job.reconfigure(job, one, hash)
        // not only with its next look: the clock may be set forward again before that
        bound(job, now)
        yield* ring(job)
      }
    }
    // before any loop begins, so that each knows how many jobs are new
    yield* Effect.forEach(added, refresh, { concurrency: 16, discard: true })
    if (isStateLost) {
      for (const job of added) change(job, { configuredSince: Math.min(now, job.facts.configAt ?? now) })
    }
    remembered = new Map()
    isStateLost = false
    yield* Effect.forEach(added, (job) => FiberMap.run(loops, job.config.name, loop(job)), { discard: true })
    yield* save
  }, Effect.uninterruptible)

  return Scheduler.of({
    configure,
    jobs: Effect.sync(() =>
      [...jobs.values()].filter(({ isRetired }) => !isRetired).sort((a, b) => a.config.name < b.config.name ? -1 : 1)
    ),
    request: (name) =>
      Effect.suspend(() => {
        const job = jobs.get(name)
        if (job === undefined || job.isRetired) return Effect.succeed("unknown")
        if (job.activity._tag === "Running") return Effect.succeed("running")
        job.isRequested = true
        // who waits already comes back at once, and before the others
        slots.giveUp(name)
        return Effect.as(ring(job), "requested")
      }),
    stateTrouble: Effect.sync(() => stateTrouble)
  })
})

/** A scheduler without jobs until it is configured. Ends its runs with the scope. */
export const layer = (options: Options): Layer.Layer<Scheduler, never, JobHistory | JobRunner | JobState> =>
  Layer.scoped(Scheduler, make(options))
