/** The built program as a daemon: real children, signals, files and telnet clients. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import * as FS from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { freePort } from "../support/freePort.ts"

const backy = fileURLToPath(new URL("../../dist/backy", import.meta.url))

let root = ""
let port = 0
const daemons = new Set<ChildProcess>()
const base = () => join(root, "base")
const configFile = () => join(root, "backy.conf")
const logFile = () => join(root, "backy.log")
const log = () => FS.readFileSync(logFile(), "utf8")

const config = (
  options: { readonly jobs?: number; readonly interval?: string; readonly tock?: string; readonly more?: string } = {}
): string => {
  const { interval = "20s", jobs = 5, more = "", tock = "60s" } = options
  const names = Array.from({ length: jobs }, (_, index) => `vm${index + 1}`)
  return `global:
  base-dir: ${base()}
  worker-limit: 2
  status-interval: 1
  nice: 0
  telnet-addrs: 127.0.0.1
  telnet-port: ${port}
  backup-completed-callback: ${join(root, "callback")}
schedules:
  often:
    tick: {interval: ${interval}, keep: 2}
    tock: {interval: ${tock}, keep: 1}
jobs:
${
    names.map((name) => `  ${name}: {schedule: often, source: {type: file, filename: ${join(root, name)}.img}}`).join(
      "\n"
    )
  }
${more}`
}

const start = (): ChildProcess => {
  const child = spawn(backy, ["-l", logFile(), "scheduler", "-c", configFile()], {
    stdio: ["ignore", "inherit", "inherit"]
  })
  daemons.add(child)
  return child
}

const exited = (child: ChildProcess): Promise<number | string> =>
  new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve(child.exitCode ?? child.signalCode ?? "")
    child.on("exit", (code, signal) => resolve(code ?? signal ?? ""))
  })

/** Waits for something that the daemon will do; fails after a time that no machine needs. */
const until = async (what: string, holds: () => boolean): Promise<void> => {
  for (let waited = 0; waited < 170_000; waited += 100) {
    if (holds()) return
    await sleep(100)
  }
  throw new Error(`waited in vain until ${what}\n${FS.existsSync(logFile()) ? log().slice(-3000) : ""}`)
}

/** Ends what should have ended by itself: nothing else could, as long as this waits. */
const run = (...args: ReadonlyArray<string>) => {
  const { status, stderr, stdout } = spawnSync(backy, args, {
    encoding: "utf8",
    timeout: 120_000,
    killSignal: "SIGKILL"
  })
  return { status, stderr, stdout }
}
const check = () => run("check", "-c", configFile())
const revisions = (job: string) =>
  FS.existsSync(join(base(), job)) ? FS.readdirSync(join(base(), job)).filter((name) => name.endsWith(".rev")) : []
const made = (job: string) =>
  log().split("\n").filter((line) => line.includes(" INFO made ") && line.endsWith(`job=${job}`)).length

const telnet = (program: string, input: string) =>
  spawnSync("sh", ["-c", `{ printf '${input}'; sleep 3; } | ${program}`], { encoding: "utf8" }).stdout

beforeAll(async () => {
  root = FS.realpathSync(FS.mkdtempSync(join(tmpdir(), "backy-scheduler-")))
  port = await freePort()
  FS.mkdirSync(base())
  for (let index = 1; index <= 5; index++) {
    FS.writeFileSync(join(root, `vm${index}.img`), Buffer.alloc(300_000, `content of image ${index}`))
  }
  FS.writeFileSync(
    join(root, "callback"),
    `#!/bin/sh\nn=$(grep -c "uuid:" -)\necho "$1 $n" >> ${join(root, "called")}\n`,
    { mode: 0o755 }
  )
})
afterAll(() => {
  for (const child of daemons) child.kill("SIGKILL")
  FS.rmSync(root, { recursive: true, force: true })
})

