/** Signals to the built program: it cleans up, ends with the code that says so, and never opens anything. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { spawn, spawnSync } from "node:child_process"
import { closeSync, openSync, readdirSync, readFileSync } from "node:fs"
import { constants } from "node:os"
import { join } from "node:path"
import { MIB, noise, ok, PROGRAM, start, until, workshop } from "./program.ts"

let shop: Awaited<ReturnType<typeof workshop>>
beforeAll(async () => {
  shop = await workshop(noise(128 * MIB))
  await ok(...shop.args("backup", "daily"))
})
afterAll(() => shop.remove())

/** A restore that has made its unfinished file. */
const underWay = async (name: string, program?: ReadonlyArray<string>) => {
  const folder = shop.makeFolder(name)
  const [command, ...before] = [...program ?? [], PROGRAM]
  const child = spawn(command, [...before, ...shop.args("restore", join(folder, "image"))], {
    env: { ...process.env, BACKY_WORKERS: "1" },
    stdio: ["ignore", "ignore", "pipe"]
  })
  let err = ""
  child.stderr.setEncoding("utf8").on("data", (text: string) => err += text)
  const ended = new Promise<{ readonly code: number | null; readonly err: string; readonly files: Array<string> }>(
    (resolve) => child.once("close", (code) => resolve({ code, err, files: readdirSync(folder) }))
  )
  await until(() => readdirSync(folder).length > 0)
  return { child, ended }
}

describe("a restore", () => {
  for (const signal of ["SIGHUP", "SIGINT", "SIGQUIT", "SIGALRM", "SIGTERM", "SIGXCPU", "SIGPWR"] as const) {
    it(`that gets ${signal} leaves nothing, and ends with 128 and the number of the signal`, async () => {
      const { child, ended } = await underWay(signal)
      child.kill(signal)
      assert.deepStrictEqual(await ended, {
        code: 128 + constants.signals[signal],
        err: "backy: interrupted\n",
        files: []
      })
    })
  }

  it("goes on when the terminal is gone, if it was started with nohup", async () => {
    const { child, ended } = await underWay("nohup", ["nohup"])
    child.kill("SIGHUP")
    const { code, files } = await ended
    assert.deepStrictEqual([code, files], [0, ["image"]])
  })

  it("tells how far it is when it is asked by SIGUSR1 or SIGUSR2, opens no debugger, and goes on", async () => {
    const { child, ended } = await underWay("asked")
    // it has nothing to tell before it begins to write
    const asking = setInterval(() => child.kill("SIGUSR1") && child.kill("SIGUSR2"), 50)
    await new Promise((resolve) => child.stderr.once("data", resolve))
    clearInterval(asking)
    const listening = spawnSync("ss", ["-tlnp"], { encoding: "utf8" })
    assert.notInclude(listening.stdout ?? "", `pid=${child.pid},`)
    const { code, err } = await ended
    assert.strictEqual(code, 0)
    assert.match(err, /^(restoring +\d+ % .*\n)+$/)
  })
})

describe("a command at its end", () => {
  const hasStrace = spawnSync("strace", ["-V"]).status === 0

  it.skipIf(!hasStrace)("does not wait for ever when standard error lies on a disk that cannot be synced", () => {
    const log = join(shop.folder, "stderr.log")
    const descriptor = openSync(log, "w")
    // every sync fails, also that of what verify has found; koffi is unloaded with the threads, and then at the end
    const { signal, status } = spawnSync(
      "strace",
      ["-f", "-o", "/dev/null", "-e", "trace=fsync", "-e", "inject=fsync:error=EIO", PROGRAM, ...shop.args("verify")],
      { stdio: ["ignore", descriptor, descriptor], timeout: 60_000, killSignal: "SIGKILL" }
    )
    closeSync(descriptor)
    assert.deepStrictEqual([signal, status], [null, 1], readFileSync(log, "utf8"))
    assert.match(readFileSync(log, "utf8"), /i\/o error \(EIO\)\n$/)
  })

  it("that waits for who reads its messages is ended by a signal", async () => {
    const { child, ended } = start(shop.args("verify", "-r", "x".repeat(120_000)))
    child.stderr.pause()
    await until(() => child.exitCode === null && child.stderr.readableLength > 0)
    child.kill("SIGTERM")
    assert.strictEqual(await new Promise((resolve) => child.once("exit", resolve)), 1)
    child.stderr.resume()
    await ended
  })
})
