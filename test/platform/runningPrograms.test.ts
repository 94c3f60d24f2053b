/** Programs whose starter is killed. */
import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import { fileURLToPath } from "node:url"

const module = fileURLToPath(new URL("../../src/platform/runningPrograms.ts", import.meta.url))

/** Whether a process is there, and not only waiting to be asked how it ended. */
const isRunning = (pid: number): boolean => {
  try {
    return !/^State:\tZ/m.test(readFileSync(`/proc/${pid}/status`, "utf8"))
  } catch {
    return false
  }
}

/** Runs a script that can start programs; gives how it ended, and their numbers. */
const starter = (script: string) => {
  const { signal, status, stderr, stdout } = spawnSync(process.execPath, [
    "--input-type=module",
    "--eval",
    `import { spawn } from "node:child_process"
    import * as RunningPrograms from ${JSON.stringify(module)}
    const start = () => {
      const child = spawn("sleep", ["600"], { detached: true, stdio: "ignore" })
      child.unref()
      console.log(child.pid)
      return child.pid
    }
    ${script}`
  ], { encoding: "utf8", timeout: 60_000, killSignal: "SIGKILL" })
  return { signal, status, stderr, pids: stdout.trim().split("\n").map(Number) }
}

describe("a process that is killed", () => {
  it("takes what it has started with it, but for what has ended and what is to go on", async () => {
    const { pids, signal, stderr } = starter(`
      RunningPrograms.add(start(), false)
      RunningPrograms.add(start(), false)
      RunningPrograms.add(start(), true)
      const ended = start()
      RunningPrograms.add(ended, false)
      RunningPrograms.remove(ended)
      process.kill(process.pid, "SIGKILL")`)
    try {
      assert.strictEqual(signal, "SIGKILL", stderr)
      const [one = 0, two = 0, outlives = 0, ended = 0] = pids
      for (let waited = 0; waited < 20_000 && (isRunning(one) || isRunning(two)); waited += 20) await sleep(20)
      assert.deepStrictEqual([one, two, outlives, ended].map(isRunning), [false, false, true, true])
    } finally {
      for (const pid of pids) if (isRunning(pid)) process.kill(pid, "SIGKILL")
    }
  })
})

describe("a process that ends by itself", () => {
  it("is not kept from it", () => {
    const { pids, status, stderr } = starter("RunningPrograms.add(start(), false); RunningPrograms.remove(0)")
    for (const pid of pids) if (isRunning(pid)) process.kill(pid, "SIGKILL")
    assert.strictEqual(status, 0, stderr)
  })
})
