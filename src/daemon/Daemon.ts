/** The daemon: the scheduler with its config file, its lock, its status file and its shell. */
import type * as FileSystem from "@effect/platform/FileSystem"
import { sha256 } from "@noble/hashes/sha2.js"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberHandle from "effect/FiberHandle"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as RuntimeFlags from "effect/RuntimeFlags"
import * as RuntimeFlagsPatch from "effect/RuntimeFlagsPatch"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Config from "../config/Config.ts"
import type { DaemonConfig } from "../config/DaemonConfig.ts"
import { counted } from "../domain/counted.ts"
import { requireMarker, unmountedHint } from "../operation/baseDirectory.ts"
import { SchedulerRunning } from "../operation/Daemon.ts"
import type { BlockFile } from "../platform/BlockFile.ts"
import * as FileLock from "../platform/FileLock.ts"
import * as Files from "../platform/Files.ts"
import { IoError } from "../platform/IoError.ts"
import type { Process } from "../platform/Process.ts"
import type { Controls } from "./commands.ts"
import * as JobHistory from "./JobHistory.ts"
import * as JobRunner from "./JobRunner.ts"
import * as JobState from "./JobState.ts"
import { Scheduler } from "./Scheduler.ts"
import * as SchedulerLive from "./Scheduler.ts"
import * as Shell from "./Shell.ts"
import * as StatusBook from "./StatusBook.ts"
import * as StatusFile from "./StatusFile.ts"

/** However long a job has to wait, it looks again after this: clocks are set, machines sleep. */
const LOOK_EVERY = Duration.minutes(1)

/** How often directories of former jobs are looked for. */
const STRANGERS_EVERY = Duration.days(1)

const hash = (name: string): Uint8Array => sha256(new TextEncoder().encode(name))

/** SIGHUPs, until the scope ends. */
const hangups: Effect.Effect<Queue.Dequeue<void>, never, Scope.Scope> = Effect.gen(function*() {
  const queue = yield* Queue.sliding<void>(1)
  const listener = () => void queue.unsafeOffer(undefined)
  yield* Effect.acquireRelease(
    Effect.sync(() => process.on("SIGHUP", listener)),
    () => Effect.sync(() => process.off("SIGHUP", listener))
  )
  return queue
})

const lock = (baseDir: string) =>
  Effect.flatMap(FileLock.FileLock, (locks) => locks.acquire(`${baseDir}/.lock`, "exclusive")).pipe(
    Effect.catchTag("LockHeld", ({ holder }) => new SchedulerRunning({ baseDir, holder }))
  )

/** It is not made: a base directory that is missing may be a file system that is not mounted. */
const requireDirectory = Effect.fnUntraced(function*(path: string) {
  const stat = yield* Files.find(path)
  // a link is fine here, and what it leads to shows when it is used
  if (stat?.kind === "directory" || stat?.kind === "symlink") return
  const detail = stat === undefined ? "it is not there; make it, or set base-dir" : "it is no directory"
  return yield* new IoError({ operation: "use the base directory", path, code: "ENOTDIR", detail })
})

/** Directories that were jobs once. They are only told of: whether they are still needed is for people to say. */
const reportStrangers = Effect.fnUntraced(function*({ baseDir, jobs }: DaemonConfig) {
  const known = new Set(jobs.map(({ name }) => name))
  const names = (yield* Files.list(baseDir)).filter((name) => !known.has(name) && !name.startsWith("."))
  const unconfigured = yield* Effect.filter(names, (name) =>
    Files.exists(`${baseDir}/${name}/config`).pipe(
      Effect.orElseSucceed(() => false)
    ))
  if (unconfigured.length === 0) return
  yield* Effect.logWarning(
    `not configured any more, and left alone: ${unconfigured.slice(0, 20).join(", ")}` +
      (unconfigured.length > 20 ? ` and ${unconfigured.length - 20} more` : "")
  )
}, Effect.catchAll((error) => Effect.logWarning(error.message)))

/** The shell at all addresses of a config. A shell that cannot be had is no reason not to back up. */
const shell = (config: DaemonConfig, controls: Controls) =>
  Effect.scoped(Effect.zipRight(
    Effect.forEach(config.telnetAddresses, (host) =>
      Effect.flatMap(Shell.Shell, ({ serve }) =>
        serve({ host, port: config.telnetPort }, controls)).pipe(
          Effect.catchAll((error) =>
            error.code === "EADDRNOTAVAIL" || error.code === "EAFNOSUPPORT"
              ? Effect.logInfo(`no shell: ${error.message}`)
              : Effect.logError(`no shell: ${error.message}`)
          )
        )),
    Effect.never
  ))

const sameShell = (a: DaemonConfig, b: DaemonConfig): boolean =>
  a.telnetPort === b.telnetPort && a.telnetAddresses.join() === b.telnetAddresses.join()

