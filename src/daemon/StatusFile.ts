/**
 * The status file: a YAML list with what the daemon knows of each job. The only thing that the daemon and the commands
 * `check` and `jobs` share.
 */
import type * as FileSystem from "@effect/platform/FileSystem"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import { JobStatus, JobStatuses } from "../domain/JobStatus.ts"
import * as Yaml from "../domain/Yaml.ts"
import * as BlockFile from "../platform/BlockFile.ts"
import * as Durable from "../platform/Durable.ts"
import { type IoError, isMissing } from "../platform/IoError.ts"

/** There is no status file, or none that can be read. */
export class StatusUnusable extends Data.TaggedError("StatusUnusable")<{
  readonly path: string
  readonly reason: string
}> {
  override get message() {
    return `the status file ${this.path} ${this.reason}`
  }
}

/** Ten thousand jobs. */
const MAX_BYTES = 8 * 1024 * 1024

const encodeStatus = Schema.encodeSync(JobStatus)

/** What a plain scalar may look like in every version of YAML without being taken for something else. */
const PLAIN = /^[A-Za-z][A-Za-z0-9_./-]*( [A-Za-z(][A-Za-z0-9_.()/-]*)*$/
const WORDS = /^(y|n|yes|no|on|off|true|false|null|nan|inf)$/i
const INSTANT = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?\+00:00$/

const scalar = (key: string, value: string | number | null | undefined): string => {
  if (typeof value !== "string") return value === undefined ? "null" : String(value)
  if (INSTANT.test(value) && key !== "job") return value
  return PLAIN.test(value) && !WORDS.test(value) ? value : JSON.stringify(value)
}

/** One job, as block YAML; written by hand, because a thousand jobs twice a minute must cost next to nothing. */
export const encodeJob = (status: JobStatus): string =>
  Object.entries(encodeStatus(status)).map(([key, value]) => `${key}: ${scalar(key, value)}\n`).sort()
    .map((line, index) => `${index === 0 ? "- " : "  "}${line}`).join("")

/** The text of the file from the blocks of its jobs. */
export const join = (blocks: ReadonlyArray<string>): string => blocks.length === 0 ? "[]\n" : blocks.join("")

/** The text of the file. */
export const encode = (statuses: Iterable<JobStatus>): string => join(Array.from(statuses, encodeJob))

/** Reads the text; the reason when it is no status file. */
export const decode = (text: string): Either.Either<ReadonlyArray<JobStatus>, string> =>
  Yaml.parse(text, { maxLength: MAX_BYTES }).pipe(
    Either.mapLeft(([problem]) => `is no YAML: line ${problem.line}: ${problem.message}`),
    Either.filterOrLeft(({ value }) => Array.isArray(value), () => "is none that backy writes: it has no list of jobs"),
    Either.flatMap(({ value }) =>
      Either.mapLeft(Schema.decodeUnknownEither(JobStatuses)(value), (error) => {
        const [issue] = ParseResult.ArrayFormatter.formatErrorSync(error)
        return `is none that backy writes: ${issue?.path.map(String).join(".") ?? ""}: ${issue?.message ?? ""}`
      })
    )
  )

/** A status file that was read. */
export interface StatusFile {
  readonly jobs: ReadonlyArray<JobStatus>
  /** When it was written, in milliseconds since 1970. */
  readonly writtenAt: number
}

/** Reads a status file. Fails with `StatusUnusable` when it is not there or not what the daemon writes. */
export const read = Effect.fn("StatusFile.read")(
  function*(path: string): Effect.fn.Return<StatusFile, StatusUnusable | IoError, BlockFile.BlockFile> {
    const files = yield* BlockFile.BlockFile
    const unusable = (reason: string) => new StatusUnusable({ path, reason })
    const missing = unusable("is not there: the scheduler does not run, or writes another one")
    const [stat, bytes] = yield* Effect.all([files.lstat(path), Durable.readSmall(path, MAX_BYTES)]).pipe(
      Effect.catchIf(isMissing, () => missing)
    )
    const jobs = yield* Either.mapLeft(decode(new TextDecoder().decode(bytes)), unusable)
    return { jobs, writtenAt: Number(stat.mtimeNs / 1_000_000n) }
  }
)

/** Replaces a status file; everybody may read it. */
export const write = (
  path: string,
  bytes: Uint8Array
): Effect.Effect<void, IoError, BlockFile.BlockFile | FileSystem.FileSystem> =>
  Durable.replace(path, bytes, { mode: 0o644 })
