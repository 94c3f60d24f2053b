/**
 * Real programs: `Process` over node:child_process.
 *
 * Each program leads a process group of its own: a Ctrl-C in our terminal reaches only us, and whoever ends it ends
 * also what it started. When we are killed, they are, too: see `runningPrograms.ts`.
 */
import type * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { type ChildProcess, spawn } from "node:child_process"
import { Socket } from "node:net"
import type { Readable } from "node:stream"
import * as BulkPipe from "./bulkPipe.ts"
import { codeOf, hasCode } from "./errno.ts"
import { inOwnFiber } from "./inOwnFiber.ts"
import { type PipeReader, readPipe } from "./pipeReader.ts"
import {
  concatenated,
  inputStream,
  MAX_OUTPUT,
  Process,
  ProcessFailed,
  type ProcessOptions,
  STDERR_TAIL,
  succeeded
} from "./Process.ts"
import * as RunningPrograms from "./runningPrograms.ts"

/** How long messages of a program that has ended may take to arrive. */
const LAST_WORDS = Duration.seconds(1)
/** How long the rest of its input may keep a program waiting that has ended well: it may have got all of it before. */
const LAST_INPUT = Duration.seconds(30)
const DEFAULT_GRACE = Duration.seconds(3)
/** Of a line about progress, in characters. */
const MAX_REPORT = 1024

type Ending = { readonly exitCode: number | null; readonly signal: string | null }

/** A program that runs. */
interface Child<E> {
  readonly stdout: PipeReader<ProcessFailed | E>
  /** Lets its output and its end fail at once, whatever it does. */
  readonly fail: (cause: Cause.Cause<ProcessFailed | E>) => Effect.Effect<void>
  /** Gives it all of its input, unless it fails first; fails when the input does. */
  readonly feed: Effect.Effect<void, E>
  /** Waits for its end; fails unless it ended by itself, and read all of its input if it ended well. */
  readonly ended: Effect.Effect<{ readonly exitCode: number; readonly stderr: string }, ProcessFailed | E>
  readonly failed: Failed
}

type Failed = (
  reason: ProcessFailed["reason"],
  more?: { readonly code?: string; readonly signal?: string; readonly stderr?: string }
) => ProcessFailed

/** Sends a signal to the whole group; that it has gone already is no error. */
const kill = (child: ChildProcess, signal: NodeJS.Signals): Effect.Effect<void> =>
  Effect.sync(() => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, signal)
    } catch {
      child.kill(signal)
    }
  })

/** A killed process ends as soon as the kernel comes to it, however short the grace before was: seconds on a busy machine. */
const AFTER_KILL = "3 seconds"

/** TERM, then KILL, then no more waiting: a process in an uninterruptible sleep would hold us for ever. */
const stop = (child: ChildProcess, ending: Deferred.Deferred<Ending>, grace: Duration.DurationInput) => {
  const endsWithin = (time: Duration.DurationInput) => Effect.timeoutOption(Deferred.await(ending), time)
  const stopping = Effect.gen(function*() {
    yield* kill(child, "SIGTERM")
    if ((yield* endsWithin(grace))._tag === "Some") return
    yield* kill(child, "SIGKILL")
    if ((yield* endsWithin(AFTER_KILL))._tag === "Some") return
    yield* Effect.logWarning(`process ${child.pid} does not end, not even after SIGKILL`)
  })
  return Effect.flatMap(
    Deferred.isDone(ending),
    (done) => done ? Effect.void : inOwnFiber(stopping)
  )
}

/** One piece into a pipe, when there is room: `false` when nobody reads it any more. */
const write = (child: ChildProcess, piece: Uint8Array): Effect.Effect<boolean> =>
  Effect.async((resume) => {
    const { stdin } = child
    if (stdin === null || !stdin.writable) return resume(Effect.succeed(false))
    stdin.write(piece, (error) => resume(Effect.succeed(error === null || error === undefined)))
  })

