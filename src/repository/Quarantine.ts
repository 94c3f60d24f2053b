/**
 * Evidence: `quarantine/<id>.report` says which blocks were wrong, `quarantine/chunks/<hash>` holds their contents.
 * Bounded: contents of at most 1 GiB, oldest go first; reports stay until somebody deletes them.
 */
import type * as FileSystem from "@effect/platform/FileSystem"
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as ParseResult from "effect/ParseResult"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import { isRevisionId, RevisionId } from "../domain/RevisionId.ts"
import * as Yaml from "../domain/Yaml.ts"
import * as BlockFile from "../platform/BlockFile.ts"
import * as DigestLine from "../platform/digestLine.ts"
import * as Durable from "../platform/Durable.ts"
import * as Files from "../platform/Files.ts"
import * as Hash from "../platform/hash.ts"
import { freshId } from "./freshId.ts"
import { Repository } from "./Repository.ts"

/** How many bytes of contents one repository keeps. */
const MAX_CONTENT_BYTES = 1024 ** 3
/** How many blocks one report lists; it counts the others. */
const MAX_BLOCKS = 1000
const MAX_REPORT_BYTES = 4 * 1024 * 1024
const SUFFIX = ".report"
const WORD = "# digest "
/** The keys of a report that backy 2.5 wrote: no other one may lack its digest. */
const LEGACY_KEYS = ["uuid", "source_hash", "target_hash", "offset", "timestamp", "traceback"]

/** A block of a report. Hashes name contents in `quarantine/chunks`, as far as those were kept. */
const ReportedBlock = Schema.Struct({
  offset: Schema.optional(Schema.Number),
  chunk: Schema.optional(Schema.String),
  why: Schema.String,
  source_hash: Schema.optional(Schema.NullOr(Schema.String)),
  target_hash: Schema.optional(Schema.NullOr(Schema.String)),
  contents: Schema.optional(Schema.Array(Schema.String))
})

/** One report, with the keys it has on disk. Reports of upstream have their block's keys at the top. */
export const Report = Schema.Struct({
  uuid: RevisionId,
  timestamp: Schema.String,
  kind: Schema.optionalWith(Schema.Literal("source-mismatch", "damaged"), {
    default: () => "source-mismatch" as const
  }),
  revision: Schema.optional(Schema.String),
  offset: Schema.optional(Schema.Number),
  source_hash: Schema.optional(Schema.String),
  target_hash: Schema.optional(Schema.String),
  traceback: Schema.optional(Schema.String),
  blocks: Schema.optionalWith(Schema.Array(ReportedBlock), { default: () => [] }),
  more_blocks: Schema.optionalWith(Schema.Number, { default: () => 0 })
})
export type Report = typeof Report.Type

/** A block as it is found wrong, with the contents that are to be kept. */
export interface Finding {
  readonly offset?: number
  readonly chunk?: string
  readonly why: string
  readonly sourceHash?: string | null
  readonly storedHash?: string | null
  readonly contents: ReadonlyArray<Uint8Array>
}

/** There is no report of that name, or it cannot be read. */
export class ReportUnusable
  extends Data.TaggedError("ReportUnusable")<{ readonly id: string; readonly reason: string }>
{
  override get message() {
    return `report ${this.id}: ${this.reason}`
  }
}

const paths = Effect.map(Repository, ({ directory }) => ({
  reports: `${directory}/quarantine`,
  contents: `${directory}/quarantine/chunks`
}))

/**
 * Writes a report. Failing to write evidence never changes the result of the operation that found it: problems are
 * logged. Returns the report's id, if it could be written.
 */
export const record = (
  report: {
    readonly kind: "source-mismatch" | "damaged"
    readonly revision: string
    readonly findings: ReadonlyArray<Finding>
  }
): Effect.Effect<
  Option.Option<RevisionId>,
  never,
  Repository | FileSystem.FileSystem | BlockFile.BlockFile
> =>
  Effect.gen(function*() {
    const { contents, reports } = yield* paths
    yield* Files.ensureDirectory(reports, 0o750)
    yield* Files.ensureDirectory(contents, 0o750)
    yield* makeRoom(contents, report.findings)
    const blocks = yield* Effect.forEach(report.findings.slice(0, MAX_BLOCKS), (finding) =>
      Effect.map(
        Effect.forEach(finding.contents, (bytes) => keep(contents, bytes)),
        (kept) => ({
          ...(finding.offset === undefined ? {} : { offset: finding.offset }),
          ...(finding.chunk === undefined ? {} : { chunk: finding.chunk }),
          why: finding.why,
          ...(finding.sourceHash === undefined ? {} : { source_hash: finding.sourceHash }),
          ...(finding.storedHash === undefined ? {} : { target_hash: finding.storedHash }),
          ...(kept.length === 0 ? {} : { contents: kept })
        })
      ))
    const uuid = yield* freshId
    const now = DateTime.unsafeMake(yield* Clock.currentTimeMillis)
    const text = Yaml.stringify({
      uuid,
      timestamp: DateTime.formatIso(now),
      kind: report.kind,
      revision: report.revision,
      blocks,
      ...(report.findings.length > MAX_BLOCKS ? { more_blocks: report.findings.length - MAX_BLOCKS } : {})
    })
    yield* Durable.replace(
      `${reports}/${uuid}${SUFFIX}`,
      DigestLine.seal(WORD, new TextEncoder().encode(text)),
      { mode: 0o440 }
    )
    return Option.some(uuid)
  }).pipe(
    Effect.catchTag("IoError", (error) =>
      Effect.as(Effect.logWarning(`evidence could not be kept: ${error.message}`), Option.none<RevisionId>()))
  )

