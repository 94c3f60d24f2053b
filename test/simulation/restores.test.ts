/**
 * Two restores to one target, at pairs of moments: the first makes so many of its steps, the second so many of its own,
 * then the first goes to its end, then the second. And a restore that is killed before each of its calls of the disk,
 * with another one after it.
 *
 * `BACKY_PAIRS` says how many pairs for each kind of target (default 500; 0: all). Which ones they are, `BACKY_SEED`
 * decides; a failing case names both.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Option from "effect/Option"
import { env } from "node:process"
import * as Simulation from "../../src/library/Simulation.ts"
import type { RestoreReport } from "../../src/operation/restore.ts"
import * as FileLock from "../../src/platform/FileLock.ts"
import type { MemoryDisk } from "../../src/platform/MemoryDisk.ts"
import { breathe } from "../support/breathe.ts"
import * as Machine from "../support/Machine.ts"
import { sampled } from "../support/sampled.ts"
import * as Scenarios from "../support/scenarios.ts"
import { setFile } from "../support/World.ts"

const machine = Machine.make()

/** Two revisions that have nothing in common, of different sizes. */
const prepared = Scenarios.prepare(machine, {
  name: "two revisions",
  prepare: (bench) => {
    bench.image("abcab")
    bench.run(Scenarios.backup)
    bench.image("defd")
    bench.run(Scenarios.backup)
    setFile(bench.memory.disk, "/restore/old.img", new Uint8Array(2000).fill(0x7a))
    bench.memory.plantDevice("/restore/device", 5 * Machine.BLOCK)
    bench.memory.syncAll()
  },
  operation: Scenarios.backup
})
const images = { first: Scenarios.imageOf("abcab"), latest: Scenarios.imageOf("defd") }

type Restore = Effect.Effect<RestoreReport, unknown, Machine.Services>

/** One process: it makes steps only when it is told to. */
const process = (memory: MemoryDisk, locks: FileLock.LockTable, seed: number, restore: Restore) => {
  const world = Simulation.make({ seed, start: prepared.options.start, yields: 0.05 })
  const fiber: Fiber.RuntimeFiber<RestoreReport, unknown> = world.fork(restore.pipe(
    Effect.provide(Machine.servicesOn(memory.disk, locks)),
    Logger.withMinimumLogLevel(LogLevel.None)
  ))
  const hasEnded = () => fiber.unsafePoll() !== null
  return {
    hasEnded,
    exit: () => fiber.unsafePoll() ?? Exit.die("it never ends"),
    /** Makes so many steps, or as many as there are; returns how many. */
    advance: (steps: number): number => {
      let made = 0
      while (made < steps && !hasEnded() && world.step()) made++
      return made
    },
    finish: () => world.drive(hasEnded)
  }
}

const LONG = 10_000

/** How many pairs of moments for each kind of target; 0 means all of them. */
const PAIRS = Number(env["BACKY_PAIRS"] ?? 500)
const SEED = Number(env["BACKY_SEED"] ?? 1)

const sample = (count: number): ReadonlyArray<number> => sampled(count, PAIRS === 0 ? count : PAIRS, SEED)

/** What replays all that is looked at. */
const REPLAY = `BACKY_SEED=${SEED} BACKY_PAIRS=${PAIRS}`

/** How many steps a restore that nobody disturbs makes. */
const lengthOf = (restore: Restore): number =>
  process(prepared.memory.clone(), FileLock.makeTable(), 1, restore).advance(LONG)

const tagOf = (exit: Exit.Exit<unknown, unknown>): string => {
  if (Exit.isSuccess(exit)) return "success"
  const error = Option.getOrUndefined(Cause.failureOption(exit.cause))
  return typeof error === "object" && error !== null && "_tag" in error ? String(error._tag) : Cause.pretty(exit.cause)
}

const startsWith = (bytes: Uint8Array, image: Uint8Array): boolean =>
  Buffer.compare(bytes.subarray(0, image.length), image) === 0

