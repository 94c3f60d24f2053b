/**
 * The n-th call of the disk, of the cluster or of Consul fails, once or from then on, for every n of every operation.
 * Who says that it succeeded has its result on the medium; who fails says so in a sentence and harms nothing; the next
 * backup needs no hand.
 */
import { afterAll, assert, describe, it } from "@effect/vitest"
import * as Exit from "effect/Exit"
import { env } from "node:process"
import type { Disk } from "../../src/platform/Disk.ts"
import { errnoError } from "../../src/platform/errno.ts"
import type { MemoryDisk } from "../../src/platform/MemoryDisk.ts"
import { aftermath, knownOf } from "./aftermath.ts"
import { breathe } from "./breathe.ts"
import { keyOf } from "./crashes.ts"
import { atEnd, complain, verdict } from "./faultVerdict.ts"
import * as FaultyDisk from "./FaultyDisk.ts"
import * as Machine from "./Machine.ts"
import * as Scenarios from "./scenarios.ts"
import * as Site from "./Site.ts"
import { AnswerLost } from "./Surroundings.ts"

/** `SCENARIO/FAULT/CALL`, as a failing case prints it. */
const REPLAY = env["BACKY_FAULT_REPLAY"]?.split("/")

type Call = keyof Disk

/** A way to fail, and the calls that fail so. */
interface Fault {
  readonly name: string
  readonly onwards: boolean
  readonly strikes: (call: string) => boolean
  readonly error: (call: string, path: string) => unknown
}

const ALLOCATING: ReadonlyArray<Call> = ["close", "datasync", "makeDirectory", "rename", "sync", "write"]
const NAMING: ReadonlyArray<Call> = [
  "chmod",
  "list",
  "lstat",
  "makeDirectory",
  "open",
  "readLink",
  "rename",
  "unlink"
]

const among = (calls: ReadonlyArray<string>) => (call: string): boolean => calls.includes(call)
const isOutside = (call: string): boolean => call.includes(" ")
const errno = (code: string) => (call: string, path: string) => errnoError(code, call, path)

const faults: ReadonlyArray<Fault> = [
  { name: "EIO once", onwards: false, strikes: () => true, error: errno("EIO") },
  { name: "EIO from then on", onwards: true, strikes: (call) => !isOutside(call), error: errno("EIO") },
  { name: "ENOSPC once", onwards: false, strikes: among(ALLOCATING), error: errno("ENOSPC") },
  { name: "EACCES once", onwards: false, strikes: among(NAMING), error: errno("EACCES") },
  { name: "EACCES from then on", onwards: true, strikes: among(NAMING), error: errno("EACCES") },
  // of what lies outside
  { name: "connection lost", onwards: true, strikes: isOutside, error: errno("ENOTCONN") },
  { name: "no answer", onwards: false, strikes: isOutside, error: errno("ETIMEDOUT") },
  { name: "no answer from then on", onwards: true, strikes: isOutside, error: errno("ETIMEDOUT") },
  { name: "no answer, but done", onwards: false, strikes: isOutside, error: () => new AnswerLost("now") },
  {
    name: "no answer, and done later",
    onwards: false,
    strikes: among(["rbd createSnapshot"]),
    error: () => new AnswerLost("later")
  }
]

// thousands of errors are made here, and nobody looks at where
Error.stackTraceLimit = 0

const inject = (memory: MemoryDisk, fault: Fault, at: number): { struck: string | undefined } => {
  const result: { struck: string | undefined } = { struck: undefined }
  const hook: Site.Hook = (n, name, path) => {
    if (n < at || (n > at && !fault.onwards) || !fault.strikes(name) || name === "dropCache") return
    result.struck ??= `${name} ${path}`
    throw fault.error(name, path)
  }
  memory.onOperation = hook
  return result
}

/** A machine whose disk takes and gives less than it is asked. */
const faultyMachine = (memory: MemoryDisk, short: Parameters<typeof FaultyDisk.make>[1]) => ({
  disk: FaultyDisk.make(memory.disk, short).disk,
  ...Site.isSite(memory) ? { outside: memory.outside } : {}
})

const isWanted = (scenario: string, fault: string, at: number): boolean =>
  REPLAY === undefined || (REPLAY[0] === scenario && REPLAY[1] === fault && Number(REPLAY[2]) === at)

export interface Options {
  /** The test file, below `test/simulation`. */
  readonly file: string
  readonly scenarios: ReadonlyArray<Scenarios.Scenario>
  /** Whether a call is made to fail at all. Default: every one is. `n` counts from 1. */
  readonly some?: (scenario: string, n: number, call: string) => boolean
  /** Says which calls they were, for the figures at the end. */
  readonly said?: string
}

