/** What a hostile repository writes reaches a terminal escaped, whatever command shows it. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { execute } from "../../src/daemon/commands.ts"
import { jobsTable } from "../../src/daemon/shellTable.ts"
import { escaped } from "../../src/domain/printable.ts"
import * as Yaml from "../../src/domain/Yaml.ts"
import * as DigestLine from "../../src/platform/digestLine.ts"
import * as IoError from "../../src/platform/IoError.ts"
import { status } from "../support/jobStatus.ts"
import { REPOSITORY, setFile } from "../support/World.ts"
import { backy, fails, makeMachine, ok } from "./backy.ts"

const NASTY = "x\n2026-01-01 forged\u001b[2K\u001b]0;title\u0007\u202eevil\u2066\u2028\u0085\u009b31m\r\t\u007f"

const UNSAFE = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}\p{Cs}]/u

const isClean = (lines: ReadonlyArray<string>, where: string) => {
  for (const line of lines) assert.notMatch(line, UNSAFE, where)
  for (const line of lines) assert.notMatch(line, /^2026-01-01 forged/, where)
}

const rev = (id: string, fields: Record<string, unknown>): Uint8Array =>
  // whoever writes hostile texts can write their digest, too
  DigestLine.seal(
    "# digest ",
    new TextEncoder().encode(`${
      escaped(JSON.stringify({
        uuid: id,
        backend_type: "chunked",
        timestamp: "2026-10-01 00:00:00+00:00",
        stats: { bytes_written: 5, duration: 2 },
        tags: ["daily"],
        trust: "trusted",
        parent: "",
        ...fields
      }))
    }\n`)
  )

const HOSTILE = "nasty22222222222222222"
const BROKEN = "broken2222222222222222"

/** A repository with a revision whose texts are hostile, and one whose mistakes quote them. */
const machine = Effect.sync(() => {
  const machine = makeMachine()
  setFile(machine.disk, `${REPOSITORY}/${HOSTILE}.rev`, rev(HOSTILE, { tags: [NASTY, "daily"], note: NASTY }))
  setFile(machine.disk, `${REPOSITORY}/${BROKEN}.rev`, rev(BROKEN, { trust: NASTY, timestamp: NASTY, [NASTY]: 1 }))
  return machine
})

describe("text from a hostile repository", () => {
  const commands: ReadonlyArray<ReadonlyArray<string>> = [
    ["status"],
    ["status", "-r", "all"],
    ["status", "--json"],
    ["status", "--yaml"],
    ["find", "-r", "all"],
    ["expire", "-n"],
    ["expire", "-n", "--unknown-tags"],
    ["verify"],
    ["tags", "add", "-f", "weekly"],
    ["tags", "remove", "weekly"],
    ["purge", "-n"],
    ["upgrade", "-n"],
    ["diff", "0", "0"],
    ["restore", "-"],
    ["forget", "-r", "0"],
    ["distrust"],
    ["reports", "list"]
  ]
  for (const words of commands) {
    it.effect(`is escaped by ${words.join(" ")}`, () =>
      Effect.gen(function*() {
        const { code, err, out } = yield* backy(yield* machine, ...words)
        assert.notStrictEqual(code, 70, err.join("\n"))
        isClean([...out, ...err], words.join(" "))
        isClean((yield* backy(yield* machine, "-v", ...words)).err, `-v ${words.join(" ")}`)
      }))
  }

  it.effect("is shown, not hidden, and JSON and YAML readers get it back", () =>
    Effect.gen(function*() {
      const { err, out } = yield* ok(yield* machine, "status")
      assert.include(out.join("\n"), "daily,x\\x0a2026-01-01 forged\\x1b[2K\\x1b]0;title\\x07\\u202eevil\\u2066\\u2028")
      assert.lengthOf(out, 3)
      assert.lengthOf(err, 1)
      const json = (yield* ok(yield* machine, "status", "--json")).out.join("\n")
      assert.include(JSON.stringify(JSON.parse(json)), JSON.stringify(NASTY))
      const yaml = (yield* ok(yield* machine, "status", "--yaml")).out.join("\n")
      assert.include(JSON.stringify(Yaml.parse(yaml)), JSON.stringify(NASTY))
    }))

  it.effect("is escaped in a config's mistakes, one line each", () =>
    Effect.gen(function*() {
      const machine = makeMachine()
      const config = { source: { type: NASTY, [NASTY]: NASTY }, schedule: { [NASTY]: { interval: NASTY, keep: 0 } } }
      setFile(machine.disk, `${REPOSITORY}/config`, new TextEncoder().encode(escaped(JSON.stringify(config))))
      const { err } = yield* backy(machine, "backup", "daily")
      isClean(err, "config")
      assert.isAbove(err.length, 0)
      for (const line of err) assert.match(line, /^(?:backy: )?\/srv\/backy\/vm\/config:1: /)
    }))

  it.effect("is escaped in what a user names, too", () =>
    Effect.gen(function*() {
      for (const words of [["forget", "-r", NASTY], ["tags", "set", NASTY], ["reports", "show", NASTY], [NASTY]]) {
        isClean([yield* fails(2, makeMachine(), ...words).pipe(Effect.catchAllDefect(() => Effect.succeed("")))], "")
      }
    }))

  it("is escaped in errors of the system", () => {
    const error = new IoError.IoError({ operation: "read", path: `/srv/${NASTY}`, code: "EIO" })
    isClean([error.message], "IoError")
    assert.include(error.message, "\\u202e")
  })

  it.effect("is escaped in the shell's tables", () =>
    Effect.gen(function*() {
      const job = status({ job: "web01", last_tags: NASTY, next_tags: NASTY, status: NASTY })
      isClean(jobsTable([job]), "jobs")
      const controls = {
        statuses: Effect.succeed([job]),
        request: () => Effect.succeed("unknown" as const),
        reload: Effect.succeed(undefined)
      }
      isClean(yield* Effect.map(execute(controls, "jobs"), (answer) => answer === "quit" ? [] : answer), "jobs")
      isClean(yield* Effect.map(execute(controls, "status"), (answer) => answer === "quit" ? [] : answer), "status")
    }))
})
