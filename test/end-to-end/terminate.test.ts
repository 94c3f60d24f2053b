/**
 * SIGTERM to the built program before a call of the file system, at each step of each operation: it is gone within 10
 * seconds with all that it started, says so by its exit code, and the repository needs no hand.
 *
 * `BACKY_TERMS` says at how many steps of each operation (default 6, `all` for each one), `BACKY_SEED` at which.
 */
import { assert, describe, it } from "@effect/vitest"
import { spawn } from "node:child_process"
import { chmodSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { randomNumbers } from "../../src/platform/MemoryChoices.ts"
import { freePort } from "../support/freePort.ts"
import { MIB, noise, ok, PROGRAM, workshop } from "./program.ts"

const TERMS = process.env["BACKY_TERMS"] === "all" ? Infinity : Number(process.env["BACKY_TERMS"] ?? 6)
const SEED = Number(process.env["BACKY_SEED"] ?? 1)
const LIMIT = 10_000

const preload = fileURLToPath(new URL("../support/killAtCall.mjs", import.meta.url))
const legacy = fileURLToPath(new URL("../fixtures/backy25/chunked", import.meta.url))

interface End {
  readonly code: number | null
  /** Milliseconds from the signal to the end; 0 when there was none. */
  readonly millis: number
  readonly err: string
  /** The processes that it left. */
  readonly left: ReadonlyArray<string>
}

/** Processes that carry a mark in their environment, whoever their parent is by now. */
const marked = (mark: string): ReadonlyArray<string> =>
  readdirSync("/proc").filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/environ`, "latin1").includes(mark) &&
        !/^\d+ \(.*\) Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8"))
    } catch {
      return false
    }
  })

let runs = 0
const terminated = (
  argv: ReadonlyArray<string>,
  at: number,
  moment: string,
  env: Readonly<Record<string, string>>
): Promise<End> =>
  new Promise((resolve, reject) => {
    const mark = `BACKY_TEST_MARK=${process.pid}-${runs++}`
    const [name = "", value = ""] = mark.split("=")
    const child = spawn(PROGRAM, argv, {
      env: {
        ...process.env,
        ...env,
        [name]: value,
        BACKY_WORKERS: "2",
        NODE_OPTIONS: `--import=${preload}`,
        BACKY_TEST_KILL_AT: String(at),
        BACKY_TEST_SIGNAL: "SIGTERM",
        BACKY_TEST_MOMENT: moment
      },
      stdio: ["ignore", "ignore", "pipe"]
    })
    const patience = setTimeout(() => child.kill("SIGKILL"), 60_000)
    let err = ""
    child.stderr.setEncoding("utf8").on("data", (text: string) => err += text)
    child.once("error", reject)
    child.once("exit", (ended, signal) => {
      clearTimeout(patience)
      // before there is a listener the signal itself ends it, which a shell calls 143
      const code = signal === "SIGTERM" ? 143 : ended
      const millis = existsSync(moment) ? Date.now() - Number(readFileSync(moment, "utf8")) : 0
      resolve({ code, millis, err, left: marked(mark) })
    })
  })

describe(`SIGTERM before calls of the file system (seed ${SEED})`, () => {
  const next = randomNumbers(SEED)

  /** Some of the numbers from 1 to `length`, or all. */
  const steps = (length: number): ReadonlyArray<number> => {
    const all = Array.from({ length }, (_, index) => index + 1)
    while (all.length > TERMS) all.splice(Math.floor(next() * all.length), 1)
    return all
  }

  const imports = (folder: string) => {
    const program = join(folder, "rbd")
    writeFileSync(
      program,
      "#!/bin/sh\ncase \" $* \" in *\" info \"*) echo 'rbd: error opening image x: (2)' >&2; exit 2;; " +
        "*\" import \"*) cat >/dev/null; sleep 600;; esac\n"
    )
    chmodSync(program, 0o755)
    return { BACKY_RBD: program }
  }

  const operations = [
    "backup",
    "restore",
    "output",
    "rbd",
    "verify",
    "purge",
    "expire",
    "forget",
    "upgrade",
    "scheduler"
  ] as const
  for (const operation of operations) {
    it(`${operation} is gone within ${LIMIT / 1000} s at each of them`, { timeout: 3_600_000 }, async () => {
      const shop = await workshop(noise(9 * MIB))
      try {
        await ok(...shop.args("backup", "daily"))
        await ok(...shop.args("backup", "daily"))
        if (operation === "upgrade") {
          const isData = (path: string) => !path.endsWith("/config")
          cpSync(legacy, shop.repository, { recursive: true, filter: isData })
        }
        const target = join(shop.folder, "target", "image")
        mkdirSync(join(target, ".."))
        const moment = join(shop.folder, "moment")
        const config = join(shop.folder, "backy.conf")
        mkdirSync(join(shop.folder, "jobs"))
        writeFileSync(
          config,
          `global: {base-dir: ${shop.folder}/jobs, status-file: ${shop.folder}/status, telnet-port: ${await freePort()}}
schedules: {default: {daily: {interval: 1s, keep: 2}}}
jobs: {vm: {schedule: default, source: {type: file, filename: ${shop.image}}}}
`
        )
        const env = operation === "rbd" ? imports(shop.folder) : {}
        const argv = {
          backup: shop.args("backup", "daily"),
          restore: shop.args("restore", target),
          output: shop.args("restore", "-"),
          rbd: shop.args("restore", "rbd:rbd/x"),
          verify: shop.args("verify", "-r", "all"),
          purge: shop.args("purge"),
          expire: shop.args("expire"),
          forget: shop.args("forget", "-r", "first"),
          upgrade: shop.args("upgrade"),
          scheduler: ["scheduler", "-c", config]
        }[operation]
        let revisions = 2
        // few have more; a step behind the last one lets it end by itself, which is no failure
        for (const at of steps(operation === "rbd" ? 8 : 40)) {
          rmSync(target, { force: true })
          rmSync(moment, { force: true })
          const { code, err, left, millis } = await terminated(argv, at, moment, env)
          const told = `${argv.join(" ")}, SIGTERM before call ${at} (seed ${SEED}): ${err}`
          assert.include([0, 143], code, told)
          assert.deepStrictEqual(left, [], told)
          assert.isBelow(millis, LIMIT, told)
          if (code === 143) assert.isFalse(existsSync(target), told)
          if (operation !== "forget") continue
          // what was ended by the signal did not do its work, and nobody says so of what did
          const kept = (await shop.ids()).length
          assert.strictEqual(kept, code === 143 ? revisions : revisions - 1, told)
          revisions = kept
          for (; revisions < 2; revisions++) await ok(...shop.args("backup", "daily"))
        }
        // what backy 2.5 made is larger
        await ok(...shop.args("backup", ...operation === "upgrade" ? ["--accept-shrink"] : [], "daily"))
        await ok(...shop.args("purge"))
        await ok(...shop.args("verify", "-r", "all"))
      } finally {
        shop.remove()
      }
    })
  }
})
