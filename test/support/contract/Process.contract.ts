/**
 * What every `Process` promises: real programs, and those that are functions.
 *
 * The suite runs `sh -c SCRIPT` with the scripts below; a simulated `sh` must do the same.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import {
  output,
  Process,
  ProcessFailed,
  type ProcessOptions,
  type ProgramResult
} from "../../../src/platform/Process.ts"

/** Scripts that the suite runs, with what a simulated shell gives for them. */
export const scripts: Readonly<
  Record<
    string,
    (stdin: Uint8Array, env: Readonly<Record<string, string>>) => ProgramResult | Effect.Effect<ProgramResult>
  >
> = {
  "echo out; echo problem >&2; exit 3": () => ({ stdout: "out\n", stderr: "problem\n", exitCode: 3 }),
  "echo fine": () => ({ stdout: "fine\n" }),
  "cat": (stdin) => ({ stdout: stdin }),
  "printf %s \"$COLOUR\"": (_, env) => ({ stdout: env["COLOUR"] ?? "" }),
  "echo partial; kill -9 $$": () => ({ stdout: "partial\n", signal: "SIGKILL" }),
  "head -c 3000000 /dev/zero": () => ({ stdout: new Uint8Array(3_000_000) }),
  "head -c 3000000 /dev/zero >&2; echo last >&2; echo done": () => ({
    stdout: "done\n",
    stderr: `${"\0".repeat(3_000_000)}last\n`
  }),
  "exec <&-; exit 0": () => ({ inputLeft: true }),
  "exec sleep 600": () => Effect.never
}

const run = <E = never>(script: string, options?: ProcessOptions<E>) =>
  Effect.flatMap(Process, (process) => process.run("sh", ["-c", script], options))

const stream = <E = never>(script: string, options?: ProcessOptions<E>) =>
  Stream.unwrap(Effect.map(Process, (process) => process.stream("sh", ["-c", script], options)))

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

/** Bytes seen before the stream ended, and how it ended. */
const drained = <E, R>(self: Stream.Stream<Uint8Array, E, R>) => {
  let count = 0
  return Effect.map(
    Effect.either(Stream.runForEach(self, (piece) => Effect.sync(() => void (count += piece.length)))),
    (end) => ({ count, end })
  )
}

