/**
 * One run of a job: the ordinary commands `backup`, `expire`, `purge` and `status` as child processes, then the
 * callback. The daemon itself touches nothing in a repository but `config`.
 */
import type * as FileSystem from "@effect/platform/FileSystem"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import type { DaemonConfig, DaemonJob } from "../config/DaemonConfig.ts"
import * as RepositoryConfig from "../config/RepositoryConfig.ts"
import { defaults } from "../config/Settings.ts"
import * as NoRoom from "../domain/noRoom.ts"
import type { BlockFile } from "../platform/BlockFile.ts"
import * as Durable from "../platform/Durable.ts"
import * as Files from "../platform/Files.ts"
import { Process, type ProcessResult } from "../platform/Process.ts"
import { type Facts, JobHistory } from "./JobHistory.ts"

/** What is run, in this order. */
export type Step = "config" | "backup" | "expire" | "purge" | "status" | "callback"

/** Something that did not go well. */
export interface Trouble {
  readonly step: Step
  readonly sentence: string
  /** Another process had the lock: nothing is wrong but that it has to wait. */
  readonly isBusy?: true
}

/** How a run ended. `troubles` of a run that is done are about what came after the backup. */
export type Outcome =
  | { readonly _tag: "Done"; readonly facts: Facts; readonly troubles: ReadonlyArray<Trouble> }
  | {
    readonly _tag: "Failed"
    readonly trouble: Trouble
    readonly isStalled: boolean
    /** It was for want of room, so expiry and purge made some, as far as these let them. */
    readonly madeRoom?: ReadonlyArray<Trouble>
  }
  /** Another process has the repository: no failure. */
  | { readonly _tag: "Busy"; readonly holder: string }

/** What the children say of themselves, for those who watch. */
export interface Progress {
  readonly step: Step
  /** As the child wrote it: `{"phase": …, "bytes": …, "total": …}`. */
  readonly report: string | undefined
}

export interface ChildOptions {
  readonly job: DaemonJob
  readonly config: Pick<DaemonConfig, "baseDir" | "backupCompletedCallback" | "settings">
  readonly onProgress: (progress: Progress) => void
}

export interface RunOptions extends ChildOptions {
  readonly tags: ReadonlyArray<string>
  /** Purge in any case: the last run did not end well, or nobody knows how it ended. */
  readonly purge: boolean
}

/** The ordinary command line, as a program that can be run. */
export class Program extends Context.Tag("backy/daemon/Program")<Program, {
  readonly command: string
  readonly args: ReadonlyArray<string>
}>() {}

export class JobRunner extends Context.Tag("backy/daemon/JobRunner")<JobRunner, {
  /** Runs a job once. Interruption ends its children: TERM, then KILL. */
  readonly run: (options: RunOptions) => Effect.Effect<Outcome>
  /** Runs only its purge; tells what went wrong. */
  readonly purge: (options: ChildOptions) => Effect.Effect<Trouble | undefined>
}>() {}

/** As `backy` ends when another process has the lock. */
const BUSY = 75

/** A command that is told to end takes 7 seconds to clean up at most; the scheduler itself has 9. */
const GRACE = Duration.seconds(8)

const CALLBACK_TIMEOUT = Duration.minutes(10)

/** Where a job's repository is. */
export const directoryOf = (config: Pick<DaemonConfig, "baseDir">, job: Pick<DaemonJob, "name">): string =>
  `${config.baseDir.replace(/\/+$/, "")}/${job.name}`

/** Writes `DIR/config`, and makes the directory, if that is not what is there. */
const writeConfig = Effect.fnUntraced(function*({ config, job }: RunOptions) {
  const directory = directoryOf(config, job)
  const path = `${directory}/config`
  yield* Files.ensureDirectory(directory)
  const text = configText(config, job)
  const present = yield* Effect.either(Durable.readSmall(path, RepositoryConfig.MAX_LENGTH))
  if (Either.isRight(present) && new TextDecoder().decode(present.right) === text) return
  yield* Durable.replace(path, new TextEncoder().encode(text), { mode: 0o440 })
})

/** A job's config is written with every run, and changes with a reload only. */
const texts = new WeakMap<DaemonJob, { readonly settings: DaemonConfig["settings"]; readonly text: string }>()

