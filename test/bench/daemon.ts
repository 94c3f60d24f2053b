/**
 * What the daemon costs while it has nothing to do: `node test/bench/daemon.ts [JOBS] [REVISIONS] [SECONDS]`. Makes a
 * base directory whose jobs have such a history, starts the built program on it, and prints how long it takes to start,
 * how much memory and processor time it uses, and how fast its shell answers.
 */
import * as DateTime from "effect/DateTime"
import { spawn } from "node:child_process"
import { randomBytes } from "node:crypto"
import * as FS from "node:fs"
import { connect, type Socket } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import * as Revision from "../../src/domain/Revision.ts"
import * as RevisionFile from "../../src/repository/revisionFile.ts"
import { freePort } from "../support/freePort.ts"

const program = fileURLToPath(new URL("../../dist/backy", import.meta.url))
const [jobs = 1000, revisions = 30, seconds = 120] = process.argv.slice(2).map(Number)
const DAY = 24 * 3600_000

/** Intervals are so long that nothing comes due meanwhile. */
const config = (base: string, port: number): string =>
  `global:
  base-dir: ${base}
  telnet-addrs: 127.0.0.1
  telnet-port: ${port}
  status-interval: 30
schedules:
  usual:
    daily: {interval: 100d, keep: 9}
    weekly: {interval: 700d, keep: 5}
    monthly: {interval: 3000d, keep: 4}
jobs:
${names.map((name) => `  ${name}: {schedule: usual, source: {type: file, filename: /dev/vg/${name}}}`).join("\n")}
`
const names = Array.from({ length: jobs }, (_, index) => `vm${String(index).padStart(4, "0")}`)

/** As a backup leaves it. */
const revision = (id: Revision.RevisionId, parent: Revision.RevisionId | null, at: number): Revision.Revision =>
  Revision.make({
    id,
    parent,
    backendType: "chunked-v4",
    timestamp: DateTime.unsafeMake(at),
    tags: ["daily", "weekly", "monthly"],
    trust: "verified",
    stats: { bytes_written: 123_456_789, duration: 95.4 },
    size: 40 * 2 ** 30,
    mapDigest: randomBytes(32).toString("hex"),
    verifiedAt: DateTime.unsafeMake(at + 60_000),
    verification: { kind: "sampled", compared: 1024, of: 10_240 }
  })

const populate = (base: string): void => {
  const now = Date.now()
  for (const name of names) {
    FS.mkdirSync(join(base, name))
    let parent: Revision.RevisionId | null = null
    for (let index = revisions; index > 0; index--) {
      const id = Revision.fromRandom(randomBytes(16))
      FS.writeFileSync(join(base, name, `${id}.rev`), RevisionFile.encode(revision(id, parent, now - index * DAY)))
      parent = id
    }
  }
}

/** Seconds of processor time so far, and bytes of memory now and at most. */
const usage = (pid: number) => {
  const stat = FS.readFileSync(`/proc/${pid}/stat`, "utf8").replace(/^.*\) /, "").split(" ")
  const status = FS.readFileSync(`/proc/${pid}/status`, "utf8")
  const kib = (key: string) => Number(new RegExp(`^${key}:\\s+(\\d+)`, "m").exec(status)?.[1]) * 1024
  // in ticks, of which Linux has a hundred a second wherever Node.js runs
  return { cpu: (Number(stat[11]) + Number(stat[12])) / 100, now: kib("VmRSS"), most: kib("VmHWM") }
}

/** Waits for the prompt; the time limit of whoever runs this ends it otherwise. */
const prompt = (socket: Socket): Promise<void> =>
  new Promise((resolve) => {
    let text = ""
    const listen = (bytes: Buffer) => {
      text = text.slice(-10) + bytes.toString("latin1")
      if (!text.endsWith("backy> ")) return
      socket.off("data", listen)
      resolve()
    }
    socket.on("data", listen)
  })

/** Processor time of a hundred million additions: what a second is worth on this machine, at the moment. */
const calibrate = (): number => {
  const from = process.cpuUsage()
  let sum = 0
  for (let index = 0; index < 1e8; index++) sum += index % 7
  const { system, user } = process.cpuUsage(from)
  return sum > 0 ? (system + user) / 1e6 : 0
}

/** Milliseconds until the answer has arrived, sorted. */
const ask = async (port: number, command: string): Promise<ReadonlyArray<number>> => {
  const socket = connect(port, "127.0.0.1").setNoDelay()
  await prompt(socket)
  const times: Array<number> = []
  for (let count = 0; count < 20; count++) {
    const from = performance.now()
    const answered = prompt(socket)
    socket.write(`${command}\r\n`)
    await answered
    times.push(performance.now() - from)
    await sleep(200)
  }
  socket.destroy()
  return times.sort((a, b) => a - b)
}

const mib = (bytes: number) => `${(bytes / 2 ** 20).toFixed(0)} MiB`
const print = (line: string) => void process.stdout.write(`${line}\n`)

const root = FS.mkdtempSync(join(tmpdir(), "backy-bench-"))
const base = join(root, "base")
FS.mkdirSync(base)
populate(base)
const port = await freePort()
FS.writeFileSync(join(root, "backy.conf"), config(base, port))
const began = performance.now()
const daemon = spawn(program, ["-l", join(root, "log"), "scheduler", "-c", join(root, "backy.conf")], {
  stdio: "inherit"
})
const pid = daemon.pid ?? 0
try {
  while (!FS.existsSync(join(base, "status"))) await sleep(10)
  print(`${jobs} jobs with ${revisions} revisions each`)
  const started = usage(pid)
  print(
    `start: ${((performance.now() - began) / 1000).toFixed(1)} s, of them ${started.cpu.toFixed(1)} s of processor, ` +
      `at most ${mib(started.most)}`
  )
  // the first minute still compiles
  await sleep(60_000)
  const before = usage(pid)
  const from = performance.now()
  await sleep(seconds * 1000)
  const after = usage(pid)
  const cpu = (after.cpu - before.cpu) / ((performance.now() - from) / 1000)
  print(`idle: ${(cpu * 100).toFixed(2)} % of a core, ${mib(after.now)} of memory`)
  print(`meanwhile 10^8 additions take ${calibrate().toFixed(2)} s of processor here`)
  for (const command of ["status", "jobs"]) {
    const times = await ask(port, command)
    print(`${command}: median ${times[10]?.toFixed(0)} ms, slowest ${times.at(-1)?.toFixed(0)} ms`)
  }
  const end = usage(pid)
  print(`then: ${mib(end.now)} of memory, at most ${mib(end.most)}`)
} finally {
  daemon.kill("SIGTERM")
  await new Promise((resolve) => daemon.once("exit", resolve))
  FS.rmSync(root, { recursive: true, force: true })
}