/** Checks one kind of processes. */
export const processContract = (name: string, layer: Layer.Layer<Process>): void => {
  describe(`as processes: ${name}`, () => {
    it.effect("run gives what a program wrote, whatever its exit code", () =>
      Effect.gen(function*() {
        const { exitCode, stderr, stdout } = yield* run("echo out; echo problem >&2; exit 3")
        assert.deepStrictEqual([exitCode, text(stdout), stderr], [3, "out\n", "problem\n"])
      }).pipe(Effect.provide(layer)))

    it.effect("output gives the text of a program that succeeds, and fails with the last line of one that does not", () =>
      Effect.gen(function*() {
        assert.strictEqual(yield* output("sh", ["-c", "echo fine"]), "fine\n")
        const error = yield* Effect.flip(output("sh", ["-c", "echo out; echo problem >&2; exit 3"]))
        assert.deepInclude({ ...error }, { reason: "exit", exitCode: 3 })
        assert.strictEqual(
          error.message,
          "\"sh -c echo out; echo problem >&2; exit 3\" failed with exit code 3: problem"
        )
      }).pipe(Effect.provide(layer)))

    it.effect("a program that is not installed fails to start", () =>
      Effect.gen(function*() {
        const process = yield* Process
        const error = yield* Effect.flip(process.run("no-such-program-of-backy", []))
        assert.deepInclude({ ...error }, { reason: "spawn", code: "ENOENT" })
        assert.include(error.message, "no-such-program-of-backy")
        const streamed = yield* drained(process.stream("no-such-program-of-backy", []))
        assert.strictEqual(streamed.end._tag, "Left")
      }).pipe(Effect.provide(layer)))

    it.effect("a program reads its input: text, bytes, a stream", () =>
      Effect.gen(function*() {
        assert.strictEqual(text((yield* run("cat", { input: "hello" })).stdout), "hello")
        const large = new Uint8Array(1_000_000).fill(7)
        assert.deepStrictEqual((yield* run("cat", { input: large })).stdout, large)
        const pieces = Stream.range(1, 200).pipe(Stream.map((n) => new Uint8Array(5000).fill(n)))
        const { count, end } = yield* drained(stream("cat", { input: pieces }))
        assert.deepStrictEqual([count, end._tag], [1_000_000, "Right"])
        assert.strictEqual((yield* run("cat", { input: "" })).stdout.length, 0)
        assert.strictEqual((yield* run("cat")).stdout.length, 0)
      }).pipe(Effect.provide(layer)))

    it.effect("input that fails fails the call, and is not taken for complete", () =>
      Effect.gen(function*() {
        const broken = Stream.concat(Stream.make(new Uint8Array(10)), Stream.fail("the source broke" as const))
        assert.strictEqual(yield* Effect.flip(run("cat", { input: broken })), "the source broke")
        const { end } = yield* drained(stream("cat", { input: broken }))
        assert.isTrue(end._tag === "Left" && end.left === "the source broke")
      }).pipe(Effect.provide(layer)))

    it.effect("a program that ends well without reading its input has failed", () =>
      Effect.gen(function*() {
        const input = new Uint8Array(3_000_000)
        const error = yield* Effect.flip(run("exec <&-; exit 0", { input }))
        assert.strictEqual(error.reason, "input")
        const { end } = yield* drained(stream("exec <&-; exit 0", { input }))
        assert.isTrue(end._tag === "Left" && end.left.reason === "input")
      }).pipe(Effect.provide(layer)))

    it.effect("the environment is ours with additions", () =>
      Effect.gen(function*() {
        assert.strictEqual(text((yield* run("printf %s \"$COLOUR\"", { env: { COLOUR: "blue" } })).stdout), "blue")
      }).pipe(Effect.provide(layer)))

    it.effect("a stream fails behind the last byte unless the exit code is 0", () =>
      Effect.gen(function*() {
        const exited = yield* drained(stream("echo out; echo problem >&2; exit 3"))
        assert.strictEqual(exited.count, 4)
        assert.isTrue(exited.end._tag === "Left" && exited.end.left instanceof ProcessFailed)
        assert.isTrue(exited.end._tag === "Left" && exited.end.left.exitCode === 3)
        assert.isTrue(exited.end._tag === "Left" && exited.end.left.stderr === "problem\n")
        const killed = yield* drained(stream("echo partial; kill -9 $$"))
        assert.strictEqual(killed.count, 8)
        assert.isTrue(killed.end._tag === "Left" && killed.end.left.signal === "SIGKILL")
        const whole = yield* drained(stream("head -c 3000000 /dev/zero"))
        assert.deepStrictEqual([whole.count, whole.end._tag], [3_000_000, "Right"])
      }).pipe(Effect.provide(layer)))

    it.effect("a program killed by a signal has failed", () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(run("echo partial; kill -9 $$"))
        assert.deepInclude({ ...error }, { reason: "signal", signal: "SIGKILL" })
      }).pipe(Effect.provide(layer)))

    it.effect("more output than allowed is refused, not cut", () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(run("head -c 3000000 /dev/zero", { maxOutput: 2_999_999 }))
        assert.strictEqual(error.reason, "output")
        assert.strictEqual((yield* run("head -c 3000000 /dev/zero", { maxOutput: 3_000_000 })).stdout.length, 3_000_000)
      }).pipe(Effect.provide(layer)))

    it.effect("any amount of messages is drained, and only the last kept", () =>
      Effect.gen(function*() {
        const { stderr, stdout } = yield* run("head -c 3000000 /dev/zero >&2; echo last >&2; echo done")
        assert.strictEqual(text(stdout), "done\n")
        assert.isAtMost(stderr.length, 5000)
        assert.isTrue(stderr.endsWith("last\n"))
      }).pipe(Effect.provide(layer)))

    it.effect("who has enough of a stream stops reading it", () =>
      Effect.gen(function*() {
        const { count, end } = yield* drained(Stream.take(stream("head -c 3000000 /dev/zero"), 1))
        assert.isAbove(count, 0)
        assert.strictEqual(end._tag, "Right")
      }).pipe(Effect.provide(layer)))

    // a time limit of our own, since a test's cannot interrupt what is uninterruptible
    const ends = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
      Effect.timeoutFail(Effect.disconnect(effect), { duration: "20 seconds", onTimeout: () => "it never returns" })

    it.live("a program that is run by a finalizer ends like any other", () =>
      Effect.gen(function*() {
        const pieces = Stream.range(1, 20).pipe(Stream.map((n) => new Uint8Array(5000).fill(n)))
        const commands: ReadonlyArray<Effect.Effect<unknown, unknown, Process>> = [
          run("echo fine"),
          run("echo fine", { timeout: "1 minute" }),
          run("cat", { input: pieces, timeout: "1 minute" }),
          Effect.exit(run("echo out; echo problem >&2; exit 3", { input: pieces })),
          Effect.exit(run("exec <&-; exit 0", { input: new Uint8Array(3_000_000) })),
          drained(stream("cat", { input: pieces, timeout: "1 minute" })),
          drained(stream("echo out; echo problem >&2; exit 3", { input: pieces }))
        ]
        for (const command of commands) {
          let ran = false
          const finalizer = Effect.andThen(command, Effect.sync(() => void (ran = true)))
          yield* ends(Effect.scoped(Effect.addFinalizer(() => Effect.ignore(finalizer))))
          assert.isTrue(ran)
          yield* ends(Effect.uninterruptible(Effect.asVoid(command)))
        }
      }).pipe(Effect.provide(layer)))

    it.live("a program that a finalizer runs is ended when its time is over", () =>
      Effect.gen(function*() {
        for (const options of [{}, { input: Stream.never }]) {
          const limited = Effect.flip(run("exec sleep 600", { ...options, timeout: "100 millis" }))
          assert.strictEqual((yield* ends(Effect.uninterruptible(limited))).reason, "timeout")
        }
        const { end } = yield* ends(Effect.uninterruptible(
          drained(stream("exec sleep 600", { timeout: "100 millis" }))
        ))
        assert.isTrue(end._tag === "Left" && end.left.reason === "timeout")
      }).pipe(Effect.provide(layer)))
  })
}
