/**
 * What the daemon has to remember of its jobs over a restart, besides their repositories: since when a job is
 * configured, how often it failed in a row, when it is tried again, and who keeps its purge waiting. In `BASE/.scheduler.yaml`, whose last line is the
 * digest of all others.
 */
import type * as FileSystem from "@effect/platform/FileSystem"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Yaml from "../domain/Yaml.ts"
import type { BlockFile } from "../platform/BlockFile.ts"
import * as DigestLine from "../platform/digestLine.ts"
import * as Durable from "../platform/Durable.ts"
import { type IoError, isMissing } from "../platform/IoError.ts"

/** Of one job. Instants are milliseconds since 1970. */
export interface JobRecord {
  readonly configuredSince: number
  readonly failures: number
  readonly notBefore: number | undefined
  /** Since when every purge found the lock held, and what the last one said of the holder. */
  readonly purgeBlocked: { readonly since: number; readonly sentence: string } | undefined
}

/** By the job's name. */
export type Records = ReadonlyMap<string, JobRecord>

/** The file is there and says nothing that can be used. */
export class StateUnusable extends Data.TaggedError("StateUnusable")<{
  readonly path: string
  readonly reason: string
}> {
  override get message() {
    return `the scheduler's state ${this.path} cannot be used: ${this.reason}`
  }
}

export class JobState extends Context.Tag("backy/daemon/JobState")<JobState, {
  /** What was saved last; nothing when nothing was. */
  readonly load: Effect.Effect<Records, StateUnusable | IoError>
  /** Replaces it durably. */
  readonly save: (records: Records) => Effect.Effect<void, IoError>
}>() {}

const MAX_BYTES = 16 * 1024 * 1024

const Instant = Schema.String.pipe(Schema.filter((text) => Option.isSome(DateTime.make(text)) || "expected an instant"))

const File = Schema.Struct({
  version: Schema.Literal(1),
  // a list: any name may be a job's, but not a key
  jobs: Schema.Array(Schema.Struct({
    job: Schema.String,
    "configured-since": Instant,
    failures: Schema.Number.pipe(Schema.int(), Schema.nonNegative()),
    "not-before": Schema.optionalWith(Instant, { exact: true }),
    "purge-blocked": Schema.optionalWith(Schema.Struct({ since: Instant, sentence: Schema.String }), { exact: true })
  }))
})

const millis = (text: string): number => DateTime.toEpochMillis(DateTime.unsafeMake(text))
const iso = (at: number): string => new Date(at).toISOString()

/** The text of the file without its digest; one line a job, so that a thousand are written at once and people find theirs. */
export const encode = (records: Records): string =>
  [
    "# Written by backy scheduler; what it remembers over a restart.",
    "version: 1",
    records.size === 0 ? "jobs: []" : "jobs:",
    ...Array.from(records, ([name, { configuredSince, failures, notBefore, purgeBlocked }]) =>
      `- {job: ${JSON.stringify(name)}, configured-since: "${iso(configuredSince)}", failures: ${failures}${
        notBefore === undefined ? "" : `, not-before: "${iso(notBefore)}"`
      }${
        purgeBlocked === undefined
          ? ""
          : `, purge-blocked: {since: "${iso(purgeBlocked.since)}", sentence: ${JSON.stringify(purgeBlocked.sentence)}}`
      }}`),
    ""
  ].join("\n")

/** Reads the text; `path` is for the error. */
export const decode = (text: string, path: string): Either.Either<Records, StateUnusable> =>
  Yaml.parse(text, { maxLength: MAX_BYTES }).pipe(
    Either.mapLeft(([problem]) => `line ${problem.line}: ${problem.message}`),
    Either.flatMap(({ value }) =>
      Either.mapLeft(Schema.decodeUnknownEither(File)(value), () => "it is not what this version writes")
    ),
    Either.map(({ jobs }) =>
      new Map(jobs.map((job) => [job.job, {
        configuredSince: millis(job["configured-since"]),
        failures: job.failures,
        notBefore: job["not-before"] === undefined ? undefined : millis(job["not-before"]),
        purgeBlocked: job["purge-blocked"] === undefined
          ? undefined
          : { since: millis(job["purge-blocked"].since), sentence: job["purge-blocked"].sentence }
      }]))
    ),
    Either.mapLeft((reason) => new StateUnusable({ path, reason }))
  )

const WORD = "# digest "

/** Reads a file; one that is not what was written counts as lost. */
const read = (bytes: Uint8Array, path: string): Either.Either<Records, StateUnusable> => {
  const opened = DigestLine.open(WORD, bytes)
  if (opened._tag === "Whole") return decode(new TextDecoder().decode(opened.body), path)
  const reason = opened._tag === "Wrong" ? opened.reason : DigestLine.ABSENT
  return Either.left(new StateUnusable({ path, reason }))
}

/** The name of the file in the base directory. */
const FILE = ".scheduler.yaml"

/** State in a base directory. */
export const layerFile = (baseDir: string): Layer.Layer<JobState, never, BlockFile | FileSystem.FileSystem> =>
  Layer.effect(
    JobState,
    Effect.map(Effect.context<BlockFile | FileSystem.FileSystem>(), (context) => {
      const path = `${baseDir}/${FILE}`
      return {
        load: Durable.readSmall(path, MAX_BYTES).pipe(
          Effect.flatMap((bytes) => read(bytes, path)),
          Effect.catchIf(
            (error) => error._tag === "IoError" && isMissing(error),
            () => Effect.succeed<Records>(new Map())
          ),
          Effect.provide(context)
        ),
        save: (records) =>
          Durable.replace(path, DigestLine.seal(WORD, new TextEncoder().encode(encode(records))), { mode: 0o640 }).pipe(
            Effect.provide(context)
          )
      }
    })
  )

/** State that survives as long as `cell` does. */
export const layerMemory = (cell: { records: Records }): Layer.Layer<JobState> =>
  Layer.succeed(JobState, {
    load: Effect.sync(() => cell.records),
    save: (records) => Effect.sync(() => void (cell.records = new Map(records)))
  })
