/** A daemon whose program is replaced below it: an upgrade of the package while it runs. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { type ChildProcess, spawn } from "node:child_process"
import * as FS from "node:fs"
import { connect } from "node:net"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { freePort } from "../support/freePort.ts"
import { PROGRAM } from "./program.ts"

let root = ""
let port = 0
let daemon: ChildProcess
const log = () => FS.existsSync(join(root, "log")) ? FS.readFileSync(join(root, "log"), "utf8") : ""
const dist = () => join(root, "package/dist")
const aside = () => join(root, "package/dist.old")

const config = (interval: string): string =>
  `global:
  base-dir: ${root}/base
  status-interval: 1
  telnet-addrs: 127.0.0.1
  telnet-port: ${port}
schedules: {usual: {daily: {interval: ${interval}, keep: 2}}}
jobs: {web01: {schedule: usual, source: {type: file, filename: ${root}/image}}}
`

const until = async (what: string, holds: () => boolean): Promise<void> => {
  for (let waited = 0; waited < 100_000; waited += 100) {
    if (holds()) return
    await sleep(100)
  }
  throw new Error(`waited in vain until ${what}\n${log().slice(-3000)}`)
}

/** What the shell answers. */
const shell = (lines: string): Promise<string> =>
  new Promise((resolve, reject) => {
    let text = ""
    const socket = connect(port, "127.0.0.1", () => socket.write(`${lines}\nquit\n`))
    socket.setEncoding("utf8").on("data", (more: string) => text += more).on("error", reject)
    socket.on("close", () => resolve(text))
  })

beforeAll(async () => {
  root = FS.realpathSync(FS.mkdtempSync(join(tmpdir(), "backy-upgrade-")))
  port = await freePort()
  FS.mkdirSync(join(root, "base"))
  FS.writeFileSync(join(root, "image"), Buffer.alloc(300_000, "content"))
  FS.cpSync(dirname(PROGRAM), dist(), { recursive: true })
  FS.symlinkSync(fileURLToPath(new URL("../../node_modules", import.meta.url)), join(root, "package/node_modules"))
  FS.writeFileSync(join(root, "backy.conf"), config("1d"))
  daemon = spawn(join(dist(), "backy"), ["-l", join(root, "log"), "scheduler", "-c", join(root, "backy.conf")], {
    stdio: ["ignore", "inherit", "inherit"]
  })
})
afterAll(() => {
  daemon.kill("SIGKILL")
  FS.rmSync(root, { recursive: true, force: true })
})

describe("the daemon while its program is replaced", () => {
  it("has loaded all it needs, runs the new program as soon as it is there, and ends well", async () => {
    await until("the first run", () => log().includes(" INFO made daily"))
    FS.renameSync(dist(), aside())
    const written = FS.statSync(join(root, "base/status")).mtimeMs
    assert.match(await shell("jobs ^w.*1$\nstatus\nhelp\nnonsense"), /web01 .*no such command/s)
    FS.writeFileSync(join(root, "backy.conf"), "jobs: [")
    assert.match(await shell("reload"), /the old one stays/)
    FS.writeFileSync(join(root, "backy.conf"), config("2d"))
    daemon.kill("SIGHUP")
    await until("it has reloaded", () => log().includes(" INFO reloaded "))
    await until("it writes its status", () => FS.statSync(join(root, "base/status")).mtimeMs > written)
    await shell("run web01")
    await until("the run has failed", () => log().includes(" ERROR backup failed (1 in a row)"))
    FS.renameSync(aside(), dist())
    await shell("run web01")
    await until("it runs again", () => log().split(" INFO made daily").length === 3)
    assert.notInclude(log(), "a bug in backy")
    const ended = new Promise((resolve) => daemon.once("exit", (code, signal) => resolve(code ?? signal)))
    FS.renameSync(dist(), aside())
    daemon.kill("SIGTERM")
    assert.strictEqual(await ended, 0)
  }, 240_000)
})