const configText = (config: Pick<DaemonConfig, "settings">, job: DaemonJob): string => {
  const known = texts.get(job)
  if (known?.settings === config.settings) return known.text
  const text = RepositoryConfig.encode({ source: job.source, schedule: job.schedule, settings: settingsOf(config) })
  texts.set(job, { settings: config.settings, text })
  return text
}

/** What a repository's config says besides source and schedule; the rest concerns the daemon alone. */
const settingsOf = ({ settings }: Pick<DaemonConfig, "settings">) => {
  const { ionice: _ionice, nice: _nice, plugins: _plugins, stallTimeout: _stallTimeout, ...rest } = settings
  return rest
}

const lastLine = (text: string): string => text.trimEnd().split(/[\r\n]+/).at(-1)?.trim() ?? ""

/** What a child said at its end, without our own name in front. */
const saying = ({ exitCode, stderr }: Pick<ProcessResult, "exitCode" | "stderr">): string => {
  const last = lastLine(stderr).replace(/^backy: /, "")
  return last === "" ? `exit code ${exitCode}` : `${last} (exit code ${exitCode})`
}

/** `nice -n 10 ionice -c idle backy …` as the settings say. */
const prefixed = (
  { args, command }: Context.Tag.Service<Program>,
  { ionice, nice = defaults.nice }: DaemonConfig["settings"]
): ReadonlyArray<string> => [
  ...nice === 0 ? [] : ["nice", "-n", String(nice)],
  ...ionice === undefined ? [] : ["ionice", "-c", ionice],
  command,
  ...args
]

