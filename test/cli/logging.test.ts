import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Logging from "../../src/logging.ts"

const logged = (verbose: boolean, work: Effect.Effect<void>) => {
  const lines: Array<string> = []
  const layer = Logging.layer({ file: undefined, verbose, stderr: (line) => lines.push(line) })
  return Effect.as(Effect.provide(work, layer), lines)
}

const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "backy-log-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true }))
)

describe("log lines", () => {
  it.effect("are sentences on standard error, with a word before those that matter", () =>
    Effect.gen(function*() {
      const work = Effect.gen(function*() {
        yield* Effect.logDebug("looked twice")
        yield* Effect.logInfo("removed 3 chunks").pipe(Effect.annotateLogs({ job: "web 01", pass: 2 }))
        yield* Effect.logWarning("the disk is nearly full")
        yield* Effect.logError("it is full")
      })
      const usual = ["removed 3 chunks job=\"web 01\" pass=2", "warning: the disk is nearly full", "error: it is full"]
      assert.deepStrictEqual(yield* logged(false, work), usual)
      assert.deepStrictEqual(yield* logged(true, work), ["looked twice", ...usual])
    }))

  it.effect("stay one line each, whatever is in them, and indent a cause", () =>
    Effect.gen(function*() {
      const lines = yield* logged(
        false,
        Effect.zipRight(
          Effect.logInfo("two\nlines\u001b[31m"),
          Effect.logError("it failed", Cause.die(new Error("because")))
        )
      )
      assert.strictEqual(lines[0], "two\n    lines\\x1b[31m")
      assert.match(lines[1] ?? "", /^error: it failed\n {4}Error: because\n {8}at/)
    }))

  it.scopedLive("go to a new file of that name once the old one was renamed", () =>
    Effect.gen(function*() {
      const path = join(yield* folder, "backy.log")
      const layer = Logging.layer({ file: path, verbose: false, stderr: () => assert.fail("it can be written") })
      yield* Effect.provide(
        Effect.gen(function*() {
          yield* Effect.logInfo("first")
          renameSync(path, `${path}.1`)
          yield* Effect.logInfo("second")
          yield* Effect.sleep("1010 millis")
          yield* Effect.logInfo("third")
        }),
        layer
      )
      assert.deepStrictEqual(readFileSync(`${path}.1`, "utf8").match(/first|second|third/g), ["first", "second"])
      assert.deepStrictEqual(readFileSync(path, "utf8").match(/first|second|third/g), ["third"])
    }))

  it.scoped("go to a file, behind what is there, with date, process and level", () =>
    Effect.gen(function*() {
      const path = join(yield* folder, "backy.log")
      const layer = Logging.layer({
        file: path,
        verbose: false,
        stderr: () => assert.fail("nothing is for standard error")
      })
      yield* Effect.provide(Effect.logInfo("first"), layer)
      yield* Effect.provide(Effect.logWarning("second"), layer)
      const lines = readFileSync(path, "utf8").split("\n")
      const pattern = (level: string, text: string) =>
        new RegExp(`^1970-01-01T\\d\\d:\\d\\d:00\\.000[+-]\\d\\d:\\d\\d ${process.pid} ${level} ${text}$`)
      assert.match(lines[0] ?? "", pattern("INFO", "first"))
      assert.match(lines[1] ?? "", pattern("WARN", "second"))
      assert.deepStrictEqual(lines.slice(2), [""])
      assert.strictEqual(statSync(path).mode & 0o007, 0)
    }))

  it.effect("go to standard error when the file's disk is full", () =>
    Effect.gen(function*() {
      assert.isTrue(existsSync("/dev/full"))
      const lines: Array<string> = []
      const layer = Logging.layer({ file: "/dev/full", verbose: false, stderr: (line) => lines.push(line) })
      yield* Effect.provide(Effect.logInfo("still said"), layer)
      assert.match(lines.join(), /still said$/)
    }))

  it.scoped("fail in one sentence when the file cannot be opened", () =>
    Effect.gen(function*() {
      const path = join(yield* folder, "none", "backy.log")
      const layer = Logging.layer({ file: path, verbose: false, stderr: () => undefined })
      const error = yield* Effect.flip(Effect.provide(Effect.void, layer))
      assert.strictEqual(error.message, `cannot open ${path}: no such file or directory (ENOENT)`)
    }))
})