const keep = Effect.fnUntraced(function*(folder: string, bytes: Uint8Array) {
  const name = Hash.toHex(Hash.load().hash(bytes))
  const path = `${folder}/${name}`
  if (!(yield* Files.exists(path))) yield* Durable.replace(path, bytes, { mode: 0o440 })
  return name
})

/** Removes the oldest contents until the new ones fit. */
const makeRoom = Effect.fnUntraced(function*(folder: string, findings: ReadonlyArray<Finding>) {
  const files = yield* BlockFile.BlockFile
  const stats = yield* Effect.forEach(yield* Files.list(folder), (name) => {
    const path = `${folder}/${name}`
    return Effect.map(
      files.lstat(path),
      (stat) => ({ path, size: stat.size, mtime: stat.mtimeNs })
    )
  })
  stats.sort((a, b) => a.mtime < b.mtime ? -1 : a.mtime > b.mtime ? 1 : a.path < b.path ? -1 : 1)
  const wanted = findings.flatMap(({ contents }) => contents).reduce((sum, bytes) => sum + bytes.byteLength, 0)
  let total = stats.reduce((sum, { size }) => sum + size, wanted)
  for (const { path, size } of stats) {
    if (total <= MAX_CONTENT_BYTES) break
    yield* Files.removeIfPresent(path)
    total -= size
  }
})

const listIds = Effect.gen(function*() {
  const { reports } = yield* paths
  const names = yield* Effect.catchIf(Files.list(reports), ({ code }) => code === "ENOENT", () => Effect.succeed([]))
  return names
    .filter((name) => name.endsWith(SUFFIX))
    .map((name) => name.slice(0, -SUFFIX.length))
    .filter(isRevisionId)
})

/** Reads one report. */
export const read = Effect.fn("Quarantine.read")(function*(id: string) {
  const { reports } = yield* paths
  if (!isRevisionId(id)) return yield* new ReportUnusable({ id, reason: "this is no report's id" })
  const bytes = yield* Durable.readSmall(`${reports}/${id}${SUFFIX}`, MAX_REPORT_BYTES).pipe(
    Effect.catchIf(
      ({ code }) => code === "ENOENT",
      () => Effect.fail(new ReportUnusable({ id, reason: "there is no such report" }))
    )
  )
  const opened = DigestLine.open(WORD, bytes)
  if (opened._tag === "Wrong") return yield* new ReportUnusable({ id, reason: opened.reason })
  const { value } = yield* Either.mapLeft(
    Yaml.parse(new TextDecoder().decode(opened._tag === "Whole" ? opened.body : bytes), {
      maxLength: MAX_REPORT_BYTES
    }),
    ([problem]) => new ReportUnusable({ id, reason: `line ${problem.line}: ${problem.message}` })
  )
  if (opened._tag === "Absent" && !isAncestors(value)) {
    return yield* new ReportUnusable({ id, reason: DigestLine.ABSENT })
  }
  return yield* Either.mapLeft(Schema.decodeUnknownEither(Report)(value), (error) => {
    const [issue] = ParseResult.ArrayFormatter.formatErrorSync(error)
    return new ReportUnusable({ id, reason: issue === undefined ? "it is no report" : issue.message })
  })
})

const isAncestors = (value: unknown): boolean =>
  Predicate.isRecord(value) && Object.keys(value).every((key) => LEGACY_KEYS.includes(key))

/** All reports, and the ids of those that cannot be read; oldest first. */
export const list = Effect.fn("Quarantine.list")(function*() {
  const all = yield* Effect.forEach(
    yield* listIds,
    (id) => Effect.map(Effect.either(read(id)), (report) => ({ id, report }))
  )
  return all.sort((a, b) => timeOf(a.report).localeCompare(timeOf(b.report)))
})

const timeOf = (report: Either.Either<Report, unknown>): string => Either.isRight(report) ? report.right.timestamp : ""

/** Removes a report and those contents that no other report names. Fails when there is no such report. */
export const remove = Effect.fn("Quarantine.remove")(function*(id: string) {
  const { contents, reports } = yield* paths
  if (!(yield* listIds).some((known) => known === id)) {
    return yield* new ReportUnusable({ id, reason: "there is no such report" })
  }
  yield* Files.removeIfPresent(`${reports}/${id}${SUFFIX}`)
  const named = new Set(
    (yield* list()).flatMap(({ report }) => Either.isRight(report) ? contentNames(report.right) : [])
  )
  const anyUnreadable = (yield* list()).some(({ report }) => Either.isLeft(report))
  if (anyUnreadable) return
  const names = yield* Effect.catchIf(Files.list(contents), ({ code }) => code === "ENOENT", () => Effect.succeed([]))
  yield* Effect.forEach(
    names.filter((name) => !named.has(name)),
    (name) => Files.removeIfPresent(`${contents}/${name}`),
    {
      discard: true
    }
  )
})

const contentNames = (report: Report): ReadonlyArray<string> => [
  ...report.blocks.flatMap((block) => block.contents ?? []),
  ...(report.source_hash === undefined ? [] : [report.source_hash]),
  ...(report.target_hash === undefined ? [] : [report.target_hash])
]