describe.sequential("the daemon", () => {
  let daemon: ChildProcess

  it("is UNKNOWN to check before it has ever run, and refuses a base directory that is not there", () => {
    FS.writeFileSync(configFile(), config())
    const { status, stdout } = check()
    assert.strictEqual(status, 3)
    assert.match(stdout, /^UNKNOWN: the status file .*\/status is not there/)
    FS.writeFileSync(join(root, "wrong.conf"), config().replace(base(), join(root, "nowhere")))
    const refused = run("scheduler", "-c", join(root, "wrong.conf"))
    assert.strictEqual(refused.status, 1)
    assert.match(refused.stderr, /cannot use the base directory .*nowhere/)
  })

  it("runs, expires and purges all jobs, and calls back with the job's name and status", async () => {
    daemon = start()
    await until(
      "every job has run twice",
      () => FS.existsSync(logFile()) && [1, 2, 3, 4, 5].every((index) => made(`vm${index}`) >= 2)
    )
    for (let index = 1; index <= 5; index++) assert.isAtMost(revisions(`vm${index}`).length, 5)
    assert.strictEqual(FS.statSync(join(base(), "vm1/config")).mode & 0o777, 0o440)
    const called = FS.readFileSync(join(root, "called"), "utf8").trim().split("\n")
    for (let index = 1; index <= 5; index++) {
      assert.isTrue(called.some((line) => /^vm\d [1-9]/.test(line) && line.startsWith(`vm${index} `)))
    }
    // on a slow machine a run may take longer than an interval, which check warns of
    await until("check is green", () => check().stdout.startsWith("OK: 5 jobs within SLA | jobs=5 overdue=0"))
    const jobs = JSON.parse(run("jobs", "--json", "-c", configFile(), "vm[12]").stdout) as ReadonlyArray<
      { job: string }
    >
    assert.deepStrictEqual(jobs.map(({ job }) => job), ["vm1", "vm2"])
  }, 300_000)

  it("lets no second one run on its base directory", () => {
    const { status, stderr } = run("scheduler", "-c", configFile())
    assert.strictEqual(status, 69)
    assert.match(stderr, /another scheduler runs on .*base \(backy .*scheduler.*, process \d+ on \S+, since /)
  })

  it("answers nc and telnet", () => {
    const nc = telnet(`nc -q 2 127.0.0.1 ${port}`, String.raw`jobs vm[12]\njobs (\njobs (x+x+)+y\nfoo\nrun vm9\nquit\n`)
    assert.match(nc, /^backy .*\r\nReady\.\r\nbacky> /)
    assert.match(nc, /\| Job +\| SLA +\| SLA overdue \|/)
    assert.match(nc, /\| vm1 /)
    assert.notMatch(nc, /\| vm3 /)
    assert.match(nc, /Cannot look for "\("/)
    assert.match(nc, /no such command\.\r\nbacky> Unknown job vm9\r\nbacky> Goodbye\.\r\n$/)
    const real = telnet(`telnet 127.0.0.1 ${port}`, String.raw`status\nrunall\nquit\n`)
    assert.match(real, /\| +Status +\| # \|/)
    assert.match(real, /Triggered immediate run for vm1|vm1 is running already/)
    assert.match(real, /Goodbye\./)
  }, 200_000)

  it("keeps running by the old config when the new one is wrong, and says so", async () => {
    FS.writeFileSync(configFile(), config().replace("schedule: often", "schedule: oftn"))
    daemon.kill("SIGHUP")
    await until("the reload was refused", () => /was not reloaded.*did you mean "often"/.test(log()))
    const before = made("vm1")
    await until("it still makes backups", () => made("vm1") > before)
    assert.strictEqual(check().status, 3)
    assert.match(FS.readFileSync(join(base(), "status"), "utf8"), /reload_refused: ".*oftn/)
    const answer = telnet(`nc -q 2 127.0.0.1 ${port}`, String.raw`reload\nquit\n`)
    assert.match(answer, /The new configuration is wrong, the old one stays:\r\n.*oftn/)
    FS.rmSync(configFile())
    daemon.kill("SIGHUP")
    await until("a config that is gone was refused", () => log().includes("there is no config file"))
    FS.writeFileSync(configFile(), config({ jobs: 4 }))
    daemon.kill("SIGHUP")
    await until("the right one was taken", () => log().includes(": 4 jobs"))
    await until("check is green again", () => check().stdout.startsWith("OK: 4 jobs within SLA"))
    FS.writeFileSync(configFile(), config())
    assert.match(check().stdout, /^CRITICAL: \d of 5 jobs not within SLA \(.*vm5\)/)
    daemon.kill("SIGHUP")
    await until("check is green with all", () => check().stdout.startsWith("OK: 5 jobs within SLA"))
  }, 300_000)

  it("goes on with a new log file after the old one was renamed", async () => {
    FS.renameSync(logFile(), `${logFile()}.1`)
    await until("there is a new one", () => FS.existsSync(logFile()) && log().includes(" INFO made "))
    assert.notInclude(log(), "scheduler started")
  }, 200_000)

  it("shows a source that is gone as red, and as green when it is back", async () => {
    FS.renameSync(join(root, "vm3.img"), join(root, "away"))
    await until(
      "check is red",
      () => /^CRITICAL: \d of 5 jobs .*vm3.*\n(.*\n)*critical: vm3: .*vm3\.img/.test(check().stdout)
    )
    assert.strictEqual(check().status, 2)
    FS.renameSync(join(root, "away"), join(root, "vm3.img"))
    await until("check is green", () => {
      if (check().status === 0) return true
      // a run that began before the source was back fails, and refuses a second one beside it
      telnet(`nc -q 2 127.0.0.1 ${port}`, String.raw`run vm3\nquit\n`)
      return false
    })
  }, 300_000)

  it("says of a job whose directory cannot be written that it fails, and goes on with the others", async () => {
    // root may write everywhere but where a file is in the way
    FS.renameSync(join(base(), "vm4"), join(base(), ".vm4"))
    FS.writeFileSync(join(base(), "vm4"), "")
    const others = made("vm5")
    await until("it fails", () => /config failed \(\d+ in a row\).*vm4.* job=vm4/.test(log()))
    await until("another goes on", () => made("vm5") > others)
    FS.rmSync(join(base(), "vm4"))
    FS.renameSync(join(base(), ".vm4"), join(base(), "vm4"))
    const before = made("vm4")
    telnet(`nc -q 2 127.0.0.1 ${port}`, String.raw`run vm4\nquit\n`)
    await until("it runs again", () => made("vm4") > before)
    assert.isAbove(revisions("vm4").length, 0)
  }, 200_000)

  it("survives kill -9: it starts again, catches up, and check turns green", async () => {
    daemon.kill("SIGKILL")
    await exited(daemon)
    FS.utimesSync(join(base(), "status"), new Date(Date.now() - 600_000), new Date(Date.now() - 600_000))
    assert.match(check().stdout, /^CRITICAL: the status file was written 10m( \d+s)? ago/)
    await sleep(5000)
    FS.renameSync(logFile(), `${logFile()}.2`)
    // an SLA that a busy machine can hold
    FS.writeFileSync(configFile(), config({ interval: "60s", tock: "120s" }))
    daemon = start()
    await until(
      "every job has caught up",
      () => FS.existsSync(logFile()) && [1, 2, 3, 4, 5].every((index) => made(`vm${index}`) >= 1)
    )
    await until("check is green", () => check().status === 0)
  }, 300_000)

  it("ends its children and itself at SIGTERM, within seconds, with 0", async () => {
    const before = Date.now()
    daemon.kill("SIGTERM")
    assert.strictEqual(await exited(daemon), 0)
    assert.isBelow(Date.now() - before, 15_000)
    const left = spawnSync("pgrep", ["-f", `-b ${base()}/`], { encoding: "utf8" }).stdout
    assert.strictEqual(left, "")
    assert.match(log(), /scheduler stopped\n$/)
  }, 200_000)
})
