/**
 * The kernel's locks: `FileLock` through the `flock` program, which locks a descriptor of ours. We keep it open, so
 * the lock is held as long as this process lives and no longer, however it ends.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { spawn } from "node:child_process"
import { hostname } from "node:os"
import { hasCode } from "./errno.ts"
import { FileLock, make } from "./FileLock.ts"
import { foreignLock } from "./foreignLocks.ts"
import { fromUnknown, IoError } from "./IoError.ts"
import { nodeDisk } from "./nodeDisk.ts"
import { lockersOf } from "./procLocks.ts"

/** Runs `flock` on a descriptor of ours; it never waits for the lock. */
const flock = (
  program: string,
  descriptor: number,
  path: string,
  mode: "shared" | "exclusive"
): Effect.Effect<boolean, IoError> =>
  Effect.async((resume) => {
    const fail = (code: string, detail: string) =>
      resume(Effect.fail(new IoError({ operation: "lock", path, code, detail })))
    let stderr = ""
    const child = spawn(program, ["-n", mode === "exclusive" ? "-x" : "-s", "3"], {
      stdio: ["ignore", "ignore", "pipe", descriptor]
    })
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      stderr = (stderr + text).slice(-500)
    })
    child.on("error", (cause) => {
      if (!hasCode(cause, "ENOENT")) return resume(Effect.fail(fromUnknown("run flock on", path, cause)))
      fail("ENOSYS", "the program \"flock\" is not installed; it is part of the package util-linux")
    })
    child.on("close", (exitCode, signal) => {
      if (exitCode === 0) return resume(Effect.succeed(true))
      // With a message it is not the lock that others hold, but something that went wrong.
      if (exitCode === 1 && stderr === "") return resume(Effect.succeed(false))
      const end = exitCode === null ? `was killed by ${signal}` : `failed with exit code ${exitCode}`
      fail(/no locks available/i.test(stderr) ? "ENOLCK" : "EIO", `flock ${end}: ${stderr.trim()}`)
    })
  })

const isRunning = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (cause) {
    return hasCode(cause, "EPERM")
  }
}

/** The kernel's locks, taken by this program instead of the `flock` found in PATH. */
export const layerProgram = (program: string): Layer.Layer<FileLock> =>
  Layer.succeed(
    FileLock,
    make(nodeDisk, {
      lock: (descriptor, path, mode) => flock(program, descriptor, path, mode),
      foreign: (descriptor) => foreignLock(descriptor, nodeDisk.stat(descriptor).ino),
      // Closing does it: nobody else has this open file.
      unlock: () => {},
      isGone: ({ host, pid }) => host === hostname() && !isRunning(pid),
      lockersOf
    })
  )

/** The kernel's locks. */
export const layer: Layer.Layer<FileLock> = layerProgram("flock")
