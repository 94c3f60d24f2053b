/** The command line: global options, the commands, and how all of it ends. */
import * as Command from "@effect/cli/Command"
import * as HelpDoc from "@effect/cli/HelpDoc"
import * as Options from "@effect/cli/Options"
import * as ValidationError from "@effect/cli/ValidationError"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as PlatformTerminal from "@effect/platform/Terminal"
import * as Cause from "effect/Cause"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as HashMap from "effect/HashMap"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { resolve } from "node:path"
import { stripVTControlCharacters } from "node:util"
import pkg from "../../package.json" with { type: "json" }
import { printable } from "../domain/printable.ts"
import type { Listener } from "../nbd/Listener.ts"
import type { Daemon } from "../operation/Daemon.ts"
import * as Finished from "../operation/Finished.ts"
import type * as Port from "../operation/Output.ts"
import type { BlockFile } from "../platform/BlockFile.ts"
import type { Connector } from "../platform/Consul.ts"
import type { Devices } from "../platform/Devices.ts"
import type { FileLock } from "../platform/FileLock.ts"
import type { Foreground } from "../platform/Foreground.ts"
import type { Process } from "../platform/Process.ts"
import type { Rbd } from "../platform/Rbd.ts"
import type { Repository } from "../repository/Repository.ts"
import type { Blocks } from "../store/Blocks.ts"
import type { ChunkStore } from "../store/ChunkStore.ts"
import { absolute } from "./absolute.ts"
import * as Argv from "./argv.ts"
import { command as backup } from "./backup.ts"
import { command as check } from "./check.ts"
import { command as diff } from "./diff.ts"
import { command as distrust } from "./distrust.ts"
import { checkEnding, ending, EXIT, type KnownError } from "./exit.ts"
import { command as expire } from "./expire.ts"
import { command as find } from "./find.ts"
import { command as forget } from "./forget.ts"
import * as Help from "./help.ts"
import { command as init } from "./init.ts"
import { command as jobs } from "./jobs.ts"
import { load } from "./load.ts"
import { command as mount } from "./mount.ts"
import { command as nbd } from "./nbd.ts"
import { notUtf8 } from "./notUtf8.ts"
import * as Output from "./output.ts"
import * as Plugins from "./plugins.ts"
import { command as purge } from "./purge.ts"
import * as Reports from "./reports.ts"
import { command as restore } from "./restore.ts"
import { command as scheduler } from "./scheduler.ts"
import { command as status } from "./status.ts"
import * as Tags from "./tags.ts"
import { Terminal } from "./Terminal.ts"
import { command as upgrade } from "./upgrade.ts"
import { command as verify } from "./verify.ts"

/** What the global options say. */
export interface Globals {
  /** The command that is run. */
  readonly command: string
  /** Absolute path of the repository. */
  readonly directory: string
  /** Absolute path of the log file. */
  readonly log: string | undefined
  /** Absolute paths of the plug-ins that `--plugin` names. */
  readonly plugins: ReadonlyArray<string>
  readonly verbose: boolean
  /** It runs until it is told to end, which is no failure then. */
  readonly isServer: boolean
}

/** What the commands work with. */
export type Services =
  | BlockFile
  | Blocks
  | ChunkStore
  | Connector
  | Daemon
  | Devices
  | FileLock
  | FileSystem.FileSystem
  | Foreground
  | Listener
  | Port.Output
  | Process
  | Rbd
  | Repository

