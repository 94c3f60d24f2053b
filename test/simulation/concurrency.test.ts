/**
 * Several operations at once on one repository, in one simulated machine: a seed decides who makes the next step. No
 * interleaving harms a revision; who cannot have a lock says who holds it.
 *
 * `BACKY_INTERLEAVINGS` says how many (default 100), `BACKY_SEED` with which seed to begin. A failing case names its
 * seed; fewer operations that fail as well are looked for before it is printed.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Option from "effect/Option"
import { backup as backupOperation } from "../../src/operation/backup.ts"
import { distrust } from "../../src/operation/distrust.ts"
import { forget } from "../../src/operation/forget.ts"
import { tags } from "../../src/operation/tags.ts"
import { ResultNotRecorded } from "../../src/operation/verify.ts"
import * as FileLock from "../../src/platform/FileLock.ts"
import * as LockHolder from "../../src/platform/LockHolder.ts"
import { randomNumbers } from "../../src/platform/MemoryChoices.ts"
import type { MemoryDisk } from "../../src/platform/MemoryDisk.ts"
import { breathe } from "../support/breathe.ts"
import * as Expectation from "../support/Expectation.ts"
import * as Machine from "../support/Machine.ts"
import * as Scenarios from "../support/scenarios.ts"
import * as Simulation from "../support/Simulation.ts"
import * as Survey from "../support/Survey.ts"
import { schedule, setFile } from "../support/World.ts"

const COUNT = Number(process.env["BACKY_INTERLEAVINGS"] ?? 100)
const FIRST = Number(process.env["BACKY_SEED"] ?? 1)

const machine = Machine.make()
const wait = Duration.zero

const repository: Scenarios.Scenario = {
  name: "a repository with a history",
  prepare: (bench) => {
    for (const letters of ["aab.", "acb.d", "acbed"]) {
      bench.image(letters)
      bench.run(Scenarios.backup)
    }
    // something to purge
    bench.run(forget({ revisions: "first", force: false, wait }))
    bench.image("fcb.ed")
    setFile(bench.memory.disk, "/restore/old.img", new Uint8Array(700).fill(7))
    bench.memory.syncAll()
  },
  operation: Scenarios.backup
}

type Operation = Effect.Effect<unknown, unknown, Machine.Services>

/** What may meet, by name. */
const operations: Record<string, Operation> = {
  "backup": Scenarios.backup,
  "backup that waits": backupOperation({ tags: ["daily"], schedule, force: false, wait: Duration.minutes(1) }),
  "purge": Scenarios.purge,
  "verify": Scenarios.verifyAll,
  "restore": Scenarios.restoreTo("/restore/new.img"),
  "restore of the first": Scenarios.restoreTo("/restore/new.img", { revision: "first" }),
  "restore over a file": Scenarios.restoreTo("/restore/old.img", { force: true }),
  "restore of the first over a file": Scenarios.restoreTo("/restore/old.img", { force: true, revision: "first" }),
  "expire": Scenarios.expireAll,
  "forget": forget({ revisions: "first", force: false, wait }),
  "tags": tags({ revisions: "all", change: "add", tags: ["weekly"], schedule, wait }),
  "distrust": distrust({ revisions: "first", from: undefined, until: undefined, wait })
}

interface Run {
  readonly seed: number
  readonly names: ReadonlyArray<string>
}

const planned = (seed: number): Run => {
  const next = randomNumbers(seed * 7919)
  const all = Object.keys(operations)
  const count = 2 + Math.floor(next() * 4)
  return { seed, names: Array.from({ length: count }, () => all[Math.floor(next() * all.length)] ?? "backup") }
}

const prepared = Scenarios.prepare(machine, repository)
const before = Survey.take(prepared.memory)

const met = { steps: 0, held: 0, named: 0, succeeded: 0 }

/** Ways to lose against others; every other failure would be a lie about the repository. */
const LOSSES = ["LockHeld", "NewestTrusted", "NotOneRevision", "SpecFailed", "TargetRefused"]

const tagOf = (error: unknown): string =>
  typeof error === "object" && error !== null && "_tag" in error ? String(error._tag) : String(error)

