/**
 * Preloaded into the real program (NODE_OPTIONS=--import): SIGKILL, or BACKY_TEST_SIGNAL, before the n-th call of the
 * file system that a thread makes, as BACKY_TEST_KILL_AT says. Exact moments, without looking at a clock.
 */
import FS from "node:fs"
import { syncBuiltinESMExports } from "node:module"

const at = Number(process.env.BACKY_TEST_KILL_AT)
const signal = process.env.BACKY_TEST_SIGNAL ?? "SIGKILL"
/** Takes the moment of the signal, in milliseconds of the machine's clock. */
const moment = process.env.BACKY_TEST_MOMENT
const writeMoment = FS.writeFileSync
let calls = 0

const strike = () => {
  if (moment !== undefined) writeMoment(moment, String(Date.now()))
  process.kill(process.pid, signal)
}

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
    if (!(typeof args[0] === "number" && args[0] < 3) && ++calls === at) strike()
    return original(...args)
  }
}
syncBuiltinESMExports()
