/**
 * Preloaded into the real program (NODE_OPTIONS=--import): tells what it writes, syncs and names, a JSON line each, in
 * the file BACKY_TEST_CALLS. A call is told when it has succeeded.
 */
import FS from "node:fs"
import { syncBuiltinESMExports } from "node:module"

/** Calls that give a file a name. */
const NAMING = new Set(["link", "rename"])

const log = process.env.BACKY_TEST_CALLS
const { appendFileSync, readlinkSync } = FS

const tell = (call, args) => {
  const [first, second] = args
  // descriptors 0 to 2 are the terminal, or what a shell has opened
  if (first === log || (typeof first === "number" && first < 3 && call !== "fsync")) return
  const path = typeof first === "number" ? readlinkSync(`/proc/self/fd/${first}`) : String(first)
  appendFileSync(log, `${JSON.stringify({ call, path, to: NAMING.has(call) ? String(second) : undefined })}\n`)
}

for (const call of ["fdatasync", "fsync", "ftruncate", "link", "mkdir", "rename", "unlink", "rm", "write"]) {
  const [later, now] = [FS[call], FS[`${call}Sync`]]
  FS[`${call}Sync`] = (...args) => {
    const result = now(...args)
    tell(call, args)
    return result
  }
  FS[call] = (...args) => {
    const done = args.pop()
    later(...args, (error, ...rest) => {
      if (!error) tell(call, args)
      done(error, ...rest)
    })
  }
}
syncBuiltinESMExports()