/** Lines as they come, each cut at a length that nobody needs. */
const readLines = (pipe: Readable, take: (line: string) => void): void => {
  let rest = ""
  // A program that ends in the middle of a line has said nothing.
  pipe.on("error", () => {})
  pipe.setEncoding("utf8").on("data", (text: string) => {
    const lines = (rest + text).split("\n")
    rest = (lines.pop() ?? "").slice(0, MAX_REPORT)
    for (const line of lines) take(line.slice(0, MAX_REPORT))
  })
}

/** There is always one: we ask for a pipe. */
const stdoutOf = (child: ChildProcess): Readable => {
  if (child.stdout === null) throw new Error("a program was started without standard output")
  return child.stdout
}

const start = <E>(
  command: string,
  args: ReadonlyArray<string>,
  options: ProcessOptions<E> | undefined,
  bulk: boolean
): Effect.Effect<Child<E>, ProcessFailed, Scope.Scope> => {
  let stderr = ""
  const failed: Failed = (reason, more) => new ProcessFailed({ reason, command, args, stderr, ...more })
  const brokenPipe = (cause: unknown): ProcessFailed | E => failed("output", { code: codeOf(cause) })
  return Effect.gen(function*() {
    // a faster way to the same bytes: where it cannot be had, the ordinary one does
    const pipe = bulk ? Option.getOrUndefined(yield* Effect.option(BulkPipe.make(brokenPipe))) : undefined
    const ending = yield* Deferred.make<Ending>()
    /** What is made of it: its ending, or what went wrong before. */
    const verdict = yield* Deferred.make<Ending, ProcessFailed | E>()
    /** Its messages and its reports are at their ends. */
    const silent = yield* Deferred.make<void>()
    const reported = yield* Deferred.make<void>()
    const input = inputStream(options?.input)
    const launched = Effect.async<ChildProcess, ProcessFailed>((resume) => {
      const refused = (cause: unknown) =>
        resume(failed("spawn", { code: codeOf(cause), stderr: hasCode(cause, "ENOENT") ? "" : String(cause) }))
      try {
        const child = spawn(command, args, {
          stdio: [
            input === undefined ? "ignore" : "pipe",
            pipe?.theirs ?? "pipe",
            "pipe",
            ...options?.report === undefined ? [] : ["pipe" as const]
          ],
          env: {
            ...process.env,
            ...options?.report === undefined ? {} : { BACKY_PROGRESS_FD: "3" },
            ...options?.env
          },
          ...(options?.cwd === undefined ? {} : { cwd: options.cwd }),
          detached: true
        })
        // the program alone is to hold its end, or there would be none
        pipe?.theirs.destroy()
        child.on("error", refused)
        const { pid } = child
        if (pid !== undefined) RunningPrograms.add(pid, options?.outlives === true)
        child.on("spawn", () => resume(Effect.succeed(child)))
        child.on("exit", (exitCode, signal) => {
          if (pid !== undefined) RunningPrograms.remove(pid)
          Deferred.unsafeDone(ending, Effect.succeed({ exitCode, signal }))
          Deferred.unsafeDone(verdict, Effect.succeed({ exitCode, signal }))
        })
        // Always drained: a program that cannot get rid of its messages stands still.
        child.stderr?.setEncoding("utf8").on("data", (text: string) => {
          stderr = (stderr + text).slice(-STDERR_TAIL)
        }).on("close", () => Deferred.unsafeDone(silent, Effect.void))
        const reports = child.stdio[3]
        if (options?.report !== undefined && reports instanceof Socket) {
          readLines(reports, options.report)
          reports.on("close", () => Deferred.unsafeDone(reported, Effect.void))
        } else {
          Deferred.unsafeDone(reported, Effect.void)
        }
        // Who no longer reads is found at the next write.
        child.stdin?.on("error", () => {})
      } catch (cause) {
        refused(cause)
      }
    })
    const child = yield* Effect.acquireRelease(
      launched,
      (child) =>
        stop(child, ending, options?.grace ?? DEFAULT_GRACE).pipe(
          Effect.ensuring(Effect.sync(() => {
            child.stdin?.destroy()
            child.stdout?.destroy()
            child.stderr?.destroy()
          }))
        )
    )
    const fed = yield* Deferred.make<boolean>()
    const failing = Effect.flatMap(
      Deferred.await(ending),
      ({ exitCode }) => exitCode === 0 ? Effect.sleep(LAST_INPUT) : Effect.void
    )
    const feeding = input === undefined ? Effect.succeed(true) : Stream.runFoldWhileEffect(
      input,
      true,
      (read) => read,
      (_, piece) => write(child, piece)
    )
    const feed = Effect.raceFirst(feeding, Effect.as(failing, false)).pipe(
      Effect.tap((read) => {
        // Only the whole input has an end: a part of it must not look complete.
        if (read) child.stdin?.end()
        return Deferred.succeed(fed, read)
      }),
      Effect.asVoid
    )
    const stdout = pipe?.reader ?? readPipe(stdoutOf(child), brokenPipe)
    return {
      failed,
      feed,
      stdout,
      fail: (cause) =>
        Effect.sync(() => {
          stdout.fail(cause)
          Deferred.unsafeDone(verdict, Effect.failCause(cause))
        }),
      ended: Effect.gen(function*() {
        const { exitCode, signal } = yield* Deferred.await(verdict)
        const quiet = Effect.zipRight(Deferred.await(silent), Deferred.await(reported))
        yield* Effect.timeoutOption(Effect.interruptible(quiet), LAST_WORDS)
        if (exitCode === null) return yield* failed("signal", { signal: signal ?? "a signal" })
        // A program may know before we do that it has got everything.
        if (exitCode === 0 && !(yield* Deferred.await(fed))) return yield* failed("input")
        return { exitCode, stderr }
      })
    }
  })
}

