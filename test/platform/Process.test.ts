import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { createHash } from "node:crypto"
import * as FS from "node:fs"
import * as NodeProcess from "../../src/platform/nodeProcess.ts"
import { layerMemory, Process } from "../../src/platform/Process.ts"
import { socketFolder } from "../../src/platform/socketFolder.ts"
import { processContract, scripts } from "../support/contract/Process.contract.ts"

processContract("real", NodeProcess.layer)

processContract(
  "simulated",
  layerMemory({
    sh: ([, script = ""], stdin, { env }) => scripts[script]?.(stdin, env) ?? { exitCode: 127 }
  })
)

/** The first piece of output, after which the stream is not read any more. */
const firstLine = (self: Stream.Stream<Uint8Array, unknown>) =>
  Stream.runHead(self).pipe(Effect.map((piece) => piece._tag === "Some" ? new TextDecoder().decode(piece.value) : ""))

/** Does a process run still? One that has ended may wait as a zombie for its parent to notice. */
const isRunning = (pid: number): boolean => {
  try {
    return !/^\d+ \(.*\) Z /.test(FS.readFileSync(`/proc/${pid}/stat`, "utf8"))
  } catch {
    return false
  }
}

describe("real processes", () => {
  it.live("a program that ignores SIGTERM is killed when its time is over", () =>
    Effect.gen(function*() {
      const { run } = yield* Process
      const error = yield* Effect.flip(
        run("sh", ["-c", "trap '' TERM; while :; do sleep 1; done"], { timeout: "100 millis", grace: "100 millis" })
      )
      assert.strictEqual(error.reason, "timeout")
    }).pipe(Effect.provide(NodeProcess.layer)))

  it.live("a stream that takes too long fails", () =>
    Effect.gen(function*() {
      const { stream } = yield* Process
      const error = yield* Effect.flip(
        Stream.runDrain(stream("sh", ["-c", "echo x; sleep 600"], { timeout: "100 millis", grace: "100 millis" }))
      )
      assert.strictEqual(error.reason, "timeout")
    }).pipe(Effect.provide(NodeProcess.layer)))

  it.live("who stops reading ends the program and what it started", () =>
    Effect.gen(function*() {
      const { stream } = yield* Process
      const line = yield* firstLine(stream("sh", ["-c", "sleep 600 & echo $$ $!; wait"], { grace: "100 millis" }))
      const pids = line.trim().split(" ").map(Number)
      assert.strictEqual(pids.length, 2)
      // The kernel may need a moment for the grandchild.
      yield* Effect.yieldNow().pipe(Effect.repeat({ while: () => pids.some(isRunning) }))
    }).pipe(Effect.provide(NodeProcess.layer)))

  it.live("an interrupted program has ended when the interruption is over", () =>
    Effect.gen(function*() {
      const { stream } = yield* Process
      const started = yield* Deferred.make<number>()
      const fiber = yield* stream("sh", ["-c", "trap '' TERM; echo $$; while :; do sleep 1; done"], {
        grace: "50 millis"
      }).pipe(
        Stream.runForEach((piece) => Deferred.succeed(started, Number(new TextDecoder().decode(piece)))),
        Effect.fork
      )
      const pid = yield* Deferred.await(started)
      const exit = yield* Fiber.interrupt(fiber)
      assert.isTrue(Exit.isInterrupted(exit))
      assert.isFalse(isRunning(pid))
    }).pipe(Effect.provide(NodeProcess.layer)))

  it.effect("a stream is read as fast as it is consumed", () =>
    Effect.gen(function*() {
      const { stream } = yield* Process
      let count = 0
      yield* stream("head", ["-c", "200000000", "/dev/zero"]).pipe(
        Stream.runForEach((piece) => Effect.sync(() => void (count += piece.length)))
      )
      assert.strictEqual(count, 200_000_000)
    }).pipe(Effect.provide(NodeProcess.layer)))

  it.live("lent pieces are whole until the next batch is asked for, however slowly they are looked at", () =>
    Effect.gen(function*() {
      const { stream } = yield* Process
      const hash = createHash("sha256")
      yield* stream("seq", ["3000000"], { lent: true }).pipe(
        Stream.runForEachChunk((pieces) =>
          Effect.gen(function*() {
            // what comes meanwhile must not be written over these
            yield* Effect.sleep("5 millis")
            for (const piece of pieces) hash.update(piece)
          })
        )
      )
      const expected = createHash("sha256")
      for (let number = 1; number <= 3_000_000; number++) expected.update(`${number}\n`)
      assert.strictEqual(hash.digest("hex"), expected.digest("hex"))
    }).pipe(Effect.provide(NodeProcess.layer)))

  it.live("other pieces may be kept", () =>
    Effect.gen(function*() {
      const { stream } = yield* Process
      const pieces = yield* Stream.runCollect(stream("seq", ["3000000"]))
      const lines = Buffer.concat([...pieces]).toString().split("\n")
      assert.isTrue(lines.every((line, at) => line === String(at + 1) || at === 3_000_000))
    }).pipe(Effect.provide(NodeProcess.layer)))

  it.live("a stream needs no directory for a socket", () =>
    Effect.gen(function*() {
      const { stream } = yield* Process
      const before = process.env["TMPDIR"]
      process.env["TMPDIR"] = "/nowhere/at/all"
      const line = yield* Effect.ensuring(
        firstLine(stream("echo", ["there"])),
        Effect.sync(() => {
          if (before === undefined) delete process.env["TMPDIR"]
          else process.env["TMPDIR"] = before
        })
      )
      assert.strictEqual(line, "there\n")
    }).pipe(Effect.provide(NodeProcess.layer)))

  it("a folder for a socket is short, however long TMPDIR is", () => {
    const before = process.env["TMPDIR"]
    try {
      for (const length of [10, 60, 67, 68, 120]) {
        process.env["TMPDIR"] = `/${"d".repeat(length - 1)}`
        assert.strictEqual(socketFolder(), length <= 67 ? process.env["TMPDIR"] : "/tmp")
      }
    } finally {
      if (before === undefined) delete process.env["TMPDIR"]
      else process.env["TMPDIR"] = before
    }
  })

  it.live("a program whose output nobody reads on stands still", () =>
    Effect.gen(function*() {
      const { stream } = yield* Process
      const written = (pid: number) => Number(/wchar: (\d+)/.exec(FS.readFileSync(`/proc/${pid}/io`, "utf8"))?.[1])
      let most = 0
      const turn = Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      yield* stream("sh", ["-c", "echo $$; exec head -c 100000000 /dev/zero"], { grace: "50 millis" }).pipe(
        Stream.runForEach((piece) => {
          const pid = Number(new TextDecoder().decode(piece).split("\n")[0])
          return Effect.gen(function*() {
            yield* Effect.repeatN(turn, 1000)
            most = written(pid)
            return yield* Effect.interrupt
          })
        }),
        Effect.exit
      )
      assert.isAbove(most, 0)
      assert.isBelow(most, 16 * 1024 * 1024)
    }).pipe(Effect.provide(NodeProcess.layer)))

  it.live("a stream of a program that closed its output and goes on ends when its time is over", () =>
    Effect.gen(function*() {
      const { stream } = yield* Process
      const limited = stream("sh", ["-c", "echo x; exec >&- 2>&-; exec sleep 600"], { timeout: "300 millis" })
      assert.strictEqual((yield* Effect.flip(Stream.runDrain(limited))).reason, "timeout")
    }).pipe(Effect.provide(NodeProcess.layer)))

  it.live("who left its messages open to a child is not waited for, in a finalizer neither", () =>
    Effect.gen(function*() {
      const { run, stream } = yield* Process
      const script = ["-c", "sleep 600 >/dev/null & echo $!"]
      const started = performance.now()
      const text = (bytes: Uint8Array) => Number(new TextDecoder().decode(bytes))
      const { stdout } = yield* Effect.uninterruptible(run("sh", script))
      const line = yield* Effect.uninterruptible(Stream.runHead(stream("sh", script)))
      assert.isBelow(performance.now() - started, 20_000)
      for (const pid of [text(stdout), line._tag === "Some" ? text(line.value) : 0]) {
        assert.isAbove(pid, 1)
        if (isRunning(pid)) process.kill(pid, "SIGKILL")
      }
    }).pipe(Effect.provide(NodeProcess.layer)))

  it.live("what it reports last is heard, also when it ends at once", () =>
    Effect.gen(function*() {
      const { run } = yield* Process
      for (let count = 0; count < 20; count++) {
        const lines: Array<string> = []
        const script = "exec >&- 2>&-; echo a >&3; echo b >&3; kill -9 $$"
        yield* Effect.exit(run("sh", ["-c", script], { report: (line) => void lines.push(line) }))
        assert.deepStrictEqual(lines, ["a", "b"])
      }
    }).pipe(Effect.provide(NodeProcess.layer)))

  it.effect("arguments are never seen by a shell", () =>
    Effect.gen(function*() {
      const { run } = yield* Process
      const args = ["a b", "$HOME", "`id`", "*", "'", "\"", ";", "\n", "ü"]
      const { stdout } = yield* run("printf", ["%s\\0", ...args])
      assert.deepStrictEqual(new TextDecoder().decode(stdout).split("\0").slice(0, -1), args)
    }).pipe(Effect.provide(NodeProcess.layer)))

  it.effect("an argument that no program can get is refused", () =>
    Effect.gen(function*() {
      const { run } = yield* Process
      const error = yield* Effect.flip(run("echo", ["a\0b"]))
      assert.deepInclude({ ...error }, { reason: "spawn", code: "EINVAL" })
    }).pipe(Effect.provide(NodeProcess.layer)))
})

describe("simulated processes", () => {
  it.effect("a program that hangs runs into the time limit of the virtual clock", () =>
    Effect.gen(function*() {
      const { run } = yield* Process
      const fiber = yield* Effect.fork(Effect.flip(run("rbd", ["info"], { timeout: "90 seconds" })))
      yield* TestClock.adjust("90 seconds")
      assert.strictEqual((yield* Fiber.join(fiber)).reason, "timeout")
    }).pipe(Effect.provide(layerMemory({ rbd: () => Effect.never }))))
})
