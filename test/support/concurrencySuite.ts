/**
 * Several operations at once on one repository, in one simulated machine: a seed decides who makes the next step, also
 * in the middle of a batch of blocks. No interleaving harms a revision; who cannot have a lock says who holds it.
 *
 * `BACKY_INTERLEAVINGS` says how many, `BACKY_SEED` with which seed to begin. A failing case names its seed; fewer
 * operations that fail as well are looked for before it is printed.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Option from "effect/Option"
import { env } from "node:process"
import * as Simulation from "../../src/library/Simulation.ts"
import { ResultNotRecorded } from "../../src/operation/verify.ts"
import * as FileLock from "../../src/platform/FileLock.ts"
import * as LockHolder from "../../src/platform/LockHolder.ts"
import { randomNumbers } from "../../src/platform/MemoryChoices.ts"
import type { MemoryDisk } from "../../src/platform/MemoryDisk.ts"
import { aftermath } from "./aftermath.ts"
import { breathe } from "./breathe.ts"
import * as ClusterExpectation from "./ClusterExpectation.ts"
import * as Expectation from "./Expectation.ts"
import * as Machine from "./Machine.ts"
import * as Scenarios from "./scenarios.ts"
import * as Site from "./Site.ts"
import { IMAGE } from "./Surroundings.ts"
import * as Survey from "./Survey.ts"

type Operation = Effect.Effect<unknown, unknown, Machine.Services>

export interface Options {
  /** The test file, below `test/simulation`. */
  readonly file: string
  /** How many interleavings, unless the variable says it. */
  readonly count: number
  readonly repository: Scenarios.Scenario
  /** What may meet, by name. */
  readonly operations: Record<string, Operation>
  /** What people and machines elsewhere do meanwhile. */
  readonly others?: Record<string, (site: Site.Site) => Effect.Effect<void>>
}

/** The tests of one repository. */
export const concurrencySuite = ({ count, file, operations, others = {}, repository }: Options): void => {
  const COUNT = Number(env["BACKY_INTERLEAVINGS"] ?? count)
  const FIRST = Number(env["BACKY_SEED"] ?? 1)
  const machine = Machine.make()

  interface Run {
    readonly seed: number
    readonly names: ReadonlyArray<string>
  }

  const planned = (seed: number): Run => {
    const next = randomNumbers(seed * 7919)
    const all = [...Object.keys(operations), ...Object.keys(others)]
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
    const world = Simulation.make({
      seed: seed + 1_000_000,
      start: prepared.options.start,
      yields: 0.01,
      interleaves: 0.02
    })
    const site = Site.isSite(memory) ? memory : undefined
    /** The content of each snapshot that was ever seen. */
    const snapshots = new Map<string, Uint8Array>()
    const hook: Site.Hook = () => {
      for (const name of site?.outside.ceph.snapshotNames(IMAGE) ?? []) {
        const content = site?.outside.ceph.content(IMAGE, name)
        if (content !== undefined) snapshots.set(name, content)
      }
      world.interleave()
    }
    memory.onOperation = hook
    const fibers = names.map((name, index) => ({
      name,
      fiber: world.fork((operations[name] ?? other(name, site)).pipe(
        Effect.provide(Machine.servicesOn(memory.disk, locks, site?.outside)),
        Effect.provideService(LockHolder.LockOwner, { pid: 100 + index, host: "simulated", command: `backy ${name}` }),
        Logger.withMinimumLogLevel(LogLevel.None)
      ))
    }))
    world.drive(() => fibers.every(({ fiber }) => fiber.unsafePoll() !== null))
    memory.onOperation = undefined
    met.steps += world.history.length
    const after = Survey.take(memory)
    const newest = Survey.newestTrusted(before)?.revision.id
    const found = fibers.flatMap(({ fiber, name }) => {
      const exit = fiber.unsafePoll()
      if (exit === null) return [`${name} never ends`]
      const wholeTarget = !name.startsWith("restore") || Exit.isFailure(exit) ||
        isOfRevision(targetOf(memory, name), before, after)
      return [
        ...wrong(name, exit),
        ...wholeTarget ? [] : ["I2: restore succeeded, and its target holds no revision's image"]
      ]
    })
    return [
      ...found,
      ...Expectation.violations({
        before,
        image: site === undefined ? prepared.image : (id) => snapshots.get(`backy-${id}`),
        mayGo: new Set([...before.complete.keys()].filter((id) => id !== newest)),
        begun: names.length
      }, after),
      ...after.incomplete.map((id) => `I6: incomplete revision ${id} was left`),
      ...after.temporary.map((path) => `I6: ${path} was left`),
      ...memory.disk.list("/restore").filter((file) => file.startsWith(".")).map((file) => `${file} was left`),
      ...memory.openDescriptors.map((path) => `${path} was left open`),
      ...site === undefined ? [] : afterwards(site, after)
    ]
  }

  /** The next backup finds the cluster in order and leaves it so. */
  const afterwards = (site: Site.Site, before: Survey.Survey): ReadonlyArray<string> => {
    const image = site.outside.ceph.content(IMAGE) ?? new Uint8Array(0)
    const snapshots = new Set(ClusterExpectation.snapshotsIn(site))
    return aftermath(machine, repository, { image, before, snapshots }, site.clone())
  }

  /** What a restore wrote. */
  const targetOf = (memory: MemoryDisk, name: string): Uint8Array | undefined => {
    if (name.endsWith("to an image in Ceph")) {
      return Site.isSite(memory)
        ? memory.outside.ceph.content("rbd/copy")
        : undefined
    }
    return memory.bytesAt(`/restore/${name.endsWith("over a file") ? "old" : "new"}.img`)
  }

  const isOfRevision = (bytes: Uint8Array | undefined, ...surveys: ReadonlyArray<Survey.Survey>): boolean =>
    surveys.some(({ complete }) =>
      Array.from(complete.values()).some(({ image }) =>
        image !== undefined && bytes !== undefined && Buffer.compare(image, bytes) === 0
      )
    )

  const other = (name: string, site: Site.Site | undefined): Effect.Effect<void> =>
    site === undefined ? Effect.void : others[name]?.(site) ?? Effect.void

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
            `replay it with BACKY_SEED=${seed} BACKY_INTERLEAVINGS=1 npm test -- test/simulation/${file}`
          ].join("\n"))
        }
        assert.isAbove(met.held, 0)
        assert.isAbove(met.named, 0)
        process.stdout.write(
          `interleavings of ${repository.name}: ${COUNT} from seed ${FIRST} on, ${met.steps} choices of who goes next; ${met.succeeded} ` +
            `operations succeeded, ${met.held} found a lock held, of which ${met.named} could name the holder\n`
        )
      }
    )
  })
}
