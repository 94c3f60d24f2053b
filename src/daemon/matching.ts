/** Names that match what a user typed, without giving that user the daemon's time. */
import * as Effect from "effect/Effect"
import { Worker } from "node:worker_threads"

/** Milliseconds; a sane expression takes one for ten thousand names. */
const LIMIT = 1000

const MAX_PATTERN = 200

/** Why there is no answer. */
export interface NoMatch {
  readonly _tag: "NoMatch"
  readonly reason: string
}

const noMatch = (reason: string): NoMatch => ({ _tag: "NoMatch", reason })

/** The thread: a few lines of plain JavaScript, so that it needs no file of its own. */
const PROGRAM = `
const { parentPort, workerData } = require("node:worker_threads")
const expression = new RegExp(workerData.pattern)
parentPort.postMessage(workerData.names.filter((name) => expression.test(name)))
`

const inThread = (pattern: string, names: ReadonlyArray<string>): Effect.Effect<ReadonlyArray<string>, NoMatch> =>
  Effect.async((resume) => {
    const worker = new Worker(PROGRAM, {
      eval: true,
      workerData: { pattern, names },
      env: {},
      resourceLimits: { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 16 }
    })
    const timer = setTimeout(() => {
      void worker.terminate()
      resume(Effect.fail(noMatch("this expression takes too long")))
    }, LIMIT)
    const end = (answer: Effect.Effect<ReadonlyArray<string>, NoMatch>) => {
      clearTimeout(timer)
      void worker.terminate()
      resume(answer)
    }
    worker.on("message", (found: ReadonlyArray<string>) => end(Effect.succeed(found)))
    worker.on("error", (cause) => end(Effect.fail(noMatch(cause instanceof Error ? cause.message : String(cause)))))
    return Effect.sync(() => {
      clearTimeout(timer)
      void worker.terminate()
    })
  })

/**
 * The names that a regular expression finds, in their order. A word is looked for at once; everything else runs in a
 * thread for at most a second, because backtracking can take years.
 */
export const matching = (
  pattern: string,
  names: ReadonlyArray<string>
): Effect.Effect<ReadonlyArray<string>, NoMatch> =>
  Effect.suspend(() => {
    if (/^[\w -]*$/.test(pattern)) return Effect.succeed(names.filter((name) => name.includes(pattern)))
    if (pattern.length > MAX_PATTERN) return Effect.fail(noMatch(`an expression has at most ${MAX_PATTERN} characters`))
    try {
      void new RegExp(pattern)
    } catch (cause) {
      return Effect.fail(noMatch(cause instanceof Error ? cause.message : String(cause)))
    }
    return inThread(pattern, names)
  })
