/** `check` and `jobs` as a monitoring system calls them. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as StatusFile from "../../src/daemon/StatusFile.ts"
import type { MemoryDisk } from "../../src/platform/MemoryDisk.ts"
import { status } from "../support/jobStatus.ts"
import { setFile } from "../support/World.ts"
import { backy, makeMachine } from "./backy.ts"

const CONFIG = `
global: {base-dir: /srv/backy}
schedules: {usual: {daily: {interval: 1d, keep: 3}}}
jobs:
  web01: {schedule: usual, source: {type: file, filename: /images/vm.img}}
`
const write = (machine: MemoryDisk, path: string, text: string) =>
  setFile(machine.disk, path, new TextEncoder().encode(text))
const machine = (config = CONFIG): MemoryDisk => {
  const made = makeMachine()
  write(made, "/etc.conf", config)
  return made
}
const check = (on: MemoryDisk, ...more: ReadonlyArray<string>) => backy(on, "check", "-c", "/etc.conf", ...more)

describe("check", () => {
  it.effect("is UNKNOWN, on standard output and with 3, for everything that it cannot answer", () =>
    Effect.gen(function*() {
      const outcomes = [
        yield* backy(machine(), "check", "-c", "/nowhere.conf"),
        yield* backy(machine(), "check", "--wrong"),
        yield* backy(machine(), "-v", "check", "what", "ever"),
        yield* check(machine("jobs: [")),
        yield* check(machine(CONFIG.replace("usual,", "usul,"))),
        yield* check(machine())
      ]
      for (const { code, err, out } of outcomes) {
        assert.deepStrictEqual([code, err], [3, []])
        assert.match(out[0] ?? "", /^UNKNOWN: \S+/)
      }
    }))

  it.effect("is CRITICAL for a status file that is old, or that does not know a job", () =>
    Effect.gen(function*() {
      const made = machine()
      write(made, "/srv/backy/status", StatusFile.encode([status({ job: "web02" })]))
      // the disk's clock stands long after the test's
      const { code, out } = yield* check(made)
      assert.deepStrictEqual([code, out[0]?.slice(0, 8)], [3, "UNKNOWN:"])
    }))
})

describe("the base directory's marker", () => {
  const marked = CONFIG.replace("/srv/backy}", "/srv/backy, base-marker: .backy-base}")

  it.effect("makes check CRITICAL when it is missing, whatever the status file says, and is made by --init-base", () =>
    Effect.gen(function*() {
      const made = machine(marked)
      const missing = yield* check(made)
      assert.strictEqual(missing.code, 2)
      assert.match(missing.out[0] ?? "", /^CRITICAL: the base directory \/srv\/backy has no file \.backy-base/)
      const json = yield* check(made, "--json")
      assert.strictEqual(json.code, 2)
      assert.strictEqual(JSON.parse(json.out.join("\n")).level, "CRITICAL")
      const init = ["scheduler", "--init-base", "-c", "/etc.conf"]
      assert.deepStrictEqual((yield* backy(made, ...init)).out, [
        "made /srv/backy/.backy-base: /srv/backy is marked"
      ])
      assert.deepStrictEqual((yield* backy(made, ...init)).out, ["/srv/backy/.backy-base is there already"])
      assert.match((yield* check(made)).out[0] ?? "", /^UNKNOWN: the status file/)
      assert.strictEqual((yield* backy(machine(), ...init)).code, 2)
    }))
})

describe("jobs", () => {
  it.effect("prints the table and JSON, of all or of those that match", () =>
    Effect.gen(function*() {
      const made = machine()
      write(made, "/srv/backy/status", StatusFile.encode(["web01", "web02", "db01"].map((job) => status({ job }))))
      const { out } = yield* backy(made, "jobs", "-c", "/etc.conf", "^web")
      assert.match(out[0] ?? "", /^Job +SLA +Overdue +Status/)
      assert.deepStrictEqual(out.slice(1, 3).map((line) => line.split(" ")[0]), ["web01", "web02"])
      const json = yield* backy(made, "jobs", "--json", "-c", "/etc.conf")
      assert.strictEqual(JSON.parse(json.out.join("\n")).length, 3)
      const wrong = yield* backy(made, "jobs", "-c", "/etc.conf", "(")
      assert.strictEqual(wrong.code, 2)
    }))
})
