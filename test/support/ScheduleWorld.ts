/**
 * A machine with the daemon's scheduler on a virtual clock: the real loops, runner, state file and config files over a
 * simulated disk, and a `backy` whose backups take time, fail, hang, are busy or lie, as the world says.
 */
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import * as HashSet from "effect/HashSet"
import * as Layer from "effect/Layer"
import type { DaemonConfig, DaemonJob } from "../../src/config/DaemonConfig.ts"
import * as JobHistory from "../../src/daemon/JobHistory.ts"
import * as JobRunner from "../../src/daemon/JobRunner.ts"
import * as JobState from "../../src/daemon/JobState.ts"
import * as Scheduler from "../../src/daemon/Scheduler.ts"
import { statusOf } from "../../src/daemon/view.ts"
import type { JobStatus } from "../../src/domain/JobStatus.ts"
import * as NoRoom from "../../src/domain/noRoom.ts"
import * as Retention from "../../src/domain/Retention.ts"
import * as Revision from "../../src/domain/Revision.ts"
import { counts } from "../../src/domain/Trust.ts"
import * as Simulation from "../../src/library/Simulation.ts"
import * as BlockFile from "../../src/platform/BlockFile.ts"
import * as DiskFileSystem from "../../src/platform/diskFileSystem.ts"
import * as Hash from "../../src/platform/hash.ts"
import { randomNumbers, seeded } from "../../src/platform/MemoryChoices.ts"
import * as MemoryDisk from "../../src/platform/MemoryDisk.ts"
import * as Process from "../../src/platform/Process.ts"

const BASE = "/srv/backy"
export const MINUTE = 60_000
export const HOUR = 60 * MINUTE
export const DAY = 24 * HOUR

/** How backups of a job go while this lasts. */
export type Weather =
  | "fine"
  | "fails"
  | "hangs"
  | "busy"
  | "lies"
  | "slow"
  | "purge-fails"
  | "purge-blocked"
  | "no-room"

/** What a backup did, on a clock that nobody sets. */
export interface Attempt {
  readonly job: string
  readonly from: number
  to: number
  result: "running" | "made" | "failed" | "busy" | "ended" | "killed"
}

interface Repository {
  revisions: Array<Revision.Revision>
  /** A child that survived its daemon has the lock until then. */
  lockedUntil: number
}

export interface World {
  readonly simulation: Simulation.Simulation
  readonly attempts: Array<Attempt>
  /** Which commands ran for which job, in order: `web01 backup`. */
  readonly commands: Array<string>
  /** Violations found while running. */
  readonly violations: Array<string>
  readonly weather: Map<string, Weather>
  readonly minutes: Map<string, number>
  /** Milliseconds since the beginning, whatever the clock on the wall says. */
  readonly elapsed: () => number
  readonly start: () => void
  /** Nothing runs any more: a power loss, or kill -9, after which children go on. */
  readonly kill: (kind: "power-loss" | "kill") => void
  /** SIGTERM: waits for its end; gives how long that took. */
  readonly terminate: () => number
  readonly isUp: () => boolean
  readonly configure: (config: Pick<DaemonConfig, "jobs" | "workerLimit">) => void
  /** Asks for a run; gives the answer, or nothing while the daemon is down. */
  readonly request: (job: string) => Scheduler.Requested | undefined
  readonly pass: (millis: number) => void
  readonly jump: (millis: number) => void
  readonly statuses: () => ReadonlyArray<JobStatus>
  readonly revisionsOf: (job: string) => ReadonlyArray<Revision.Revision>
  readonly config: () => Pick<DaemonConfig, "jobs" | "workerLimit">
}

const settings = { stallTimeout: Duration.minutes(30), nice: 0 }
const TO_END = Duration.seconds(5)

const hash = (name: string): Uint8Array => {
  const digest = Hash.load().hash(new TextEncoder().encode(name))
  return digest
}

const toKnown = (revision: Revision.Revision): JobHistory.Known => ({
  id: revision.id,
  isLegacy: revision.backendType !== "chunked-v4",
  timestamp: revision.timestamp,
  tags: revision.tags,
  isComplete: revision.isComplete,
  isTrusted: revision.isTrusted,
  duration: revision.stats.duration
})

/** Not `Effect.never`, whose timer would keep a world that nobody drives any more. */
const forEver = Effect.async<never>(() => {})

/** Nobody reads the logs of a thousand histories. */
const silently = Effect.locally(FiberRef.currentLoggers, HashSet.empty())

