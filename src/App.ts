/** Everything real: the only place where live layers meet. */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import type * as FileSystem from "@effect/platform/FileSystem"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { fstatSync, writeSync } from "node:fs"
import { availableParallelism, hostname } from "node:os"
import * as RbdProgram from "./ceph/rbdProgram.ts"
import { CommandLineInvalid } from "./cli/argv.ts"
import type { Globals, Services } from "./cli/Cli.ts"
import * as Plugins from "./cli/plugins.ts"
import * as Progress from "./cli/progress.ts"
import type { Screen } from "./cli/Screen.ts"
import * as Stdout from "./cli/Stdout.ts"
import * as Config from "./config/Config.ts"
import { defaults, type Settings } from "./config/Settings.ts"
import * as Logging from "./logging.ts"
import { Listener } from "./nbd/Listener.ts"
import { Daemon } from "./operation/Daemon.ts"
import type { BlockFile as BlockFileTag } from "./platform/BlockFile.ts"
import { Connector } from "./platform/Consul.ts"
import { Foreground } from "./platform/Foreground.ts"
import type { IoError } from "./platform/IoError.ts"
import { LockOwner } from "./platform/LockHolder.ts"
import * as BlockFile from "./platform/nodeBlockFile.ts"
import * as Devices from "./platform/nodeDevices.ts"
import * as FileLock from "./platform/nodeFileLock.ts"
import * as FreeSpace from "./platform/nodeFreeSpace.ts"
import * as Process from "./platform/nodeProcess.ts"
import * as Reflink from "./platform/nodeReflink.ts"
import * as Repository from "./repository/Repository.ts"
import * as Blocks from "./store/Blocks.ts"
import * as ChunkStore from "./store/ChunkStore.ts"

/** What this process talks through. */
export interface Streams {
  readonly stdout: Stdout.Stdout
  readonly screen: Screen
}

/** Worker threads: as the environment says, or the repository's config, or one for each processor. */
const workers = (settings: Settings): Effect.Effect<number, CommandLineInvalid> => {
  const text = process.env.BACKY_WORKERS ?? ""
  if (text === "") return Effect.succeed(settings.workers ?? availableParallelism())
  const wanted = Number(text)
  return Number.isSafeInteger(wanted) && wanted > 0 && wanted <= 256
    ? Effect.succeed(wanted)
    : new CommandLineInvalid({
      reason: `BACKY_WORKERS must be a whole number from 1 to 256, not ${JSON.stringify(text)}`
    })
}

/** The commands that read or write the contents of many chunks. */
const heavy: ReadonlySet<string> = new Set(["backup", "restore", "upgrade", "verify", "nbd", "mount"])

/** Where a daemon that started us wants to hear how far we are: a pipe that it left open for that. */
const reporter = (): ((line: string) => void) | undefined => {
  const descriptor = Number(process.env.BACKY_PROGRESS_FD)
  if (!Number.isSafeInteger(descriptor) || descriptor < 3) return undefined
  // what we start is not to write there
  delete process.env.BACKY_PROGRESS_FD
  try {
    const kind = fstatSync(descriptor)
    if (!kind.isFIFO() && !kind.isSocket()) return undefined
  } catch {
    return undefined
  }
  return (line) => {
    try {
      writeSync(descriptor, `${line}\n`)
    } catch {
      // the daemon has gone, or does not read at the moment: the backup goes on
    }
  }
}

/** Node.js's options for the commands that the daemon runs: its own, without the launcher's that keep it small. */
const childFlags = (flags: ReadonlyArray<string>): ReadonlyArray<string> =>
  flags.filter((flag) => !/^--(?:max-semi-space-size|heap-growing-percent)=/.test(flag))