/** The tests of some scenarios. */
export const faultsSuite = ({ file, said = "", scenarios, some = () => true }: Options): void => {
  const machine = Machine.make()
  const tried = { faults: 0, succeeded: 0, different: 0 }

  /** The names of all calls of a run. */
  const callsOf = (memory: MemoryDisk, { operation }: Scenarios.Scenario, options: Scenarios.Prepared["options"]) => {
    const calls: Array<string> = []
    const hook: Site.Hook = (_, name) => void calls.push(name)
    memory.onOperation = hook
    const exit = machine.run(memory, operation, options)
    memory.onOperation = undefined
    return { calls, exit }
  }

  describe("whatever call of the disk fails, nothing is harmed and no failure looks like success", () => {
    for (const scenario of scenarios) {
      it(`in ${scenario.name}`, { timeout: 600_000 }, async () => {
        const prepared = Scenarios.prepare(machine, scenario)
        const { memory, options } = prepared
        const known = knownOf(prepared)
        const seen = new Set<string>()
        const judged = new Set<string>()
        const whole = memory.clone()
        const { calls, exit } = callsOf(whole, scenario, options)
        assert.deepStrictEqual([...atEnd(exit, whole), ...verdict(scenario, known, exit, whole)], [])
        for (const fault of faults) {
          for (const [index, call] of calls.entries()) {
            const at = index + 1
            if (!isWanted(scenario.name, fault.name, at) || !some(scenario.name, at, call)) continue
            // what begins at another call begins at the next one that it strikes
            if (!fault.strikes(call)) continue
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
              const again = `BACKY_FAULT_REPLAY='${scenario.name}/${fault.name}/${at}' npm test -- ` +
                `test/simulation/${file} -t 'success in ${scenario.name}'`
              complain(`${scenario.name}, ${fault.name} at call ${at}, ${injected.struck}`, ended, found, again)
            }
          }
        }
      })
    }

    afterAll(() => {
      process.stdout.write(
        `calls that were made to fail: ${tried.faults}; ${tried.succeeded} times the operation could do ` +
          `without; ${tried.different} different outcomes were each continued with a backup and a purge${said}\n`
      )
    })
  })

  describe("a disk that transfers a few bytes at a time", () => {
    for (const scenario of scenarios) {
      it(`changes nothing in ${scenario.name}`, async () => {
        const prepared = Scenarios.prepare(machine, scenario)
        const { memory, options } = prepared
        const known = knownOf(prepared)
        for (const limit of [1, 7, 511]) {
          await breathe()
          const disk = memory.clone()
          const faulty = faultyMachine(disk, [{ call: ["read", "write"], limit }])
          const exit = machine.run(faulty, scenario.operation, options)
          assert.strictEqual(Exit.isFailure(exit), scenario.fails === true)
          assert.deepStrictEqual([...atEnd(exit, disk), ...verdict(scenario, known, exit, disk)], [])
        }
      })
    }
  })

  describe("a write of which nothing is taken", () => {
    for (const scenario of scenarios) {
      it(`does not hang ${scenario.name}`, () => {
        const prepared = Scenarios.prepare(machine, scenario)
        const { memory, options } = prepared
        const known = knownOf(prepared)
        const disk = memory.clone()
        const faulty = faultyMachine(disk, [{ call: "write", limit: 0 }])
        const exit = machine.run(faulty, scenario.operation, options)
        assert.deepStrictEqual([...atEnd(exit, disk), ...verdict(scenario, known, exit, disk)], [])
        assert.deepStrictEqual(aftermath(machine, scenario, known, disk), [])
      })
    }
  })

  describe("a disk that becomes full", () => {
    for (const scenario of scenarios) {
      it(`at any call harms nothing in ${scenario.name}`, { timeout: 600_000 }, async () => {
        const prepared = Scenarios.prepare(machine, scenario)
        const { memory, options } = prepared
        const known = knownOf(prepared)
        const { calls } = callsOf(memory.clone(), scenario, options)
        const seen = new Set<string>()
        for (const [index, call] of calls.entries()) {
          const at = index + 1
          if (!some(scenario.name, at, call)) continue
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
          const again = `npm test -- test/simulation/${file} -t 'full at any call harms nothing in ${scenario.name}'`
          assert.deepStrictEqual(found, [], `full from call ${at} on; replay it with ${again}`)
        }
      })
    }
  })
}
