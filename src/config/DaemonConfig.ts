/**
 * The daemon's config file: global settings, schedules by name, and all jobs.
 */
import * as Either from "effect/Either"
import * as ParseResult from "effect/ParseResult"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import { hint } from "../domain/closest.ts"
import { maybe, orNothing, text, wholeNumber } from "../domain/field.ts"
import { type JobConfig, JobName, Schedule } from "../domain/JobConfig.ts"
import { builtIn, type SourceConfig, sourceSchema, type SourceType } from "../domain/SourceConfig.ts"
import * as Yaml from "../domain/Yaml.ts"
import type { ConfigInvalid } from "./ConfigError.ts"
import { decodeYaml, type Finding, MAX_LENGTH } from "./decodeYaml.ts"
import type { DecodeOptions } from "./RepositoryConfig.ts"
import * as Settings from "./Settings.ts"

/** One job of the daemon. */
export interface DaemonJob extends JobConfig {
  readonly name: string
  readonly scheduleName: string
}

/** What the daemon runs by. */
export interface DaemonConfig extends Omit<Global, keyof Settings.Settings | "statusFile"> {
  readonly statusFile: string
  readonly settings: Settings.Settings
  readonly schedules: { readonly [name: string]: Schedule }
  /** Sorted by name. */
  readonly jobs: ReadonlyArray<DaemonJob>
}

const addresses = Schema.transformOrFail(Schema.Unknown, Schema.Array(Schema.String), {
  strict: true,
  decode: (input, _, ast) => {
    const list = typeof input === "string" ? input.split(",").map((address) => address.trim()) : input
    return Schema.is(Schema.NonEmptyArray(Schema.NonEmptyTrimmedString))(list)
      ? ParseResult.succeed(list)
      : ParseResult.fail(new ParseResult.Type(ast, input, "expected addresses, separated by commas"))
  },
  encode: ParseResult.succeed
})

const orElse = <A, I>(schema: Schema.Schema<A, I>, value: NoInfer<A>) =>
  Schema.optionalWith(schema, { exact: true, default: () => value })

/** They are handed on in one variable, and no directory is current that they could be relative to. */
const pluginPath = Schema.String.pipe(
  Schema.filter((path) =>
    /^\/[^:\p{Cc}]+$/u.test(path) ||
    `expected the absolute path of a module, without a colon, got "${path.slice(0, 40)}"`
  )
)

const fileName = text("the name of a file").pipe(
  Schema.filter((name) => !name.includes("/") && name !== "." && name !== "..", {
    message: () => ({ message: "expected the name of a file in base-dir, without a slash", override: true })
  })
)

/** What `global` may say. */
export const Global = Schema.Struct({
  baseDir: orElse(text("a directory"), "/srv/backy").pipe(Schema.fromKey("base-dir")),
  /** A file in it, without which nothing is started. */
  baseMarker: maybe(orNothing(fileName)).pipe(Schema.fromKey("base-marker")),
  /** Jobs that run at the same time, in each of the two pools. */
  workerLimit: orElse(wholeNumber(1, 1000), 1).pipe(Schema.fromKey("worker-limit")),
  statusFile: maybe(orNothing(text("a file"))).pipe(Schema.fromKey("status-file")),
  /** Seconds. `check` takes a status file for stale after five minutes, so that two writes may fail. */
  statusInterval: orElse(wholeNumber(1, 120), 30).pipe(Schema.fromKey("status-interval")),
  telnetAddresses: orElse(addresses, ["127.0.0.1", "::1"]).pipe(Schema.fromKey("telnet-addrs")),
  telnetPort: orElse(wholeNumber(1, 65_535), 6023).pipe(Schema.fromKey("telnet-port")),
  /** A program that is run after each backup, with the job's name. */
  backupCompletedCallback: maybe(orNothing(text("a program"))).pipe(Schema.fromKey("backup-completed-callback")),
  ...Settings.fields,
  /** Modules that add source types, for the commands that the scheduler runs. */
  plugins: maybe(Schema.Array(pluginPath))
})
type Global = typeof Global.Type

const Job = (source: Schema.Schema<SourceConfig, unknown>) =>
  Schema.Struct({ schedule: text("the name of a schedule"), source })