const serve = Effect.fnUntraced(function*(configFile: string, first: DaemonConfig) {
  const scheduler = yield* Scheduler
  const listener = yield* FiberHandle.make()
  let config = first
  let refused: string | undefined

  const book = StatusBook.make()
  const entries = Effect.gen(function*() {
    const now = yield* Clock.currentTimeMillis
    const trouble = { reloadRefused: refused, stateTrouble: yield* scheduler.stateTrouble }
    return (yield* scheduler.jobs).map((job) => book.entryOf(job, now, trouble))
  })
  const bytesOf = StatusBook.binder()
  const statuses = Effect.map(entries, (all) => all.map(({ status }) => status))
  // also when nothing has changed: its age is the sign of life
  const writeStatus = Effect.flatMap(entries, (all) => StatusFile.write(config.statusFile, bytesOf(all))).pipe(
    Effect.catchAll((error) => Effect.logError(error.message))
  )

  const reload: Effect.Effect<string | undefined, never, FileSystem.FileSystem | Shell.Shell> = Config.loadDaemon(
    configFile
  ).pipe(
    Effect.filterOrFail(
      ({ baseDir }) => baseDir === config.baseDir,
      ({ baseDir }) => ({ message: `${configFile}: base-dir became ${baseDir}, which needs a restart` })
    ),
    Effect.matchEffect({
      onFailure: ({ message }) => {
        refused = message
        return Effect.as(Effect.logError(`the config was not reloaded, the old one stays: ${message}`), message)
      },
      onSuccess: (next) =>
        Effect.gen(function*() {
          const before = config
          config = next
          refused = undefined
          yield* scheduler.configure(next)
          if (!sameShell(before, next)) yield* FiberHandle.run(listener, shell(next, controls))
          yield* Effect.logInfo(`reloaded ${configFile}: ${counted(next.jobs.length, "job")}`)
          return undefined
        })
    })
  )
  const context = yield* Effect.context<FileSystem.FileSystem | BlockFile | Shell.Shell>()
  const reloading = yield* Effect.makeSemaphore(1)
  const reloadAndTell = reloading.withPermits(1)(Effect.zipLeft(reload, writeStatus)).pipe(Effect.provide(context))
  const controls: Controls = { statuses, request: scheduler.request, reload: reloadAndTell }

  yield* scheduler.configure(config)
  yield* Effect.logInfo(
    `scheduler started: ${
      counted(config.jobs.length, "job")
    } below ${config.baseDir}, worker limit ${config.workerLimit}`
  )
  yield* FiberHandle.run(listener, shell(config, controls))
  const queue = yield* hangups
  yield* Effect.forkScoped(Effect.forever(Effect.zipRight(Queue.take(queue), reloadAndTell)))
  yield* Effect.forkScoped(
    Effect.repeat(Effect.suspend(() => reportStrangers(config)), Schedule.spaced(STRANGERS_EVERY))
  )
  // a base directory that went away while we run: without it nothing is started, and nothing written in its place
  const marked = Effect.suspend(() => requireMarker(config)).pipe(
    Effect.catchTag("IoError", (error) => Effect.logError(error.message))
  )
  // asked anew each time: a reload may have changed it
  return yield* Effect.forever(
    Effect.zipRight(
      Effect.zipRight(marked, writeStatus),
      Effect.suspend(() => Effect.sleep(Duration.seconds(config.statusInterval)))
    )
  )
})

/**
 * Runs the jobs of a config file until it is interrupted. Fails with `ConfigMissing`, `ConfigInvalid`, `IoError`,
 * `BaseUnmarked` when its base directory is not there any more or not the one that is meant, and
 * with `SchedulerRunning` when another daemon has the base directory.
 */
export const run = (configFile: string) =>
  Effect.scoped(Effect.gen(function*() {
    const config = yield* Config.loadDaemon(configFile)
    yield* requireDirectory(config.baseDir)
    yield* requireMarker(config)
    const hint = yield* unmountedHint(config)
    if (hint !== undefined) yield* Effect.logWarning(hint)
    yield* lock(config.baseDir)
    yield* Effect.addFinalizer(() => Effect.logInfo("scheduler stopped"))
    const layer = SchedulerLive.layer({ hash, lookEvery: LOOK_EVERY }).pipe(
      Layer.provide(JobRunner.layer),
      Layer.provide(Layer.merge(JobHistory.layer, JobState.layerFile(config.baseDir)))
    )
    return yield* Effect.provide(Effect.scoped(serve(configFile, config)), layer)
    // counting the fibers of a thousand jobs would take a good part of their time
  })).pipe(
    Effect.withRuntimeFlagsPatch(RuntimeFlagsPatch.disable(RuntimeFlags.RuntimeMetrics))
  ) satisfies Effect.Effect<
    never,
    unknown,
    Process | JobRunner.Program | Shell.Shell | FileLock.FileLock | BlockFile | FileSystem.FileSystem
  >