const run = <E>(command: string, args: ReadonlyArray<string>, options: ProcessOptions<E> | undefined) => {
  const most = options?.maxOutput ?? MAX_OUTPUT
  const running = Effect.scoped(Effect.gen(function*() {
    const child = yield* start(command, args, options, false)
    const pieces: Array<Uint8Array> = []
    let length = 0
    const collecting = Stream.runForEach(child.stdout.stream, (piece) => {
      length += piece.length
      pieces.push(piece)
      return length > most ? Effect.fail(child.failed("output")) : Effect.void
    })
    yield* Effect.all([collecting, child.feed], { concurrency: "unbounded", discard: true })
    return { ...(yield* child.ended), stdout: concatenated(pieces) }
  }))
  return inOwnFiber(
    options?.timeout === undefined ? running : Effect.timeoutFail(running, {
      duration: options.timeout,
      onTimeout: () => new ProcessFailed({ reason: "timeout", command, args, stderr: "" })
    })
  )
}

const stream = <E>(command: string, args: ReadonlyArray<string>, options: ProcessOptions<E> | undefined) =>
  Stream.unwrapScoped(Effect.gen(function*() {
    const child = yield* start(command, args, options, true)
    // Not interruptWhen: it makes each step of the stream several times as dear.
    const watched = <A>(disturbance: Effect.Effect<A, ProcessFailed | E>) =>
      Effect.forkScoped(Effect.interruptible(Effect.catchAllCause(disturbance, child.fail)))
    yield* watched(child.feed)
    if (options?.timeout !== undefined) {
      yield* watched(Effect.zipRight(Effect.sleep(options.timeout), Effect.suspend(() => child.failed("timeout"))))
    }
    const check = Effect.flatMap(
      child.ended,
      ({ exitCode, stderr }) => succeeded(command, args, { exitCode, stderr, stdout: new Uint8Array(0) })
    )
    const { stream: pieces } = child.stdout
    return Stream.concat(
      options?.lent === true ? pieces : Stream.map(pieces, (piece) => new Uint8Array(piece)),
      Stream.drain(Stream.fromEffect(check))
    )
  }))

/** Real programs. */
export const layer: Layer.Layer<Process> = Layer.succeed(Process, { run, stream })
