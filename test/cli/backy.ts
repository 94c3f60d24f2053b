/** The command line in process, over a simulated disk: what it prints and its exit code. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/TestClock"
import * as Cli from "../../src/cli/Cli.ts"
import { Terminal } from "../../src/cli/Terminal.ts"
import * as Logging from "../../src/logging.ts"
import { Daemon } from "../../src/operation/Daemon.ts"
import * as Output from "../../src/operation/Output.ts"
import * as Progress from "../../src/operation/Progress.ts"
import type { MemoryDisk } from "../../src/platform/MemoryDisk.ts"
import { outside } from "../support/outside.ts"
import { CHUNK, layerOn, makeDisk, REPOSITORY, setFile } from "../support/World.ts"

/** What a command left behind. */
export interface Outcome {
  readonly code: number
  /** Standard output and standard error, a line each. */
  readonly out: ReadonlyArray<string>
  readonly err: ReadonlyArray<string>
  /** The image bytes on standard output. */
  readonly image: Uint8Array
}

/** A config for the image of the world. */
const CONFIG = `source:
  type: file
  filename: /images/vm.img
schedule:
  daily: {interval: 1d, keep: 3}
  weekly: {interval: 7d, keep: 2}
`

/** A disk with a repository that has a config, and an image. */
export const makeMachine = (image: Uint8Array = new Uint8Array(10_000).fill(7)): MemoryDisk => {
  const machine = makeDisk()
  setFile(machine.disk, `${REPOSITORY}/config`, new TextEncoder().encode(CONFIG))
  setFile(machine.disk, "/images/vm.img", image)
  return machine
}

/** Runs `backy` with these arguments. */
export const backy = (machine: MemoryDisk, ...argv: ReadonlyArray<string>): Effect.Effect<Outcome> =>
  Effect.gen(function*() {
    const out: Array<string> = []
    const err: Array<string> = []
    const image: Array<Uint8Array> = []
    const console = yield* Effect.console
    const split = (args: ReadonlyArray<unknown>) => args.map(String).join(" ").split("\n")
    const code = yield* Cli.run(argv, ({ verbose }) =>
      Layer.mergeAll(
        layerOn(machine.disk),
        outside,
        Layer.mock(Daemon, {}),
        Output.layerMemory(image),
        Layer.succeed(Progress.Progress, {
          start: () => Effect.void,
          advance: () => Effect.void,
          lacksRoom: () => Effect.void
        }),
        Logging.layer({ file: undefined, verbose, stderr: (line) => err.push(line) })
      )).pipe(
        Effect.provideService(Terminal, { isTerminal: false, settled: Effect.void }),
        Effect.withConsole({
          ...console,
          log: (...args) => Effect.sync(() => void out.push(...split(args))),
          error: (...args) => Effect.sync(() => void err.push(...split(args)))
        })
      )
    return { code, out, err, image: Uint8Array.from(Buffer.concat(image)) }
  })

/** An image of three chunks and a bit; the first is full of a byte, the second of zeros. */
export const image = (first: number): Uint8Array => {
  const bytes = new Uint8Array(3 * CHUNK + 100).fill(first, 0, CHUNK)
  return bytes.fill(9, 2 * CHUNK)
}

/** Runs `backy` and expects it to succeed. */
export const ok = (machine: MemoryDisk, ...argv: ReadonlyArray<string>) =>
  Effect.map(backy(machine, ...argv), ({ code, err, image, out }: Outcome) => {
    assert.strictEqual(code, 0, err.join("\n"))
    return { out, err, image }
  })

/** The one line that a command says when it fails. */
export const fails = (code: number, machine: MemoryDisk, ...argv: ReadonlyArray<string>) =>
  Effect.map(backy(machine, ...argv), (outcome) => {
    assert.strictEqual(outcome.code, code, outcome.err.join("\n"))
    assert.deepStrictEqual(outcome.out, [])
    assert.strictEqual(outcome.err.length, 1, outcome.err.join("\n"))
    return outcome.err[0] ?? ""
  })

/** Two revisions, `weekly` and `daily`, that differ in the first chunk; with their ids. */
export const twoRevisions = Effect.gen(function*() {
  const machine = makeMachine(image(1))
  yield* ok(machine, "backup", "weekly")
  yield* TestClock.adjust("1 days")
  setFile(machine.disk, "/images/vm.img", image(2))
  yield* ok(machine, "backup", "daily")
  const { out } = yield* ok(machine, "find", "-r", "all", "--uuid")
  const [older = "", newer = ""] = out
  return { machine, older, newer }
})
