/** Preloaded into the real program (NODE_OPTIONS=--import): writes the most memory it had, in KiB, to BACKY_TEST_PEAK. */
import { readFileSync, writeFileSync } from "node:fs"
import { isMainThread } from "node:worker_threads"

const path = process.env.BACKY_TEST_PEAK
if (isMainThread && path !== undefined) {
  process.on("exit", () => {
    // not getrusage: that begins with what the parent had
    const [, kibibytes = ""] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8")) ?? []
    writeFileSync(path, kibibytes)
  })
}
