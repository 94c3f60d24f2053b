/**
 * `Foreground` over node:child_process. Unlike what `Process` starts, the command stays in our process group, or the
 * terminal would not let it read.
 */
import * as Effect from "effect/Effect"
import { type ChildProcess, spawn } from "node:child_process"
import type { Ending } from "./Foreground.ts"
import { fromUnknown, type IoError } from "./IoError.ts"

/** What it may take from SIGTERM to its end, in milliseconds. */
const GRACE = 2000

/** Ends it, and does not wait for longer than a killed process takes. */
const stop = (child: ChildProcess): Effect.Effect<void> =>
  Effect.async((resume) => {
    if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
    const later = setTimeout(() => {
      child.kill("SIGKILL")
      resume(Effect.void)
    }, GRACE)
    child.once("exit", () => {
      clearTimeout(later)
      resume(Effect.void)
    })
    child.kill("SIGTERM")
  })

/** Runs a line of the shell. */
export const run = (line: string, env: Readonly<Record<string, string>>): Effect.Effect<Ending, IoError> =>
  Effect.async((resume) => {
    const child = spawn("/bin/sh", ["-c", line], { stdio: "inherit", env: { ...process.env, ...env } })
    child.once("error", (cause) => resume(Effect.fail(fromUnknown("run", "/bin/sh", cause))))
    child.once(
      "exit",
      (code, signal) =>
        resume(Effect.succeed(signal === null ? { _tag: "Exit", code: code ?? 0 } : { _tag: "Signal", signal }))
    )
    return stop(child)
  })
