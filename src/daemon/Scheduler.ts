/**
 * Runs every job when it is due. What is due is decided by `dueSchedule`, who may run by `admission`, what a run is by
 * `JobRunner`, what its end means by `settle`, what is remembered by `Ledger`; here is only who waits for what.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberMap from "effect/FiberMap"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Alarm from "./Alarm.ts"
import * as Due from "./dueSchedule.ts"
import * as Job from "./Job.ts"
import { JobHistory } from "./JobHistory.ts"
import { directoryOf, JobRunner } from "./JobRunner.ts"
import type { JobState } from "./JobState.ts"
import * as Ledger from "./Ledger.ts"
import { settle, settlePurge } from "./settle.ts"
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
  const jobs = new Map<string, Job.Job>()
  const ledger = yield* Ledger.make(jobs)
  const loops = yield* FiberMap.make<string>()
  const alarm = yield* Alarm.make
  const slots = Slots.make(1)
  let config: Job.Runtime = { baseDir: "/", workerLimit: 1, backupCompletedCallback: undefined, settings: {}, jobs: [] }

  /** Looks what the repository holds now. What cannot be read stays as it was. */
  const refresh = Effect.fnUntraced(function*(job: Job.Job) {
    const facts = yield* Effect.either(history.read(directoryOf(config, job.config)))
    job.unreadable = facts._tag === "Left" ? facts.left.message : undefined
    if (facts._tag === "Right") job.facts = facts.right
    // set back by a year, the clock would keep a job without backups green for a year, and one that failed waiting
    const now = yield* Clock.currentTimeMillis
    ledger.bound(job, now)
    if ((job.purgeTriedAt ?? 0) > now) job.purgeTriedAt = now
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
    yield* settle(job, ledger, tags, outcome)
    // what else runs in this slot must not see the old state after a power loss
    yield* ledger.save
  })

  /** A purge that found the lock held, once more in a slot. A run in between has done it. */
  const purgeAgain = Effect.fnUntraced(function*(job: Job.Job, pool: "fast" | "slow") {
    const now = yield* Clock.currentTimeMillis
    if (job.isRetired || job.isRequested || now < Job.purgeAgainAt(job)) return
    // whatever comes of it, not at once again
    job.purgeTriedAt = now
    const running = { _tag: "Running", pool, since: now, tags: [] } as const
    const trouble = yield* runner.purge({
      job: job.config,
      config,
      onProgress: ({ report, step }) => void (job.activity = { ...running, step, report })
    })
    const others = job.troubles.filter(({ step }) => step !== "purge")
    job.troubles = trouble === undefined ? others : [...others, trouble]
    yield* settlePurge(job, ledger, trouble)
    yield* trouble === undefined ? Effect.logInfo("purged") : Effect.logWarning(`purge: ${trouble.sentence}`)
    yield* ledger.save
  })

  const inSlot = Effect.fnUntraced(function*(job: Job.Job, look: Due.Look | undefined) {
    const now = yield* Clock.currentTimeMillis
    const applicant = Job.applicantOf(job, now)
    const { pool } = applicant
    job.activity = { _tag: "Waiting", pool, since: now }
    yield* look === undefined
      ? slots.inSlot({ ...applicant, isFirst: false, converts: false }, purgeAgain(job, pool))
      : slots.inSlot(applicant, run(job, look, pool))
  }, (effect, job) => Effect.ensuring(effect, Effect.sync(() => void (job.activity = { _tag: "Idle" }))))

  /** A bug in one job's run is that run's failure, and no other job's. */
  const survived = (job: Job.Job) => (cause: Cause.Cause<never>) =>
    Cause.isInterruptedOnly(cause) ? Effect.failCause(cause) : Effect.zipRight(
      Effect.logError("a bug in backy's scheduler", cause),
      settle(job, ledger, [], {
        _tag: "Failed",
        trouble: { step: "backup", sentence: "a bug in backy's scheduler; its log has more" },
        isStalled: false
      })
    )

  const due = Due.dueSchedule(lookEvery)

  /** Most looks would find what the last one found: how long to wait for the next when nothing but time has passed. */
  const rest = (job: Job.Job, { lookedAt }: Due.Look, until: number): Alarm.More =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      const next = Due.nextLook(job.spread, lookEvery, now)
      if (job.unreadable !== undefined || now < lookedAt || next >= until) return Effect.succeed(0)
      return Effect.map(history.isSame(directoryOf(config, job.config)), (isSame) => isSame ? next - now : 0)
    })

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
        yield* ledger.save
        const view = Job.dueOf(job, { hash, limit: config.workerLimit, newJobs: Job.isNew(job) ? countNew() : 0 })
        const now = yield* Clock.currentTimeMillis
        const step: Due.Step = yield* due.step(now, view, state)
        const [next, look, decision] = step
        state = next
        job.look = look
        const until = Math.min(Due.staysUntil(view, look), Job.purgeAgainAt(job))
        const more = look.isDue ? undefined : rest(job, look, until)
        const isOver = yield* alarm.wait(job.bell, Due.waitOf(decision, now), more)
        const isTime = isOver && look.isDue || job.isRequested
        if (job.isRetired || !(isTime || Job.purgeAgainAt(job) <= (yield* Clock.currentTimeMillis))) continue
        yield* inSlot(job, isTime ? look : undefined).pipe(Effect.catchAllCause(survived(job)))
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
    const job = Job.make(one, ledger.open(one.name, since), hash, bell)
    jobs.set(one.name, job)
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
      ledger.touch()
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
        ledger.bound(job, now)
        yield* ring(job)
      }
    }
    // before any loop begins, so that each knows how many jobs are new
    yield* Effect.forEach(added, refresh, { concurrency: 16, discard: true })
    if (ledger.isLost()) {
      for (const job of added) ledger.change(job, { configuredSince: Math.min(now, job.facts.configAt ?? now) })
    }
    ledger.forget()
    yield* Effect.forEach(added, (job) => FiberMap.run(loops, job.config.name, loop(job)), { discard: true })
    yield* ledger.save
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
    stateTrouble: Effect.sync(ledger.trouble)
  })
})

/** A scheduler without jobs until it is configured. Ends its runs with the scope. */
export const layer = (options: Options): Layer.Layer<Scheduler, never, JobHistory | JobRunner | JobState> =>
  Layer.scoped(Scheduler, make(options))
