import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import { execFileSync } from "node:child_process"
import {
  closeSync,
  constants,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
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

  const into = (file: string, repository?: string) =>
    Effect.either(Effect.provide(
      Effect.logInfo("here"),
      Logging.layer({
        file,
        ...repository === undefined ? {} : { repository },
        verbose: false,
        stderr: () => undefined
      })
    )).pipe(Effect.map((either) => either._tag === "Left" ? either.left.message : "written"))

  it.scoped("wait for no pipe, whoever planted it", () =>
    Effect.gen(function*() {
      const path = join(yield* folder, "pipe")
      execFileSync("mkfifo", [path])
      assert.strictEqual(
        yield* into(path),
        `cannot open ${path}: it is a socket, or a pipe that nobody reads (ENXIO)`
      )
      // one that somebody reads is as good as any
      const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
      assert.strictEqual(yield* into(path), "written")
      closeSync(reader)
    }))

  it.scoped("follow nothing that lies in a repository", () =>
    Effect.gen(function*() {
      const root = yield* folder
      const repository = join(root, "vm")
      mkdirSync(repository)
      symlinkSync(repository, join(root, "link"))
      const secret = join(root, "secret")
      writeFileSync(secret, "secret\n")
      const plant: ReadonlyArray<readonly [string, (path: string) => void]> = [
        ["a link", (path) => symlinkSync(secret, path)],
        ["a link to nothing", (path) => symlinkSync(join(root, "new"), path)],
        ["a pipe", (path) => void execFileSync("mkfifo", [path])],
        ["a directory", (path) => mkdirSync(path)]
      ]
      for (const [what, make] of plant) {
        for (const directory of [repository, join(root, "link")]) {
          const path = join(directory, "backy.log")
          make(path)
          assert.match(
            yield* into(path, repository),
            /^cannot open .*backy\.log: it is no file, and nothing is followed out of a repository \((?:ELOOP|EINVAL)\)$/,
            what
          )
          rmSync(path, { recursive: true })
        }
      }
      // where a folder on the way is a link, too
      symlinkSync(root, join(repository, "sub"))
      assert.match(yield* into(join(repository, "sub", "secret"), repository), /a folder on the way is a link/)
      assert.deepStrictEqual(readdirSync(root).sort(), ["link", "secret", "vm"])
      const path = join(repository, "backy.log")
      linkSync(secret, path)
      assert.strictEqual(yield* into(path, repository), "written")
      assert.match(readFileSync(path, "utf8"), /here/)
      assert.strictEqual(readFileSync(secret, "utf8"), "secret\n")
      // what the operator named elsewhere may be a link
      symlinkSync(secret, join(root, "elsewhere.log"))
      assert.strictEqual(yield* into(join(root, "elsewhere.log"), repository), "written")
    }))

  it.scoped("fail in one sentence when the file cannot be opened", () =>
    Effect.gen(function*() {
      const path = join(yield* folder, "none", "backy.log")
      const layer = Logging.layer({ file: path, verbose: false, stderr: () => undefined })
      const error = yield* Effect.flip(Effect.provide(Effect.void, layer))
      assert.strictEqual(error.message, `cannot open ${path}: no such file or directory (ENOENT)`)
    }))
})