const root = Command.make("backy", {
  verbose: Options.boolean("verbose").pipe(
    Options.withAlias("v"),
    Options.withDescription("Say more, and with an error its cause.")
  ),
  log: Options.text("log").pipe(
    Options.withAlias("l"),
    Options.withPseudoName("LOGFILE"),
    Options.withDescription("Append log lines to this file instead of printing them to standard error."),
    Options.mapEffect((path) =>
      path === "-"
        ? Effect.fail(ValidationError.invalidValue(
          HelpDoc.p("-l: log lines go to standard error without it (a file of that name is ./-)")
        ))
        : Effect.succeed(path)
    ),
    Options.optional
  ),
  directory: Options.text("directory").pipe(
    Options.withAlias("b"),
    Options.withPseudoName("DIR"),
    Options.withDescription("The repository. Default: the current directory."),
    Options.withDefault(".")
  ),
  plugin: Options.text("plugin").pipe(
    Options.withPseudoName("PATH"),
    Options.withDescription("A module that adds source types; may be given several times. BACKY_PLUGINS names more."),
    Options.optional
  )
}).pipe(Command.withDescription("Block-based backup and restore of virtual machine images."))

const { add, remove, set } = Tags.subcommands
const { delete: deleteReport, list, show } = Reports.subcommands

const backy = Command.withSubcommands(root, [
  init,
  backup,
  restore,
  nbd,
  mount,
  status,
  find,
  verify,
  distrust,
  forget,
  Command.withSubcommands(Tags.group, [set, add, remove]),
  expire,
  diff,
  purge,
  upgrade,
  Command.withSubcommands(Reports.group, [list, show, deleteReport]),
  scheduler,
  check,
  jobs
])

/** The commands as the library knows them. */
export const commandNames = (): ReadonlyArray<string> => [...HashMap.keys(Command.getSubcommands(backy))]

/** All words of the command line; a test compares it with the commands. */
export const grammar = Argv.grammar(root, {
  init: Argv.grammar(init),
  backup: Argv.grammar(backup),
  restore: Argv.grammar(restore),
  nbd: Argv.grammar(nbd),
  mount: Argv.grammar(mount),
  status: Argv.grammar(status),
  find: Argv.grammar(find),
  verify: Argv.grammar(verify),
  distrust: Argv.grammar(distrust),
  forget: Argv.grammar(forget),
  tags: Argv.grammar(Tags.group, {
    set: Argv.grammar(set),
    add: Argv.grammar(add),
    remove: Argv.grammar(remove)
  }),
  expire: Argv.grammar(expire),
  diff: Argv.grammar(diff),
  purge: Argv.grammar(purge),
  upgrade: Argv.grammar(upgrade),
  reports: Argv.grammar(Reports.group, {
    list: Argv.grammar(list),
    show: Argv.grammar(show),
    delete: Argv.grammar(deleteReport)
  }),
  scheduler: Argv.grammar(scheduler),
  check: Argv.grammar(check),
  jobs: Argv.grammar(jobs)
})

/** What the library asks for to parse options of kinds that are not used here, and for its wizard. */
const unused = Layer.mergeAll(
  FileSystem.layerNoop({}),
  Path.layer,
  Layer.mock(PlatformTerminal.Terminal, {})
)

/**
 * Runs a command line (without the program's name) and gives its exit code. All errors have been printed then; only an
 * interrupt still fails it. `layerOf` makes what the commands work with; it is not called for `--help`.
 */
export const run = <E extends KnownError>(
  argv: ReadonlyArray<string>,
  layerOf: (globals: Globals) => Layer.Layer<Services, E>
): Effect.Effect<number> =>
  Effect.gen(function*() {
    const terminal = yield* Terminal
    const console = yield* Effect.console
    const lost = notUtf8(argv)
    if (lost !== undefined) return yield* new Argv.CommandLineInvalid({ reason: lost })
    const request = yield* Argv.parse(grammar, argv)
    if (request.wants !== "run") {
      yield* tell(request)
      yield* terminal.settled
      return EXIT.done
    }
    const finished = yield* Finished.Finished
    const command = backy.pipe(
      Command.transformHandler((handler, options) =>
        Option.isSome(options.log) ? Effect.tapErrorCause(handler, logFailure) : handler
      ),
      Command.provide((options) => layerOf(globalsOf(options, request))),
      Command.transformHandler(Effect.withConsole(console))
    )
    yield* Command.run(command, { name: "backy", version: pkg.version })(["node", "backy", ...request.words]).pipe(
      Effect.catchIf(ValidationError.isValidationError, (error) => invalid(error, request.commands)),
      // the library prints what is invalid itself, and not as a sentence
      Effect.withConsole({ ...console, error: () => Effect.void })
    )
    yield* Effect.catchAll(terminal.settled, (error) =>
      finished.outcome() === undefined
        ? error
        : Console.error(`backy: all is done, but not all of the report could be printed: ${printable(error.message)}`))
    return EXIT.done
  }).pipe(
    Effect.provide(unused),
    Effect.catchAllCause((cause) =>
      Cause.isInterruptedOnly(cause)
        ? Effect.interrupt
        : report(cause, argv)
    )
  )

