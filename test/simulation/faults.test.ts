/**
 * The n-th call of the disk fails, once or from then on, for every n of every operation. Who says that it succeeded has
 * its result on the medium; who fails says so in a sentence and harms nothing; the next backup needs no hand.
 */
import { afterAll, assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import type { Disk } from "../../src/platform/Disk.ts"
import { errnoError } from "../../src/platform/errno.ts"

import type { MemoryDisk } from "../../src/platform/MemoryDisk.ts"
import { aftermath, damage, type Known } from "../support/aftermath.ts"
import { breathe } from "../support/breathe.ts"
import { keyOf } from "../support/crashes.ts"
import * as FaultyDisk from "../support/FaultyDisk.ts"
import * as Machine from "../support/Machine.ts"
import * as Scenarios from "../support/scenarios.ts"
import * as Survey from "../support/Survey.ts"

/** `SCENARIO/FAULT/CALL`, as a failing case prints it. */
const REPLAY = process.env["BACKY_FAULT_REPLAY"]?.split("/")

type Call = keyof Disk

/** A way to fail, and the calls that fail so. */
interface Fault {
  readonly name: string
  readonly code: string
  readonly onwards: boolean
  readonly calls: ReadonlySet<Call> | undefined
}

const ALLOCATING: ReadonlySet<Call> = new Set(["close", "datasync", "makeDirectory", "rename", "sync", "write"])
const NAMING: ReadonlySet<Call> = new Set([
  "chmod",
  "list",
  "lstat",
  "makeDirectory",
  "open",
  "readLink",
  "rename",
  "unlink"
])

const faults: ReadonlyArray<Fault> = [
  { name: "EIO once", code: "EIO", onwards: false, calls: undefined },
  { name: "EIO from then on", code: "EIO", onwards: true, calls: undefined },
  { name: "ENOSPC once", code: "ENOSPC", onwards: false, calls: ALLOCATING },
  { name: "EACCES once", code: "EACCES", onwards: false, calls: NAMING },
  { name: "EACCES from then on", code: "EACCES", onwards: true, calls: NAMING }
]

// thousands of errors are made here, and nobody looks at where
Error.stackTraceLimit = 0

const machine = Machine.make()
const tried = { faults: 0, succeeded: 0, different: 0 }

/** What is wrong with the way in which an operation ended, whatever it did. */
const atEnd = (exit: Exit.Exit<unknown, unknown>, disk: MemoryDisk): ReadonlyArray<string> => {
  const found: Array<string> = []
  if (disk.openDescriptors.length > 0) found.push(`left open: ${disk.openDescriptors.join(" ")}`)
  if (Exit.isSuccess(exit)) return found
  if (Cause.isDie(exit.cause)) found.push(`it dies instead of failing: ${Cause.pretty(exit.cause)}`)
  for (const error of Cause.failures(exit.cause)) {
    const message = error instanceof Error ? error.message : ""
    if (message === "" || message.includes("\n")) found.push(`no sentence: ${JSON.stringify(message)}`)
  }
  return found
}

/** What is wrong with what an operation left behind. */
const verdict = (
  scenario: Scenarios.Scenario,
  known: Known,
  exit: Exit.Exit<unknown, unknown>,
  disk: MemoryDisk
): ReadonlyArray<string> => {
  const medium = disk.crash(() => 0)
  const found = [
    ...damage(scenario, known, disk),
    ...damage(scenario, known, medium).map((what) => `after a power loss: ${what}`)
  ]
  if (Exit.isSuccess(exit)) {
    found.push(...scenario.promises?.(medium, known.image, known.before).map((what) => `on the medium: ${what}`) ?? [])
    found.push(...unlike(Survey.take(disk), Survey.take(medium)))
  }
  if (scenario.distrusts !== true) found.push(...distrustedWhole(known.before, Survey.take(disk)))
  return found
}

/** Revisions that are not on the medium as they are shown. */
const unlike = (shown: Survey.Survey, medium: Survey.Survey): ReadonlyArray<string> =>
  Array.from(new Set([...shown.complete.keys(), ...medium.complete.keys()])).flatMap((id) => {
    const [a, b] = [shown.complete.get(id)?.revision, medium.complete.get(id)?.revision]
    return a?.trust === b?.trust && a?.tags.join() === b?.tags.join()
      ? []
      : [`it succeeded, but revision ${id} is not so on the medium`]
  })

/** T25: an error of reading proves nothing. */
const distrustedWhole = (before: Survey.Survey, after: Survey.Survey): ReadonlyArray<string> =>
  Array.from(before.complete.values()).flatMap((was) => {
    const is = after.complete.get(was.revision.id)
    return Survey.isWhole(was) && was.revision.isTrusted && is !== undefined && !is.revision.isTrusted
      ? [`I11: revision ${was.revision.id} is whole and lost its trust`]
      : []
  })

const complain = (
  title: string,
  scenario: Scenarios.Scenario,
  what: string,
  exit: Exit.Exit<unknown, unknown>,
  found: ReadonlyArray<string>
): never =>
  assert.fail([
    `${title}, ${what}:`,
    ...found.map((line) => `  ${line}`),
    `it ended with ${Exit.isSuccess(exit) ? "success" : Cause.pretty(exit.cause)}`,
    "replay it with",
    `  BACKY_FAULT_REPLAY='${title}' npm test -- test/simulation/faults.test.ts -t 'success in ${scenario.name}'`
  ].join("\n"))

const inject = (memory: MemoryDisk, fault: Fault, at: number): { struck: string | undefined } => {
  const result: { struck: string | undefined } = { struck: undefined }
  memory.onOperation = (n, name, path) => {
    if (n < at || (n > at && !fault.onwards) || (n === at && fault.calls?.has(name) === false)) return
    if (fault.calls?.has(name) === false || name === "dropCache") return
    result.struck ??= `${name} ${path}`
    throw errnoError(fault.code, name, path)
  }
  return result
}

const isWanted = (scenario: string, fault: string, at: number): boolean =>
  REPLAY === undefined || (REPLAY[0] === scenario && REPLAY[1] === fault && Number(REPLAY[2]) === at)

describe("whatever call of the disk fails, nothing is harmed and no failure looks like success", () => {
  for (const scenario of Scenarios.scenarios) {
    it(`in ${scenario.name}`, { timeout: 600_000 }, async () => {
      const { image, memory, options } = Scenarios.prepare(machine, scenario)
      const known = { image, before: Survey.take(memory) }
      const seen = new Set<string>()
      const judged = new Set<string>()
      const whole = memory.clone()
      const exit = machine.run(whole, scenario.operation, options)
      assert.deepStrictEqual([...atEnd(exit, whole), ...verdict(scenario, known, exit, whole)], [])
      for (const fault of faults) {
        for (let at = 1; at <= whole.operations; at++) {
          if (!isWanted(scenario.name, fault.name, at)) continue
          await breathe()
          const disk = memory.clone()
          const injected = inject(disk, fault, at)
          const ended = machine.run(disk, scenario.operation, options)
          disk.onOperation = undefined
          if (injected.struck === undefined) continue
          tried.faults++
          if (Exit.isSuccess(ended)) tried.succeeded++
          const medium = disk.crash(() => 0)
          const key = keyOf(disk)
          // surveys are dear, and most faults end in a state that was looked at before
          const ending = `${Exit.isSuccess(ended)}\n${key}\n${keyOf(medium)}`
          const found = [...atEnd(ended, disk)]
          if (!judged.has(ending)) {
            judged.add(ending)
            found.push(...verdict(scenario, known, ended, disk))
          }
          if (!seen.has(key)) {
            seen.add(key)
            tried.different++
            found.push(...aftermath(machine, scenario, known, disk.clone()))
          }
          if (found.length > 0) {
            complain(`${scenario.name}/${fault.name}/${at}`, scenario, `at ${injected.struck}`, ended, found)
          }
        }
      }
    })
  }

  afterAll(() => {
    process.stdout.write(
      `calls of the disk that were made to fail: ${tried.faults}; ${tried.succeeded} times the operation could do ` +
        `without; ${tried.different} different outcomes were each continued with a backup and a purge\n`
    )
  })
})

describe("a disk that transfers a few bytes at a time", () => {
  for (const scenario of Scenarios.scenarios) {
    it(`changes nothing in ${scenario.name}`, async () => {
      const { image, memory, options } = Scenarios.prepare(machine, scenario)
      const known = { image, before: Survey.take(memory) }
      for (const limit of [1, 7, 511]) {
        await breathe()
        const disk = memory.clone()
        const faulty = FaultyDisk.make(disk.disk, [{ call: ["read", "write"], limit }])
        const exit = machine.run(faulty, scenario.operation, options)
        assert.strictEqual(Exit.isFailure(exit), scenario.fails === true)
        assert.deepStrictEqual([...atEnd(exit, disk), ...verdict(scenario, known, exit, disk)], [])
      }
    })
  }
})

describe("a write of which nothing is taken", () => {
  for (const scenario of Scenarios.scenarios) {
    it(`does not hang ${scenario.name}`, () => {
      const { image, memory, options } = Scenarios.prepare(machine, scenario)
      const known = { image, before: Survey.take(memory) }
      const disk = memory.clone()
      const faulty = FaultyDisk.make(disk.disk, [{ call: "write", limit: 0 }])
      const exit = machine.run(faulty, scenario.operation, options)
      assert.deepStrictEqual([...atEnd(exit, disk), ...verdict(scenario, known, exit, disk)], [])
      assert.deepStrictEqual(aftermath(machine, scenario, known, disk), [])
    })
  }
})

describe("a disk that becomes full", () => {
  for (const scenario of Scenarios.scenarios) {
    it(`at any call harms nothing in ${scenario.name}`, { timeout: 600_000 }, async () => {
      const { image, memory, options } = Scenarios.prepare(machine, scenario)
      const known = { image, before: Survey.take(memory) }
      const total = memory.clone()
      machine.run(total, scenario.operation, options)
      const seen = new Set<string>()
      for (let at = 1; at <= total.operations; at++) {
        await breathe()
        const disk = memory.clone()
        disk.onOperation = (n) => {
          if (n === at) disk.capacity = disk.used
        }
        const exit = machine.run(disk, scenario.operation, options)
        disk.onOperation = undefined
        const found = [...atEnd(exit, disk)]
        const key = `${Exit.isSuccess(exit)}\n${keyOf(disk)}`
        if (!seen.has(key)) {
          seen.add(key)
          found.push(...verdict(scenario, known, exit, disk))
          disk.capacity = undefined
          found.push(...aftermath(machine, scenario, known, disk))
        }
        const again =
          `npm test -- test/simulation/faults.test.ts -t 'full at any call harms nothing in ${scenario.name}'`
        assert.deepStrictEqual(found, [], `full from call ${at} on; replay it with ${again}`)
      }
    })
  }

  const full = ["purge", "expire, which removes and takes tags", "forget, and purge at once"]
  for (const scenario of Scenarios.scenarios.filter(({ name }) => full.includes(name))) {
    it(`does not keep ${scenario.name} from making room`, () => {
      const { image, memory, options } = Scenarios.prepare(machine, scenario)
      const known = { image, before: Survey.take(memory) }
      memory.capacity = memory.used
      const exit = machine.run(memory, scenario.operation, options)
      assert.isTrue(Exit.isSuccess(exit), Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "")
      assert.isBelow(memory.used, memory.capacity)
      assert.deepStrictEqual(verdict(scenario, known, exit, memory), [])
    })
  }
})
