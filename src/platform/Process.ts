/**
 * Other programs: started without a shell, their exit codes checked, ended with us.
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { inOwnFiber } from "./inOwnFiber.ts"

/** Output of `run` beyond this is refused, in bytes, unless told otherwise. */
export const MAX_OUTPUT = 64 * 1024 * 1024

/** As much of a program's messages is kept, from the end, in characters. */
export const STDERR_TAIL = 4096

export interface ProcessOptions<E = never> {
  /**
   * What the program reads from standard input; nothing by default. When such a stream fails, the program is ended
   * before it can take what it got for all of it.
   */
  readonly input?: string | Uint8Array | Stream.Stream<Uint8Array, E>
  /** Added to our own environment. */
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** When the program has not ended by then, it is ended, and the call fails. */
  readonly timeout?: Duration.DurationInput
  /** How long a program that is to end may take from SIGTERM to SIGKILL. Default 3 seconds. */
  readonly grace?: Duration.DurationInput
  /** It goes on when we are killed (SIGKILL); every other program is killed then, too. */
  readonly outlives?: boolean
  /** Most bytes that `run` takes from standard output. */
  readonly maxOutput?: number
  /**
   * Lets `stream` use its memory again: a piece is valid only until the one behind its batch is asked for, and must be
   * copied by who keeps it. Good for much data.
   */
  readonly lent?: boolean
  /**
   * Takes lines that the program writes of how far it is. It gets a pipe for them, whose descriptor is in the
   * environment as BACKY_PROGRESS_FD. Lines beyond 1024 characters are cut.
   */
  readonly report?: (line: string) => void
}

/** How a program ended by itself. */
export interface ProcessResult {
  readonly exitCode: number
  readonly stdout: Uint8Array
  /** The last of its messages. */
  readonly stderr: string
}

/**
 * A program did not do its work.
 *
 * - `spawn`: it could not be started (`code` says why: ENOENT when it is not installed);
 * - `exit`: it ended with `exitCode`, not 0;
 * - `signal`: it was killed by `signal`;
 * - `timeout`: it did not end in time;
 * - `output`: it wrote more than was allowed;
 * - `input`: it ended well, but without reading all of its input.
 */
export class ProcessFailed extends Data.TaggedError("ProcessFailed")<{
  readonly reason: "spawn" | "exit" | "signal" | "timeout" | "output" | "input"
  readonly command: string
  readonly args: ReadonlyArray<string>
  readonly code?: string
  readonly exitCode?: number
  readonly signal?: string
  readonly stderr: string
}> {
  override get message(): string {
    const name = [this.command, ...this.args].join(" ")
    const last = this.stderr.trimEnd().split(/[\r\n]+/).at(-1)?.trim() ?? ""
    const why = last === "" ? "" : `: ${last}`
    switch (this.reason) {
      case "spawn":
        return this.code === "ENOENT"
          ? `cannot run ${this.command}: no such program in PATH (ENOENT)`
          : `cannot run ${this.command}${why} (${this.code ?? "UNKNOWN"})`
      case "exit":
        return `"${name}" failed with exit code ${this.exitCode}${why}`
      case "signal":
        return `"${name}" was killed by ${this.signal}${why}`
      case "timeout":
        return `"${name}" did not end in time${why}`
      case "output":
        return `"${name}" wrote more than was expected of it`
      case "input":
        return `"${name}" ended before it had read all of its input${why}`
    }
  }
}

/** Runs programs. They get their arguments as they are; no shell ever sees them. */
export class Process extends Context.Tag("backy/platform/Process")<Process, {
  /**
   * Runs a program to its end and gives what it wrote, whatever its exit code; see `output` for programs that must
   * succeed. Interruption ends the program, with all that it started. In a finalizer it ends as anywhere else, and its
   * `timeout` holds there, too: give it one.
   */
  readonly run: <E = never>(
    command: string,
    args: ReadonlyArray<string>,
    options?: ProcessOptions<E>
  ) => Effect.Effect<ProcessResult, ProcessFailed | E>
  /**
   * What a program writes to standard output, as fast as it is consumed. Fails behind the last byte unless the exit
   * code is 0: output that was cut off never looks complete. Who stops reading ends the program.
   */
  readonly stream: <E = never>(
    command: string,
    args: ReadonlyArray<string>,
    options?: ProcessOptions<E>
  ) => Stream.Stream<Uint8Array, ProcessFailed | E>
}>() {}

/** Fails unless the exit code was 0. */
export const succeeded = (
  command: string,
  args: ReadonlyArray<string>,
  result: ProcessResult
): Effect.Effect<ProcessResult, ProcessFailed> => {
  const { exitCode, stderr } = result
  return exitCode === 0
    ? Effect.succeed(result)
    : new ProcessFailed({ reason: "exit", command, args, exitCode, stderr })
}