/** The daemon over the real system. Its code is loaded for it alone. */
const daemon = Layer.effect(
  Daemon,
  Effect.map(Effect.context<FileSystem.FileSystem | BlockFileTag>(), (context) => ({
    run: (configFile: string) =>
      Effect.gen(function*() {
        const { run } = yield* Effect.promise(() => import("./daemon/Daemon.ts"))
        const { Program } = yield* Effect.promise(() => import("./daemon/JobRunner.ts"))
        const { layer: shell } = yield* Effect.promise(() => import("./daemon/Shell.ts"))
        const [, script = ""] = process.argv
        return yield* Effect.provide(
          run(configFile),
          Layer.mergeAll(
            Process.layer,
            FileLock.layer,
            shell,
            Layer.succeed(Program, { command: process.execPath, args: [...childFlags(process.execArgv), script] })
          )
        )
      }).pipe(Effect.provide(context))
  }))
)

/** The block loops as the repository's config wants them. It may have none: whoever needs it says so. */
const blocks = ({ command, directory }: Globals) =>
  Layer.unwrapEffect(Effect.gen(function*() {
    const isHeavy = heavy.has(command)
    const settings: Settings = isHeavy
      ? yield* Effect.orElseSucceed(
        Effect.map(Config.loadRepository(directory, { foreign: true }), (config) => config.settings),
        () => ({})
      )
      : {}
    return Blocks.layer({
      workers: yield* workers(settings),
      level: settings.compressionLevel ?? defaults.compressionLevel,
      entry: Blocks.workerEntry,
      eager: isHeavy
    })
  }))

/** A machine without the native hash does everything right, but ten times slower. */
const warnOfSlowHash = Layer.effectDiscard(Effect.flatMap(Blocks.Blocks, ({ hash }) =>
  hash === "native"
    ? Effect.void
    : Effect.logWarning("the native BLAKE3 is missing here (@napi-rs/blake-hash): hashing takes ten times as long")))

/** Few need Consul, and its client is large. */
const consul = Layer.succeed(Connector, {
  connect: (token) =>
    Effect.flatMap(Effect.promise(() => import("./platform/consulClient.ts")), ({ connect }) => connect(token))
})

/** By the command line and by the environment: the scheduler tells its children that way. */
const plugins = (globals: Globals) =>
  Layer.succeed(Plugins.Plugins, [...globals.plugins, ...Plugins.pathsIn(process.env.BACKY_PLUGINS)])

/** Few commands listen, or hand the terminal on. */
const listener = Layer.succeed(Listener, {
  listen: (address) =>
    Effect.flatMap(Effect.promise(() => import("./nbd/nodeListener.ts")), ({ listen }) => listen(address))
})
const foreground = Layer.succeed(Foreground, {
  run: (line, env) =>
    Effect.flatMap(Effect.promise(() => import("./platform/nodeForeground.ts")), ({ run }) => run(line, env))
})

/** As whom people know this process: the file that Node runs has another name. */
const owner = Layer.succeed(LockOwner, {
  pid: process.pid,
  host: hostname(),
  command: ["backy", ...process.argv.slice(2)].join(" ")
})

/** backy over the real system, for one command. */
export const AppLive = (streams: Streams, globals: Globals): Layer.Layer<Services, CommandLineInvalid | IoError> => {
  const { command, directory, log, verbose } = globals
  const logging = Logging.layer({
    file: log,
    // the scheduler has none: its log file lies where the operator said
    ...command === "scheduler" ? {} : { repository: directory },
    verbose,
    stderr: streams.screen.line
  })
  const progress = Progress.layer({
    screen: streams.screen,
    log: log !== undefined,
    report: reporter(),
    signals: process
  })
  const files = Layer.merge(NodeFileSystem.layer, BlockFile.layer)
  const programs = Layer.provideMerge(RbdProgram.layer(), Process.layer)
  const base = blocks(globals)
  const store = Layer.provideMerge(
    heavy.has(globals.command)
      ? Layer.merge(ChunkStore.layerFile(directory), warnOfSlowHash)
      : ChunkStore.layerFile(directory),
    base
  )
  return Layer.mergeAll(
    Repository.layer(directory),
    store,
    daemon,
    FileLock.layer,
    Devices.layer,
    owner,
    plugins(globals),
    FreeSpace.layer,
    Reflink.layer,
    programs,
    consul,
    listener,
    foreground,
    Stdout.layer(streams.stdout)
  ).pipe(
    Layer.provideMerge(files),
    Layer.provideMerge(progress),
    Layer.provideMerge(logging)
  )
}