const make = Effect.gen(function*() {
  const program = yield* Program
  const process = yield* Process
  const history = yield* JobHistory
  const context = yield* Effect.context<BlockFile | FileSystem.FileSystem>()

  /** A child that fails, with its own sentence, unless it ends in time. */
  const child = (options: ChildOptions, step: Step, args: ReadonlyArray<string>) => {
    const { config, job } = options
    const directory = directoryOf(config, job)
    const [command = program.command, ...rest] = prefixed(program, config.settings)
    const words = [...rest, "-b", directory, "-l", `${directory}/backy.log`, ...args]
    const patience = config.settings.stallTimeout ?? defaults.stallTimeout
    return Effect.gen(function*() {
      let last = ""
      let since = yield* Clock.currentTimeNanos
      const now = yield* Clock.clockWith(Effect.succeed)
      options.onProgress({ step, report: undefined })
      const running = process.run(command, words, {
        cwd: config.baseDir,
        // not by the repository's config: what that says is never executed
        env: { BACKY_PLUGINS: (config.settings.plugins ?? []).join(":") },
        grace: GRACE,
        // a backup need not fail because the daemon does
        outlives: true,
        report: (line) => {
          if (line === last) return
          last = line
          since = now.unsafeCurrentTimeNanos()
          options.onProgress({ step, report: line })
        }
      })
      const stalled = Effect.gen(function*() {
        // only a backup tells how far it is; the others have their time as a whole
        const limit = Duration.toMillis(patience) * (step === "purge" ? 48 : 1)
        while (true) {
          const idle = Number((yield* Clock.currentTimeNanos) - since) / 1e6
          if (idle >= limit) return undefined
          yield* Effect.sleep(limit - idle)
        }
      })
      return yield* Effect.raceFirst(running, stalled)
    })
  }

  const callback = Effect.fnUntraced(function*(options: RunOptions) {
    const { config: { backupCompletedCallback: command, baseDir }, job } = options
    if (command === undefined) return
    const status = yield* child(options, "status", ["status", "--yaml"])
    if (status === undefined) return { step: "status", sentence: "it did not end in time" } as const
    if (status.exitCode !== 0) return { step: "status", sentence: saying(status) } as const
    options.onProgress({ step: "callback", report: undefined })
    const called = yield* process.run(command, [job.name], {
      cwd: baseDir,
      input: status.stdout,
      outlives: true,
      timeout: CALLBACK_TIMEOUT
    }).pipe(
      // it need not care for what it is told
      Effect.catchIf(({ reason }) => reason === "input", () => Effect.succeed(undefined))
    )
    return called === undefined || called.exitCode === 0
      ? undefined
      : { step: "callback", sentence: saying(called) } as const
  })

  /** One of the commands that follow a backup: what went wrong, if anything did. */
  const following = (options: ChildOptions, step: "expire" | "purge") =>
    Effect.match(child(options, step, [step]), {
      onFailure: (error): Trouble | undefined => ({ step, sentence: error.message }),
      onSuccess: (result): Trouble | undefined => {
        if (result === undefined) return { step, sentence: "it did not end in time" }
        if (result.exitCode === 0) return undefined
        return { step, sentence: saying(result), ...result.exitCode === BUSY ? { isBusy: true } : {} }
      }
    })

  /** Expires, and purges if there is something to purge; tells what went wrong, and what is left. */
  const makeRoom = Effect.fnUntraced(function*(options: RunOptions, made: Facts) {
    const expired = yield* following(options, "expire")
    const directory = directoryOf(options.config, options.job)
    const left = yield* Effect.orElseSucceed(history.read(directory), () => undefined)
    const ids = new Set(left?.revisions.map(({ id }) => id))
    const removed = left === undefined || made.revisions.some(({ id }) => !ids.has(id))
    const purged = removed || options.purge ? yield* following(options, "purge") : undefined
    return { facts: left ?? made, troubles: [expired, purged].filter((trouble) => trouble !== undefined) }
  })

  /** What follows a backup. Nothing of it makes the backup a failure, and everything that goes wrong is told. */
  const after = Effect.fnUntraced(function*(options: RunOptions, made: Facts) {
    const { facts, troubles } = yield* makeRoom(options, made)
    const called = yield* Effect.catchAll(
      callback(options),
      ({ message }) => Effect.succeed<Trouble>({ step: "callback", sentence: message })
    )
    return {
      _tag: "Done",
      facts,
      troubles: called === undefined ? troubles : [...troubles, called]
    } satisfies Outcome
  })

  const failed = (step: Step, sentence: string, isStalled = false) => ({
    _tag: "Failed" as const,
    trouble: { step, sentence },
    isStalled
  })

  const run = Effect.fnUntraced(function*(options: RunOptions) {
    const directory = directoryOf(options.config, options.job)
    options.onProgress({ step: "config", report: undefined })
    const written = yield* Effect.either(writeConfig(options))
    if (Either.isLeft(written)) return failed("config", written.left.message)
    const before = yield* history.read(directory)
    let noRoom: ReturnType<typeof NoRoom.parse>
    const onProgress: RunOptions["onProgress"] = (progress) => {
      if (progress.report !== undefined) noRoom = NoRoom.parse(progress.report) ?? noRoom
      options.onProgress(progress)
    }
    const result = yield* child({ ...options, onProgress }, "backup", ["backup", options.tags.join(",")])
    if (result === undefined) {
      const span = Duration.format(options.config.settings.stallTimeout ?? defaults.stallTimeout)
      return failed("backup", `it was ended: there was no progress for ${span}`, true)
    }
    if (result.exitCode === BUSY) return { _tag: "Busy", holder: saying(result) } satisfies Outcome
    if (result.exitCode !== 0) {
      const failure = failed("backup", saying(result))
      if (noRoom === undefined) return failure
      // they follow a backup that went well, and this one cannot before they have run
      const { troubles } = yield* makeRoom({ ...options, purge: options.purge || noRoom.begun }, before)
      return { ...failure, madeRoom: troubles }
    }
    const made = yield* history.read(directory)
    const known = new Set(before.revisions.filter(({ isComplete }) => isComplete).map(({ id }) => id))
    if (!made.revisions.some(({ id, isComplete }) => isComplete && !known.has(id))) {
      return failed("backup", "it ended well, but there is no new revision")
    }
    const interrupted = before.revisions.some(({ isComplete }) => !isComplete)
    return yield* after({ ...options, purge: options.purge || interrupted }, made)
  })

  return JobRunner.of({
    purge: (options) => Effect.provide(following(options, "purge"), context),
    run: (options) =>
      run(options).pipe(
        Effect.catchAll((error) => Effect.succeed(failed("backup", error.message))),
        Effect.provide(context)
      )
  })
})

/** Runs jobs with a program. */
export const layer: Layer.Layer<
  JobRunner,
  never,
  Program | Process | JobHistory | BlockFile | FileSystem.FileSystem
> = Layer.effect(JobRunner, make)