/** Standard output, as text, of a program that must succeed. */
export const output = <E = never>(
  command: string,
  args: ReadonlyArray<string>,
  options?: ProcessOptions<E>
): Effect.Effect<string, ProcessFailed | E, Process> =>
  Effect.flatMap(Process, (process) => process.run(command, args, options)).pipe(
    Effect.flatMap((result) => succeeded(command, args, result)),
    Effect.map(({ stdout }) => new TextDecoder().decode(stdout))
  )

/** Standard input as a stream; `undefined` when there is none. */
export const inputStream = <E>(input: ProcessOptions<E>["input"]): Stream.Stream<Uint8Array, E> | undefined =>
  input === undefined
    ? undefined
    : typeof input === "string"
    ? Stream.make(new TextEncoder().encode(input))
    : input instanceof Uint8Array
    ? Stream.make(input)
    : input

/** What a simulated program does with its arguments and all of its input. A `signal` kills it instead of exiting. */
export interface ProgramResult {
  readonly stdout?: string | Uint8Array | ReadonlyArray<Uint8Array>
  readonly stderr?: string
  readonly exitCode?: number
  readonly signal?: string
  /** It ended without having read all of its input. */
  readonly inputLeft?: boolean
}

/** A simulated program. An effect may take (virtual) time, or never end. */
export type Program = (
  args: ReadonlyArray<string>,
  stdin: Uint8Array,
  options: {
    readonly env: Readonly<Record<string, string>>
    readonly cwd: string | undefined
    readonly report: (line: string) => void
  }
) => ProgramResult | Effect.Effect<ProgramResult>

const bytesOf = (stdout: ProgramResult["stdout"]): ReadonlyArray<Uint8Array> =>
  stdout === undefined || stdout === ""
    ? []
    : typeof stdout === "string"
    ? [new TextEncoder().encode(stdout)]
    : stdout instanceof Uint8Array
    ? [stdout]
    : stdout

/** Puts pieces together. */
export const concatenated = (pieces: ReadonlyArray<Uint8Array>): Uint8Array => {
  const all = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0))
  let done = 0
  for (const piece of pieces) {
    all.set(piece, done)
    done += piece.length
  }
  return all
}

/** Programs that are functions, by name; any other is not installed. */
export const layerMemory = (programs: Readonly<Record<string, Program>>): Layer.Layer<Process> => {
  const call = <E>(command: string, args: ReadonlyArray<string>, options: ProcessOptions<E> | undefined) => {
    const failed = (fields: Pick<ProcessFailed, "reason" | "stderr"> & { code?: string; signal?: string }) =>
      new ProcessFailed({ command, args, ...fields })
    const finished = Effect.gen(function*() {
      const program = Object.hasOwn(programs, command) ? programs[command] : undefined
      if (program === undefined) return yield* failed({ reason: "spawn", code: "ENOENT", stderr: "" })
      const input = inputStream(options?.input)
      const pieces = input === undefined ? [] : Array.from(yield* Stream.runCollect(input))
      const answer = program(args, concatenated(pieces), {
        env: options?.env ?? {},
        cwd: options?.cwd,
        report: options?.report ?? (() => {})
      })
      const result = Effect.isEffect(answer) ? yield* answer : answer
      const stderr = (result.stderr ?? "").slice(-STDERR_TAIL)
      return { pieces: bytesOf(result.stdout), stderr, result }
    })
    const timed = inOwnFiber(
      options?.timeout === undefined ? finished : Effect.timeoutFail(finished, {
        duration: options.timeout,
        onTimeout: () => failed({ reason: "timeout", stderr: "" })
      })
    )
    return Effect.map(timed, ({ pieces, result: { exitCode = 0, inputLeft, signal }, stderr }) => ({
      pieces,
      ended: Effect.gen(function*() {
        if (signal !== undefined) return yield* failed({ reason: "signal", signal, stderr })
        if (exitCode === 0 && inputLeft === true) return yield* failed({ reason: "input", stderr })
        return { exitCode, stderr }
      }),
      tooMuch: failed({ reason: "output", stderr })
    }))
  }
  return Layer.succeed(Process, {
    run: (command, args, options) =>
      Effect.gen(function*() {
        const { ended, pieces, tooMuch } = yield* call(command, args, options)
        const stdout = concatenated(pieces)
        if (stdout.length > (options?.maxOutput ?? MAX_OUTPUT)) return yield* tooMuch
        return { ...(yield* ended), stdout }
      }),
    stream: (command, args, options) =>
      Stream.unwrap(Effect.map(call(command, args, options), ({ ended, pieces }) =>
        Stream.concat(
          Stream.fromIterable(pieces),
          Stream.drain(Stream.fromEffect(Effect.flatMap(ended, ({ exitCode, stderr }) =>
            succeeded(command, args, { exitCode, stderr, stdout: new Uint8Array(0) }))))
        )))
  })
}
