/** A large installation: 100 and 1,000 jobs, each with a repository, and nothing due. */
import { spawn } from "node:child_process"
import * as FS from "node:fs"
import { connect } from "node:net"
import { setTimeout as pass } from "node:timers/promises"
import * as ChunkMap from "../../src/domain/ChunkMap.ts"
import { freePort } from "../support/freePort.ts"
import { PROGRAM } from "./backyTool.ts"
import * as Growth from "./growth.ts"
import { measure } from "./measure.ts"
import { type Options, say } from "./part.ts"
import * as Synthetic from "./synthetic.ts"

/** Says something to the shell, and what it answers up to the prompt; `undefined` while nobody listens. */
const ask = (port: number, line: string): Promise<string | undefined> =>
  new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1")
    let answer = ""
    socket.on("data", (data: Buffer) => answer += data.toString())
    socket.on("connect", () => socket.write(`${line}\nquit\n`))
    socket.on("error", () => resolve(undefined))
    socket.on("close", () => resolve(answer))
  })

/** Processor seconds that a process has used, and the memory that it has at most had. */
const usage = (pid: number): { readonly cpu: number; readonly memory: number } => {
  const stat = FS.readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? []
  const peak = /^VmHWM:\s+(\d+)/m.exec(FS.readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]
  return { cpu: (Number(stat[11]) + Number(stat[12])) / 100, memory: Number(peak ?? 0) * 1024 }
}

const IDLE_SECONDS = 65

/** What an idle daemon costs, as shares of one processor. */
export interface Idle {
  readonly jobs: number
  readonly share: number
}

export const manyJobs = async (
  { folder }: Options,
  trouble: (text: string) => void
): Promise<{ readonly rows: ReadonlyArray<Growth.Row>; readonly idle: ReadonlyArray<Idle> }> => {
  const idle: Array<Idle> = []
  const rows = await Growth.compare(async (scale, step) => {
    const count = scale === "small" ? 100 : 1000
    const base = `${folder}/jobs-${scale}`
    const names = Array.from({ length: count }, (_, index) => `vm${String(index).padStart(4, "0")}`)
    const port = await freePort()
    FS.mkdirSync(base)
    say(`${count} jobs`)
    FS.writeFileSync(`${folder}/small-image`, "an image")
    const map = Synthetic.fullMap(8 * ChunkMap.CHUNK_SIZE, "job")
    const source = `{type: file, filename: ${folder}/small-image}`
    names.forEach((name, index) => {
      const repository = `${base}/${name}`
      FS.mkdirSync(repository)
      FS.writeFileSync(`${repository}/config`, `source: ${source}\nschedule:\n  monthly: {interval: 30d, keep: 4}\n`)
      for (let back = 0; back < 4; back++) {
        const at = new Date(Date.now() - (0.5 + back * 30) * 24 * 3600_000)
        Synthetic.writeRevision(repository, index * 4 + back, { map, at, tags: ["monthly"] })
      }
    })
    const config = `${folder}/${scale}.conf`
    FS.writeFileSync(
      config,
      `global: {base-dir: ${base}, telnet-addrs: 127.0.0.1, telnet-port: ${port}, status-interval: 30}\n` +
        "schedules:\n  one:\n    monthly: {interval: 30d, keep: 4}\njobs:\n" +
        names.map((name) => `  ${name}: {schedule: one, source: ${source}}\n`).join("")
    )
    const daemon = spawn(PROGRAM, ["scheduler", "-c", config], { stdio: "ignore" })
    const ended = new Promise<void>((resolve) => daemon.once("exit", () => resolve()))
    const pid = daemon.pid ?? 0
    try {
      const began = performance.now()
      await step("`scheduler`, from its start to the first answer of its shell", async () => {
        while ((await ask(port, "")) === undefined) {
          if (performance.now() - began > 120_000 || daemon.exitCode !== null) throw new Error("it does not answer")
          await pass(20)
        }
        return { seconds: (performance.now() - began) / 1000, memory: usage(pid).memory }
      })
      await step("`status` in its shell", async () => {
        const began = performance.now()
        await ask(port, "status")
        return { seconds: (performance.now() - began) / 1000, memory: undefined }
      })
      await step("`jobs` in its shell", async () => {
        const began = performance.now()
        await ask(port, "jobs")
        return { seconds: (performance.now() - began) / 1000, memory: undefined }
      })
      while (!FS.existsSync(`${base}/status`)) await pass(100)
      await step(
        "`check`",
        () => measure({ argv: ["sh", "-c", "\"$@\"; [ $? -lt 3 ]", "sh", PROGRAM, "check", "-c", config] })
      )
      await step("`jobs`", () => measure({ argv: [PROGRAM, "jobs", "-c", config] }))
      say(`an idle minute of ${count} jobs`)
      const before = usage(pid)
      const since = performance.now()
      await pass(IDLE_SECONDS * 1000)
      const after = usage(pid)
      idle.push({ jobs: count, share: (after.cpu - before.cpu) / ((performance.now() - since) / 1000) })
    } finally {
      daemon.kill("SIGTERM")
      await ended
    }
    FS.rmSync(base, { recursive: true, force: true })
  }, trouble)
  return { rows, idle }
}
