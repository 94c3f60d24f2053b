/**
 * Three years of a thousand jobs on a virtual clock: `node test/bench/schedule.ts [YEARS] [JOBS]`. Prints how long that
 * took, how late runs began, and how the load is spread over the hours of the day.
 */
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberRef from "effect/FiberRef"
import * as HashSet from "effect/HashSet"
import * as Layer from "effect/Layer"
import { createHash } from "node:crypto"
import * as JobHistory from "../../src/daemon/JobHistory.ts"
import { directoryOf, JobRunner } from "../../src/daemon/JobRunner.ts"
import * as JobState from "../../src/daemon/JobState.ts"
import * as Scheduler from "../../src/daemon/Scheduler.ts"
import type { Schedule } from "../../src/domain/JobConfig.ts"
import * as Simulation from "../../src/library/Simulation.ts"
import { randomNumbers } from "../../src/platform/MemoryChoices.ts"
import { job } from "../support/ScheduleWorld.ts"

const years = Number(process.argv[2] ?? 3)
const jobs = Number(process.argv[3] ?? 1000)
const HOUR = 3600_000
const DAY = 24 * HOUR
const BASE = "/srv/backy"

const schedule: Schedule = {
  daily: { interval: Duration.days(1), keep: 9 },
  weekly: { interval: Duration.days(7), keep: 5 },
  monthly: { interval: Duration.days(30), keep: 4 }
}
const next = randomNumbers(1)
const facts = new Map<string, JobHistory.Facts>()
const perHour = Array.from({ length: 24 }, () => 0)
let runs = 0
let failures = 0
let longest = 0

/** A backup takes 1 to 15 minutes, and one in a hundred fails. Keeps what a schedule would keep. */
const runner = Layer.succeed(JobRunner, {
  purge: () => Effect.succeed(undefined),
  run: ({ config, job, tags }) =>
    Effect.gen(function*() {
      const began = yield* Clock.currentTimeMillis
      const directory = directoryOf(config, job)
      const before = facts.get(directory) ?? JobHistory.nothing
      const last = before.revisions.at(-1)
      runs++
      // the first month is the time of first runs and catching up
      if (began > Simulation.START + 30 * DAY) {
        const hour = Math.floor(began / HOUR) % 24
        perHour[hour] = (perHour[hour] ?? 0) + 1
        if (last !== undefined) longest = Math.max(longest, began - last.timestamp.epochMillis)
      }
      const minutes = 1 + 14 * next() ** 3
      yield* Effect.sleep(Duration.minutes(minutes))
      if (next() < 0.01) {
        failures++
        return { _tag: "Failed", trouble: { step: "backup", sentence: "no" }, isStalled: false }
      }
      const revision: JobHistory.Known = {
        id: String(runs),
        isLegacy: false,
        timestamp: DateTime.unsafeMake(began),
        tags,
        isComplete: true,
        isTrusted: true,
        duration: minutes * 60
      }
      const seen: Record<string, number> = {}
      const revisions = [...before.revisions, revision].toReversed().filter((one) => {
        const kept = one.tags.some((tag) => (seen[tag] = (seen[tag] ?? 0) + 1) <= (schedule[tag]?.keep ?? 0))
        return kept
      }).toReversed()
      const after = { ...before, revisions }
      facts.set(directory, after)
      return { _tag: "Done", facts: after, troubles: [] }
    })
})

const simulation = Simulation.make({ seed: 1 })
const hash = (name: string): Uint8Array => createHash("sha256").update(name).digest()
const layer = Scheduler.layer({ hash, lookEvery: Duration.days(20) }).pipe(
  Layer.provide(Layer.mergeAll(runner, JobHistory.layerMemory(facts), JobState.layerMemory({ records: new Map() })))
)
const config = {
  baseDir: BASE,
  workerLimit: 8,
  backupCompletedCallback: undefined,
  settings: {},
  jobs: Array.from({ length: jobs }, (_, index) => job(`vm${String(index).padStart(4, "0")}`, schedule))
}

const started = performance.now()
simulation.fork(
  Effect.gen(function*() {
    yield* Effect.flatMap(Scheduler.Scheduler, (scheduler) => scheduler.configure(config))
    return yield* Effect.async<never>(() => {})
  }).pipe(Effect.provide(layer), Effect.locally(FiberRef.currentLoggers, HashSet.empty()))
)
simulation.pass(years * 365 * DAY)
const seconds = (performance.now() - started) / 1000

const most = Math.max(...perHour)
const mean = perHour.reduce((sum, count) => sum + count, 0) / 24
const chi = perHour.reduce((sum, count) => sum + (count - mean) ** 2 / mean, 0)
const lines = [
  `${years} years of ${jobs} jobs: ${runs} runs, ${failures} failures, in ${seconds.toFixed(1)} s ` +
  `(${Math.round(runs / seconds)} runs a second)`,
  `longest time between two backups of a job: ${(longest / HOUR).toFixed(1)} h`,
  `busiest hour ${(most / mean).toFixed(2)} of the mean; chi² over the jobs ${
    (chi / Math.max(1, mean * 24 / jobs)).toFixed(1)
  } (23 degrees of freedom: below 35.2 in 95 of 100 cases)`,
  ...perHour.map((count, hour) =>
    `${String(hour).padStart(2, "0")} h ${String(count).padStart(7)} ${"#".repeat(Math.round(count / most * 50))}`
  )
]
process.stdout.write(`${lines.join("\n")}\n`)
process.exit(0)