/** Everything that is wrong with how one operation ended. */
const wrong = (name: string, exit: Exit.Exit<unknown, unknown>): ReadonlyArray<string> => {
  if (Exit.isSuccess(exit)) {
    met.succeeded++
    return []
  }
  const failure = Option.getOrUndefined(Cause.failureOption(exit.cause))
  // a verification that could not write down what it found tells that, and what kept it from it
  const error = failure instanceof ResultNotRecorded ? failure.because : failure
  const tag = tagOf(error)
  if (error === undefined || !LOSSES.includes(tag)) return [`${name} failed: ${Cause.pretty(exit.cause)}`]
  if (error instanceof FileLock.LockHeld) {
    met.held++
    if (error.holder !== undefined) met.named++
    // who holds a lock alone has signed it, unless it is letting go at this very step
    if (error.holder !== undefined && !/^backy .*, process 1\d\d on simulated, since /.test(error.holder)) {
      return [`${name} names ${error.holder} as holder`]
    }
  }
  return []
}

/** Lets some operations meet; gives everything that is wrong afterwards. */
const meet = ({ names, seed }: Run): ReadonlyArray<string> => {
  const memory = prepared.memory.clone()
  const locks = FileLock.makeTable()
  // other ids than those of the history, which were made with small seeds
  const world = Simulation.make({ seed: seed + 1_000_000, start: prepared.options.start, yields: 0.01 })
  const fibers = names.map((name, index) => ({
    name,
    fiber: world.fork((operations[name] ?? Scenarios.backup).pipe(
      Effect.provide(Machine.servicesOn(memory.disk, locks)),
      Effect.provideService(LockHolder.LockOwner, { pid: 100 + index, host: "simulated", command: `backy ${name}` }),
      Logger.withMinimumLogLevel(LogLevel.None)
    ))
  }))
  world.drive(() => fibers.every(({ fiber }) => fiber.unsafePoll() !== null))
  met.steps += world.history.length
  const after = Survey.take(memory)
  const newest = Survey.newestTrusted(before)?.revision.id
  const found = fibers.flatMap(({ fiber, name }) => {
    const exit = fiber.unsafePoll()
    if (exit === null) return [`${name} never ends`]
    const wholeTarget = !name.startsWith("restore") || Exit.isFailure(exit) ||
      targetIsWhole(memory, name.endsWith("over a file") ? "old" : "new", before, after)
    return [
      ...wrong(name, exit),
      ...wholeTarget ? [] : ["I2: restore succeeded, and the file holds no revision's image"]
    ]
  })
  return [
    ...found,
    ...Expectation.violations({
      before,
      image: prepared.image,
      mayGo: new Set([...before.complete.keys()].filter((id) => id !== newest)),
      begun: names.length
    }, after),
    ...after.incomplete.map((id) => `I6: incomplete revision ${id} was left`),
    ...after.temporary.map((path) => `I6: ${path} was left`),
    ...memory.disk.list("/restore").filter((file) => file.startsWith(".")).map((file) => `${file} was left`),
    ...memory.openDescriptors.map((path) => `${path} was left open`)
  ]
}

const targetIsWhole = (memory: MemoryDisk, name: "new" | "old", ...surveys: ReadonlyArray<Survey.Survey>): boolean => {
  const bytes = memory.bytesAt(`/restore/${name}.img`)
  return surveys.some(({ complete }) =>
    Array.from(complete.values()).some(({ image }) => image !== undefined && Buffer.compare(image, bytes) === 0)
  )
}

/** Leaves operations out as long as it still fails. */
const shrunk = (run: Run): Run => {
  for (let index = 0; index < run.names.length; index++) {
    const fewer = { ...run, names: run.names.filter((_, at) => at !== index) }
    if (fewer.names.length > 0 && meet(fewer).length > 0) return shrunk(fewer)
  }
  return run
}

describe("operations that meet on one repository", () => {
  it(
    `harm nothing in ${COUNT} interleavings from seed ${FIRST} on, and losers say why`,
    { timeout: 600_000 },
    async () => {
      for (let seed = FIRST; seed < FIRST + COUNT; seed++) {
        await breathe()
        const run = planned(seed)
        if (meet(run).length === 0) continue
        const least = shrunk(run)
        assert.fail([
          `seed ${seed}: ${least.names.join(", ")} at once:`,
          ...meet(least).map((what) => `  ${what}`),
          `replay it with BACKY_SEED=${seed} BACKY_INTERLEAVINGS=1 npm test -- test/simulation/concurrency.test.ts`
        ].join("\n"))
      }
      assert.isAbove(met.held, 0)
      assert.isAbove(met.named, 0)
      process.stdout.write(
        `interleavings: ${COUNT} from seed ${FIRST} on, ${met.steps} choices of who goes next; ${met.succeeded} ` +
          `operations succeeded, ${met.held} found a lock held, of which ${met.named} could name the holder\n`
      )
    }
  )
})