/** Answers what is asked about backy itself. */
const tell = Effect.fnUntraced(function*({ command, commands, shell, wants }: Argv.Request) {
  if (wants === "version") return yield* Output.lines([`backy ${pkg.version}`])
  if (wants === "help") return yield* Output.lines(Help.page(commands, command, pkg.version))
  const Completions = yield* load(() => import("./completions.ts"))
  const known = Completions.shells.find((one) => one === shell)
  if (known === undefined) {
    const reason = `there are completions for ${Completions.shells.join(", ")}, not for "${shell}"`
    return yield* new Argv.CommandLineInvalid({ reason })
  }
  yield* Output.text([Completions.script(known, grammar)])
})

const globalsOf = (
  options: Effect.Effect.Success<typeof root>,
  { commands: [command], words }: Argv.Request
): Globals => ({
  command: command ?? "backy",
  directory: resolve(options.directory),
  log: Option.getOrUndefined(Option.map(options.log, absolute)),
  plugins: Plugins.pathsIn(Option.getOrUndefined(options.plugin)).map((path) => resolve(path)),
  verbose: options.verbose,
  isServer: command === "scheduler" || ((command === "nbd" || command === "mount") && !words.includes("--run"))
})

/** What the library says in its own words. */
const phrases: ReadonlyArray<readonly [RegExp, string]> = [
  [/^Expected to find option: '(.*)'$/, "option $1 is missing"],
  [/^Missing argument <(.*)>$/, "$1 is missing"],
  [/^Received unknown argument: '(.*)'$/s, "there is one word too many: $1"]
]

const invalid = (error: ValidationError.ValidationError, commands: ReadonlyArray<string>) => {
  const text = stripVTControlCharacters(HelpDoc.toAnsiText(error.error)).trim()
  const sentence = phrases.reduce((said, [pattern, ours]) => said.replace(pattern, ours), text)
  return new Argv.CommandLineInvalid({ reason: `${sentence} (see ${["backy", ...commands, "--help"].join(" ")})` })
}

/** With -l the log file tells of the end, too. */
const logFailure = (cause: Cause.Cause<KnownError | ValidationError.ValidationError>) =>
  Cause.isInterruptedOnly(cause)
    ? Effect.logWarning("interrupted")
    : Effect.forEach(ending(cause, { verbose: false }).lines, (line) => Effect.logError(line), { discard: true })

/** Whether a command line means `check`, also one that cannot be understood. */
const isCheck = (argv: ReadonlyArray<string>): boolean => argv.find((word) => grammar.commands.has(word)) === "check"

const report = (cause: Cause.Cause<KnownError>, argv: ReadonlyArray<string>) => {
  const unknown = isCheck(argv) ? checkEnding(cause) : undefined
  if (unknown !== undefined) return Effect.as(Output.lines(unknown.lines), unknown.code)
  const { code, lines } = ending(cause, { verbose: argv.includes("-v") || argv.includes("--verbose") })
  return Effect.as(lines.length === 0 ? Effect.void : Console.error(lines.join("\n")), code)
}