const leftovers = (memory: MemoryDisk): ReadonlyArray<string> =>
  memory.disk.list("/restore").filter((name) => name.startsWith("."))

const targets = [
  { name: "a new file", path: "/restore/new.img", options: {}, both: false },
  { name: "one file by force", path: "/restore/old.img", options: { force: true }, both: true },
  { name: "one device", path: "/restore/device", options: { force: true }, both: true }
]

describe("two restores at once", () => {
  for (const { both, name, options, path } of targets) {
    it(
      `to ${name}: one is whole, and the other one is told why not, at pairs of moments`,
      { timeout: 600_000 },
      async () => {
        const one: Restore = Scenarios.restoreTo(path, { ...options, revision: "first" })
        const other: Restore = Scenarios.restoreTo(path, options)
        const [ofOne, ofOther] = [lengthOf(one), lengthOf(other)]
        assert.isAbove(Math.min(ofOne, ofOther), 5)
        assert.isBelow(Math.max(ofOne, ofOther), LONG)
        let refused = 0
        for (const at of sample((ofOne + 1) * (ofOther + 1))) {
          const [i, j] = [Math.floor(at / (ofOther + 1)), at % (ofOther + 1)]
          await breathe()
          const memory = prepared.memory.clone()
          const locks = FileLock.makeTable()
          const processes = [process(memory, locks, 1, one), process(memory, locks, 2, other)] as const
          processes[0].advance(i)
          processes[1].advance(j)
          processes[0].finish()
          processes[1].finish()
          const [a, b] = [tagOf(processes[0].exit()), tagOf(processes[1].exit())]
          const told = `moments ${i} and ${j} (${REPLAY}): ${a}, ${b}`
          const won = [a, b].filter((tag) => tag === "success").length
          assert.isTrue(won === 1 || (both && won === 2), told)
          for (const tag of [a, b]) if (tag !== "success") assert.strictEqual(tag, "TargetRefused", told)
          if (won === 1) refused++
          const bytes = memory.bytesAt(path)
          const whole = [...a === "success" ? [images.first] : [], ...b === "success" ? [images.latest] : []]
          assert.isTrue(whole.some((image) => startsWith(bytes, image)), `${told}: a mixture`)
          assert.deepStrictEqual(leftovers(memory), [], told)
          assert.deepStrictEqual(memory.openDescriptors, [], told)
          assert.strictEqual(locks.held.size, 0, told)
        }
        assert.isAbove(refused, 5)
      }
    )
  }
})

describe("a restore after one that was killed", () => {
  it("to a new file ends well at whatever moment it was, and leaves nothing of it", { timeout: 600_000 }, async () => {
    const path = "/restore/new.img"
    const killed: Restore = Scenarios.restoreTo(path, { revision: "first" })
    let left = 0
    let published = 0
    const states: Array<MemoryDisk> = []
    const running = prepared.memory.clone()
    running.onOperation = () => void states.push(running.clone())
    process(running, FileLock.makeTable(), 1, killed).finish()
    running.onOperation = undefined
    states.push(running)
    for (const [i, state] of states.entries()) {
      const told = `before call ${i} of the disk`
      await breathe()
      // nobody lets go of anything: the kernel does
      const memory = state.clone()
      left += leftovers(memory).length
      const again = process(memory, FileLock.makeTable(), 2, Scenarios.restoreTo(path))
      again.finish()
      if (tagOf(again.exit()) === "TargetRefused") {
        // it had its name already, and was whole
        published++
        assert.isTrue(startsWith(memory.bytesAt(path), images.first), told)
        const forced = process(memory, FileLock.makeTable(), 3, Scenarios.restoreTo(path, { force: true }))
        forced.finish()
        assert.strictEqual(tagOf(forced.exit()), "success", told)
      } else assert.strictEqual(tagOf(again.exit()), "success", told)
      assert.strictEqual(Buffer.compare(memory.bytesAt(path), images.latest), 0, told)
      assert.deepStrictEqual(leftovers(memory), [], told)
    }
    assert.isAbove(left, 3)
    assert.isAbove(published, 0)
  })
})