const File = (sources: ReadonlyArray<SourceType>, foreign: boolean) =>
  Schema.Struct({
    global: maybe(orNothing(Global)),
    schedules: maybe(orNothing(Schema.Record({ key: Schema.String, value: Schedule }))),
    jobs: maybe(orNothing(Schema.Record({ key: JobName, value: Job(sourceSchema(sources, foreign)) })))
  })

/** Whether there may be source types that are known to plug-ins alone: this is asked before the text is understood. */
const namesPlugins = (text: string): boolean =>
  /\bplugins\b/.test(text) && Either.match(Yaml.parse(text, { maxLength: MAX_LENGTH }), {
    onLeft: () => false,
    onRight: ({ value }) => {
      const plugins = recordAt(value, "global")?.["plugins"]
      return Array.isArray(plugins) && plugins.length > 0
    }
  })

/** Reads the text of the daemon's config file. */
export const decode = (
  text: string,
  options: Omit<DecodeOptions, "foreign">
): Either.Either<DaemonConfig, ConfigInvalid> =>
  Either.map(
    decodeYaml({
      file: options.file,
      text,
      // the daemon loads no plug-ins: its children do, and judge their sources themselves
      schema: File(options.sources ?? builtIn, namesPlugins(text)),
      check
    }),
    ({ global, jobs = {}, schedules = {} }) => {
      const {
        backupCompletedCallback,
        baseDir,
        baseMarker,
        statusFile = defaultStatusFile(baseDir),
        statusInterval,
        telnetAddresses,
        telnetPort,
        workerLimit,
        ...settings
      } = global ?? Schema.decodeUnknownSync(Global)({})
      return {
        baseDir,
        baseMarker,
        workerLimit,
        statusFile,
        statusInterval,
        telnetAddresses,
        telnetPort,
        backupCompletedCallback,
        settings,
        schedules,
        jobs: Object.entries(jobs).map(([name, { schedule: scheduleName, source }]): DaemonJob => ({
          name,
          scheduleName,
          source,
          // That every job's schedule is there is what `check` looked for.
          schedule: schedules[scheduleName] ?? {}
        })).sort((a, b) => a.name < b.name ? -1 : 1)
      }
    }
  )

const inside = (directory: string, name: string): string => `${directory.replace(/\/+$/, "")}/${name}`

const defaultStatusFile = (baseDir: string): string => inside(baseDir, "status")

/** What concerns two places of the file at once. Looks at whatever is there, right or wrong. */
const check = (value: unknown): ReadonlyArray<Finding> => {
  const [global, schedules, jobs] = ["global", "schedules", "jobs"].map((key) => recordAt(value, key))
  const baseDir = stringAt(global, "base-dir") ?? "/srv/backy"
  const marker = stringAt(global, "base-marker")
  const statusFile = stringAt(global, "status-file") ?? defaultStatusFile(baseDir)
  const findings: Array<Finding> = []
  for (const name of Object.keys(schedules ?? {})) {
    const tags = recordAt(schedules, name)
    if (tags === undefined || Object.keys(tags).length > 0) continue
    findings.push({ path: ["schedules", name], message: "a schedule without tags backs nothing up" })
  }
  for (const name of Object.keys(jobs ?? {})) {
    const schedule = stringAt(recordAt(jobs, name), "schedule")
    if (schedule !== undefined && !Object.hasOwn(schedules ?? {}, schedule)) {
      const message = `there is no schedule "${schedule}"${hint(schedule, Object.keys(schedules ?? {}))}`
      findings.push({ path: ["jobs", name, "schedule"], message })
    }
    if (name === marker) {
      findings.push({ path: ["jobs", name], message: `the job's directory would be the base-marker, ${marker}` })
    }
    if (inside(baseDir, name) === statusFile) {
      findings.push({ path: ["jobs", name], message: `the job's directory would be the status file, ${statusFile}` })
    }
  }
  return findings
}

const recordAt = (value: unknown, key: string): Record<string, unknown> | undefined => {
  const found = Predicate.isRecord(value) && Object.hasOwn(value, key) ? value[key] : undefined
  // YAML makes records with string keys only.
  return Predicate.isRecord(found) ? found as Record<string, unknown> : undefined
}

const stringAt = (value: Record<string, unknown> | undefined, key: string): string | undefined => {
  const found = value !== undefined && Object.hasOwn(value, key) ? value[key] : undefined
  return typeof found === "string" ? found : undefined
}
