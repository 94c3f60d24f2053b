/**
 * Preloaded into the real program (NODE_OPTIONS=--import): SIGKILL before the n-th call of the file system that a
 * thread makes, as BACKY_TEST_KILL_AT says. Exact moments, without looking at a clock.
 */
import FS from "node:fs"
import { syncBuiltinESMExports } from "node:module"

const at = Number(process.env.BACKY_TEST_KILL_AT)
let calls = 0

/** What changes something, or makes it durable; the program's own modules are only read. */
const names = [
  "close",
  "chmod",
  "fchmod",
  "fdatasync",
  "fsync",
  "ftruncate",
  "mkdir",
  "rename",
  "rm",
  "truncate",
  "unlink",
  "write"
]

for (const name of names.flatMap((name) => [name, `${name}Sync`])) {
  const original = FS[name]
  FS[name] = (...args) => {
    // descriptors 0 to 2 are the terminal
    if (!(typeof args[0] === "number" && args[0] < 3) && ++calls === at) process.kill(process.pid, "SIGKILL")
    return original(...args)
  }
}
syncBuiltinESMExports()
