/**
 * SIGTERM right after each call of the disk, in every operation that changes something: from its last call on the work is
 * told to be done, and what is told to be done is all there.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Finished from "../../src/operation/Finished.ts"
import type { Disk } from "../../src/platform/Disk.ts"
import type { MemoryDisk } from "../../src/platform/MemoryDisk.ts"
import * as Machine from "../support/Machine.ts"
import * as Scenarios from "../support/scenarios.ts"
import * as Survey from "../support/Survey.ts"
import { REPOSITORY } from "../support/World.ts"

const machine = Machine.make()

/** Those that are several commands, or change nothing. */
const isOne = ({ name }: Scenarios.Scenario): boolean => !/, and .* at once$|^a night|^status/.test(name)

/** What lies on a disk, but for the locks, which go last. */
const filesOf = (memory: MemoryDisk, directory = "/"): ReadonlyArray<string> =>
  [...memory.disk.list(directory)].sort().flatMap((name): ReadonlyArray<string> => {
    const path = directory === "/" ? `/${name}` : `${directory}/${name}`
    if (path === `${REPOSITORY}/.backup` || path === `${REPOSITORY}/.purge`) return []
    if (memory.disk.lstat(path).kind === "directory") return filesOf(memory, path)
    return [`${path} ${Buffer.from(memory.bytesAt(path)).toString("latin1")}`]
  })

interface Ended {
  readonly exit: Exit.Exit<unknown, unknown>
  readonly outcome: Finished.Outcome | undefined
  /** What is on the medium, should the power fail now. */
  readonly medium: MemoryDisk
  /** The last call but for locks and descriptors. */
  readonly last: number
}

/** Runs it on a copy, and interrupts it when so many calls of the disk were made. */
const run = (scenario: Scenarios.Scenario, { memory, options }: Scenarios.Prepared, at = Infinity): Ended => {
  const copy = memory.clone()
  const { disk } = copy
  let calls = 0
  let last = 0
  let interrupt = (): void => undefined
  const locks = new Set<number>()
  const counted = <A extends ReadonlyArray<never>, B>(name: keyof Disk, call: (...args: A) => B) => (...args: A): B => {
    const result = call(...args)
    calls++
    const [first] = args as ReadonlyArray<unknown>
    const isLock = typeof first === "string" ? /\/\.(?:backup|purge)$/.test(first) : locks.has(Number(first))
    if (name === "open" && isLock) locks.add(Number(result))
    if (name === "close") locks.delete(Number(first))
    if (!isLock && name !== "close") last = calls
    if (calls === at) interrupt()
    return result
  }
  const watched = Object.fromEntries(
    Object.entries(disk).map(([name, call]) => [name, counted(name as keyof Disk, call as never)])
  ) as unknown as Disk
  const finished = Finished.make()
  const operation = Effect.withFiberRuntime<unknown, unknown, Machine.Services>((fiber) => {
    interrupt = () => fiber.unsafeInterruptAsFork(fiber.id())
    return scenario.operation
  })
  const exit = machine.run(
    { disk: watched },
    Effect.provideService(operation, Finished.Finished, finished),
    options
  )
  return { exit, outcome: finished.outcome(), medium: copy.crash(() => 0), last }
}

describe("an operation that is interrupted right after a call of the disk", () => {
  for (const scenario of Scenarios.scenarios.filter(isOne)) {
    it(`knows whether it is done: ${scenario.name}`, { timeout: 120_000 }, () => {
      const prepared = Scenarios.prepare(machine, scenario)
      const whole = run(scenario, prepared)
      const expected = scenario.fails === true ? "failed" : "done"
      assert.strictEqual(Exit.isFailure(whole.exit), scenario.fails === true)
      assert.strictEqual(whole.outcome, expected)
      const isUpgrade = scenario.name.startsWith("upgrade")
      // what is written to standard output is no call of the disk
      const isOutput = scenario.name.includes("standard output")
      const from = isUpgrade ? 1 : Math.max(1, whole.last - 25)
      // the many calls of an upgrade are much the same, until its end
      for (let at = from; at <= whole.last; at += at < whole.last - 25 ? 11 : 1) {
        const { exit, medium, outcome } = run(scenario, prepared, at)
        const what = `${scenario.name}, after call ${at} of ${whole.last}`
        if (outcome === undefined) {
          assert.isTrue(Exit.isInterrupted(exit), what)
          if (!isOutput) assert.isBelow(at, whole.last, `${what}: it is done, and that is told to nobody`)
          continue
        }
        assert.strictEqual(outcome, expected, what)
        if (isUpgrade) {
          // to sweep up after it is not the work
          const old = [...Survey.take(medium).complete.values()].filter(({ revision }) =>
            revision.backendType !== "chunked-v4"
          )
          assert.deepStrictEqual(old, [], what)
        } else assert.deepStrictEqual(filesOf(medium), filesOf(whole.medium), what)
      }
    })
  }
})