/** A machine that is off. */
export const make = (options: { readonly seed: number; readonly lookEvery: Duration.Duration }): World => {
  const next = randomNumbers(options.seed)
  const repositories = new Map<string, Repository>()
  const attempts: Array<Attempt> = []
  const commands: Array<string> = []
  const violations: Array<string> = []
  const weather = new Map<string, Weather>()
  const minutes = new Map<string, number>()
  const facts = new Map<string, JobHistory.Facts>()
  const running = new Map<string, Attempt>()
  let memory = MemoryDisk.make()
  for (const directory of ["/srv", BASE]) memory.disk.makeDirectory(directory, 0o750)
  memory.syncAll()
  let config: Pick<DaemonConfig, "jobs" | "workerLimit"> = { jobs: [], workerLimit: 1 }
  let simulation = Simulation.make({ seed: options.seed })
  let before = 0
  let began = simulation.now
  let jumped = 0
  let daemon: Fiber.RuntimeFiber<unknown, unknown> | undefined
  let scheduler: typeof Scheduler.Scheduler.Service | undefined

  const elapsed = () => before + simulation.now - began - jumped
  const nameOf = (directory: string) => directory.slice(BASE.length + 1)
  const repositoryOf = (directory: string): Repository => {
    const found = repositories.get(directory) ?? { revisions: [], lockedUntil: 0 }
    repositories.set(directory, found)
    return found
  }
  const publish = (directory: string) => {
    const { revisions } = repositoryOf(directory)
    facts.set(directory, { ...JobHistory.nothing, revisions: Revision.history(revisions).map(toKnown) })
  }
  const scheduleOf = (directory: string) => config.jobs.find(({ name }) => name === nameOf(directory))?.schedule ?? {}

  const begin = (tags: ReadonlyArray<string>, at: number): Revision.Revision => {
    const bytes = Uint8Array.from({ length: 16 }, () => Math.floor(next() * 256))
    return Revision.make({
      id: Revision.fromRandom(bytes),
      backendType: "chunked-v4",
      timestamp: DateTime.unsafeMake(at),
      parent: null,
      tags,
      trust: "trusted",
      stats: {}
    })
  }

  const complete = (directory: string, revision: Revision.Revision, seconds: number) => {
    const repository = repositoryOf(directory)
    repository.revisions = [
      ...repository.revisions.filter(({ id, isComplete }) => isComplete && id !== revision.id),
      Revision.update(revision, { stats: { duration: seconds } })
    ]
    publish(directory)
  }

  const backup = (directory: string, tags: ReadonlyArray<string>, report: (line: string) => void) =>
    Effect.gen(function*() {
      const job = nameOf(directory)
      const repository = repositoryOf(directory)
      const attempt: Attempt = { job, from: elapsed(), to: Infinity, result: "running" }
      attempts.push(attempt)
      const settle = (result: Attempt["result"], exitCode: number, stderr = "") => {
        attempt.to = elapsed()
        attempt.result = result
        return { exitCode, stderr }
      }
      const mood = weather.get(job) ?? "fine"
      if (mood === "busy" || repository.lockedUntil > elapsed()) return settle("busy", 75, "backy: locked by process 7")
      if (mood === "no-room") {
        report(NoRoom.line(false))
        return settle("failed", 1, "backy: no backup was begun")
      }
      if (running.has(job)) violations.push(`two runs of ${job} at once`)
      running.set(job, attempt)
      return yield* Effect.gen(function*() {
        const revision = begin(tags, yield* Clock.currentTimeMillis)
        repository.revisions = [...repository.revisions.filter(({ isComplete }) => isComplete), revision]
        publish(directory)
        if (mood === "hangs") return yield* forEver
        const usual = minutes.get(job) ?? 5
        const length = (mood === "slow" ? usual * 6 : usual) * (0.7 + 0.6 * next()) * MINUTE
        for (let done = 0; done < length; done += 10 * MINUTE) {
          report(`{"phase": "reading", "bytes": ${done}, "total": ${Math.ceil(length)}}`)
          yield* Effect.sleep(Math.min(10 * MINUTE, length - done))
        }
        if (mood === "fails") return settle("failed", 1, "backy: cannot read the source")
        if (mood === "lies") return settle("failed", 0)
        complete(directory, revision, length / 1000)
        return settle("made", 0)
      }).pipe(
        Effect.ensuring(Effect.sync(() => {
          running.delete(job)
          if (attempt.result === "running") settle("ended", 0)
        }))
      )
    })

  const expire = (directory: string) =>
    Effect.map(Clock.currentTimeMillis, (millis) => {
      const repository = repositoryOf(directory)
      const now = DateTime.unsafeMake(millis)
      const schedule = scheduleOf(directory)
      const old = repository.revisions
      const newest = Revision.history(old).findLast((revision) => counts(revision, now))
      const decisions = Retention.decide({
        schedule,
        revisions: old.filter(({ isComplete }) => isComplete),
        now,
        unknownTags: "keep"
      })
      repository.revisions = decisions.flatMap((decision) =>
        decision._tag === "remove" ? [] : [Revision.update(decision.revision, { tags: decision.tags })]
      )
      publish(directory)
      const left = repository.revisions.filter((revision) => counts(revision, now))
      if (newest !== undefined && !left.some(({ id }) => id === newest.id)) {
        violations.push(`expire lost the newest revision of ${nameOf(directory)}`)
      }
      for (const [tag, { keep }] of Object.entries(schedule)) {
        const had = old.filter((revision) => counts(revision, now) && revision.tags.includes(tag)).length
        const has = left.filter(({ tags }) => tags.includes(tag)).length
        if (has < Math.min(had, keep)) violations.push(`expire left ${has} of ${had} ${tag} of ${nameOf(directory)}`)
      }
      return {}
    })

  const program: Process.Program = (args, _stdin, { report }) => {
    const [, directory = "", , , command = "", tags = ""] = args
    commands.push(`${nameOf(directory)} ${command}`)
    if (command === "backup") return backup(directory, tags.split(","), report)
    if (command === "expire") return expire(directory)
    if (command === "purge" && weather.get(nameOf(directory)) === "purge-fails") {
      return { exitCode: 1, stderr: "backy: a map cannot be read" }
    }
    if (command === "purge" && weather.get(nameOf(directory)) === "purge-blocked") {
      return { exitCode: 75, stderr: "backy: .purge is locked by backy nbd, process 7" }
    }
    return {}
  }

  const runtime = () => ({ ...config, baseDir: BASE, backupCompletedCallback: undefined, settings })

  const app = () =>
    Scheduler.layer({ hash, lookEvery: options.lookEvery }).pipe(
      Layer.provide(JobRunner.layer),
      Layer.provide(Layer.mergeAll(
        JobHistory.layerMemory(facts),
        JobState.layerFile(BASE),
        Process.layerMemory({ backy: program }),
        Layer.succeed(JobRunner.Program, { command: "backy", args: [] })
      )),
      Layer.provide(Layer.merge(DiskFileSystem.layer(memory.disk), BlockFile.layerDisk(memory.disk)))
    )

  const main = Effect.suspend(() =>
    Effect.provide(
      Effect.gen(function*() {
        const service = yield* Scheduler.Scheduler
        yield* service.configure(runtime())
        scheduler = service
        return yield* forEver
      }),
      app()
    )
  ).pipe(Effect.scoped, silently)

  /** Another life of the machine: the old one is never driven again. */
  const reboot = () => {
    before = elapsed()
    const now = simulation.now
    simulation = Simulation.make({ seed: Math.floor(next() * 2 ** 31), start: now })
    began = now
    jumped = 0
    daemon = undefined
    scheduler = undefined
  }

  return {
    get simulation() {
      return simulation
    },
    attempts,
    commands,
    violations,
    weather,
    minutes,
    elapsed,
    start: () => {
      daemon = simulation.fork(main)
      simulation.pass(0)
    },
    kill: (kind) => {
      for (const [job, attempt] of running) {
        attempt.result = "killed"
        attempt.to = elapsed()
        if (kind === "power-loss") continue
        // the child goes on, and keeps its lock until it is done
        const directory = `${BASE}/${job}`
        const repository = repositoryOf(directory)
        const orphan = repository.revisions.find(({ isComplete }) => !isComplete)
        repository.lockedUntil = elapsed() + 20 * MINUTE
        if (orphan !== undefined && weather.get(job) !== "fails") complete(directory, orphan, 1200)
      }
      running.clear()
      if (kind === "power-loss") memory = memory.crash(seeded(Math.floor(next() * 2 ** 31)))
      reboot()
    },
    terminate: () => {
      if (daemon === undefined) return 0
      const from = elapsed()
      for (const attempt of running.values()) {
        attempt.result = "killed"
        attempt.to = from
      }
      const ending = simulation.fork(Fiber.interrupt(daemon))
      simulation.drive(() => ending.unsafePoll() !== null)
      if (running.size > 0) violations.push("children were left behind by SIGTERM")
      const took = elapsed() - from
      if (took > Duration.toMillis(TO_END) * 2) violations.push(`SIGTERM took ${took} ms`)
      reboot()
      return took
    },
    isUp: () => daemon !== undefined,
    configure: (wanted) => {
      config = wanted
      if (scheduler === undefined) return
      simulation.run(silently(scheduler.configure(runtime())))
      simulation.pass(0)
    },
    request: (job) => {
      if (scheduler === undefined) return undefined
      const exit = simulation.run(scheduler.request(job))
      simulation.pass(0)
      if (exit._tag === "Failure") throw new Error("the scheduler cannot be asked")
      return exit.value
    },
    pass: (millis) => simulation.pass(millis),
    jump: (millis) => {
      simulation.jump(millis)
      jumped += millis
    },
    statuses: () => {
      if (scheduler === undefined) return []
      const exit = simulation.run(scheduler.jobs)
      if (exit._tag === "Failure") throw new Error("the scheduler cannot be asked")
      const trouble = { reloadRefused: undefined, stateTrouble: undefined }
      return exit.value.map((job) => statusOf(job, simulation.now, trouble))
    },
    revisionsOf: (job) => repositoryOf(`${BASE}/${job}`).revisions,
    config: () => config
  }
}

/** A job that the world can have. */
export const job = (name: string, schedule: DaemonJob["schedule"]): DaemonJob => ({
  name,
  scheduleName: "some",
  schedule,
  source: { type: "file", filename: `/dev/${name}` } as DaemonJob["source"]
})
