/**
 * A revision: one VM's image at one point in time. What `<id>.rev` says of it; the bytes are named by its chunk map.
 */
import * as Data from "effect/Data"
import * as DateTime from "effect/DateTime"
import * as Either from "effect/Either"
import * as Order from "effect/Order"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import { maybe, word } from "./field.ts"
import * as PlainRevision from "./plainRevision.ts"
import { isRevisionId, RevisionId } from "./RevisionId.ts"
import * as Timestamp from "./Timestamp.ts"
import * as Yaml from "./Yaml.ts"

export { fromRandom, isRevisionId, RevisionId } from "./RevisionId.ts"

/** The metadata of a revision cannot be understood. Its map and chunks must be left alone until somebody looked. */
export class RevisionInvalid extends Data.TaggedError("RevisionInvalid")<{
  readonly reason: string
  /** What it says, where it is of version 3 of the format, which `upgrade` alone reads: in the words of version 4. */
  readonly alpha?: Revision
}> {
  override get message() {
    return `the revision's metadata is not readable: ${this.reason}`
  }
}

/** How the image is stored: in chunks or as a file of ours, in chunks or as a file of the ancestor's. */
export const BackendType = word("chunked-v4", "cowfile-v4", "chunked", "cowfile")
export type BackendType = typeof BackendType.Type

/** How far a revision is believed; `Trust` has the rules. */
export const TrustLevel = word("trusted", "distrusted", "verified")
export type TrustLevel = typeof TrustLevel.Type

/** Why a revision is distrusted: chunks on disk are wrong, its source had other bytes, or somebody said so. */
export const DistrustReason = word("damaged", "source-mismatch", "manual")
export type DistrustReason = typeof DistrustReason.Type

/** What an operator took although it is no ordinary backup: a source that had lost its content. */
export const Accepted = Schema.Literal("shrink").annotations({
  message: () => ({ message: "expected shrink", override: true })
})
export type Accepted = typeof Accepted.Type

const Anything = Schema.Record({ key: Schema.String, value: Schema.Unknown })
const Count = Schema.Number.pipe(Schema.int(), Schema.nonNegative())
const Bytes = Count.annotations({ description: "bytes" })

const Digest = Schema.String.pipe(Schema.pattern(/^[0-9a-f]{64}$/)).annotations({
  message: () => ({ message: "expected 64 lower-case hex digits", override: true })
})

/** When and why trust was lost. */
export const Distrust = Schema.Struct({
  reason: DistrustReason,
  at: Schema.DateTimeUtcFromSelf,
  /** Names of the chunks that are bad, sorted. */
  chunks: Schema.Array(Schema.String),
  /** How many more are bad, at least, than `chunks` lists. */
  more: maybe(Count)
}, Anything)
export type Distrust = typeof Distrust.Type

/** What the verification after the backup compared with the source. */
export const Verification = Schema.Struct({
  kind: Schema.String,
  compared: Count,
  of: Count,
  /** Where a rotating verification goes on next time. */
  cursor: maybe(Count)
}, Anything)
export type Verification = typeof Verification.Type

/** Figures of the run: `duration` in seconds marks a complete revision, others may be added by anybody. */
const Stats = Schema.Struct({
  bytes_written: maybe(Schema.Number.pipe(Schema.finite(), Schema.nonNegative())),
  duration: maybe(Schema.Number.pipe(Schema.finite()))
}, Anything)
export type Stats = typeof Stats.Type

/** One revision. Immutable: `update` makes a changed copy. An optional field that is not known is absent. */
export class Revision extends Schema.Class<Revision>("Revision")({
  id: RevisionId,
  backendType: BackendType,
  timestamp: Schema.DateTimeUtcFromSelf,
  /** The part of the timestamp below a millisecond, as the ancestor wrote it; kept for the next rewrite. */
  microseconds: maybe(Schema.Number.pipe(Schema.int(), Schema.between(0, 999))),
  /** The revision before this one; for older readers, nothing of ours relies on it. */
  parent: Schema.NullOr(RevisionId),
  /** Sorted, each once. */
  tags: Schema.Array(Schema.String),
  trust: TrustLevel,
  stats: Stats,
  /** Bytes of the image. */
  size: maybe(Bytes),
  /** BLAKE3 of the whole map file, hex. */
  mapDigest: maybe(Digest),
  verifiedAt: maybe(Schema.DateTimeUtcFromSelf),
  distrust: maybe(Distrust),
  verification: maybe(Verification),
  /** That its source had lost content, and that somebody accepted it; `LostContent` and `Retention` have the rules. */
  accepted: maybe(Accepted),
  /** Keys of the file that this version does not know. They survive a rewrite. */
  unknown: maybe(Anything)
}) {
  /** Whether the backup ran to its end. Nothing but the next backup's clean-up acts on others by default. */
  get isComplete(): boolean {
    return this.stats.duration !== undefined
  }

  /** Whether the image is a file, and not made of chunks. */
  get isImage(): boolean {
    return this.backendType === "cowfile" || this.backendType === "cowfile-v4"
  }

  /** Whether its content is as the ancestor wrote it: without hashes that can be relied on. */
  get isLegacy(): boolean {
    return this.backendType === "chunked" || this.backendType === "cowfile"
  }

  /** Whether it is `trusted` or `verified`: what every rule means by trusted. */
  get isTrusted(): boolean {
    return this.trust !== "distrusted"
  }
}

type Fields = ConstructorParameters<typeof Revision>[0]

/** The fields of a revision, where `undefined` stands for an absent optional one. */
type LooseFields = { readonly [K in keyof Fields]: {} extends Pick<Fields, K> ? Fields[K] | undefined : Fields[K] }

/** A revision of these fields. Tags are sorted and made unique. */
export const make = (fields: LooseFields): Revision =>
  // What `LooseFields` allows beyond `Fields` is undefined, and that is what is dropped.
  new Revision({ ...withoutUndefined(fields) as Fields, tags: sortedTags(fields.tags) })

/** A copy with some fields replaced; `undefined` removes an optional one. Tags are sorted and made unique. */
export const update = (revision: Revision, changes: Partial<LooseFields>): Revision =>
  // A required field cannot be undefined in `Partial` under exactOptionalPropertyTypes, so none gets lost.
  make(Object.assign({}, revision, changes) as LooseFields)

/** Tags as revisions hold them: sorted, each once. */
export const sortedTags = (tags: Iterable<string>): ReadonlyArray<string> => Array.from(new Set(tags)).sort()

/** The order of history: by time, to the microsecond; the id decides between equals. */
const order: Order.Order<Revision> = Order.combineAll([
  Order.mapInput(Order.number, (revision: Revision) => DateTime.toEpochMillis(revision.timestamp)),
  Order.mapInput(Order.number, (revision: Revision) => revision.microseconds ?? 0),
  Order.mapInput(Order.string, (revision: Revision): string => revision.id)
])

/** Revisions as a history: oldest first, each id once. */
export const history = (revisions: Iterable<Revision>): ReadonlyArray<Revision> =>
  Array.from(new Map(Array.from(revisions, (revision) => [revision.id, revision])).values()).sort(order)

/** An instant as the file has it, to the microsecond. */
const Instant = Schema.transformOrFail(
  Schema.Unknown,
  Schema.declare((value): value is Timestamp.Instant => Timestamp.isInstant(value)),
  {
    strict: true,
    decode: (value, _, ast) => {
      const text = value instanceof Timestamp.Timestamp ? value.text : value
      const instant = typeof text === "string" ? Timestamp.parse(text) : undefined
      return instant === undefined
        ? ParseResult.fail(
          new ParseResult.Type(ast, value, "expected an instant with its zone, as 2025-03-04 02:10:00Z")
        )
        : ParseResult.succeed(instant)
    },
    encode: (instant) => ParseResult.succeed(Timestamp.format(instant.at, instant.microseconds))
  }
)

/** The keys of the file, and what is meant when older versions of the ancestor left one out. */
const OnDisk = Schema.Struct({
  uuid: RevisionId,
  backend_type: Schema.optionalWith(BackendType, { default: () => "cowfile", exact: true }),
  timestamp: Instant,
  parent: maybe(Schema.NullOr(Schema.String)),
  // nobody writes these keys with nothing behind them: lines are missing
  tags: maybe(Schema.Array(Schema.NonEmptyString)),
  trust: Schema.optionalWith(TrustLevel, { default: () => "trusted", exact: true }),
  stats: maybe(Stats),
  size: maybe(Bytes),
  map_digest: maybe(Digest),
  verified_at: maybe(Instant),
  distrust: maybe(Schema.Struct({ ...Distrust.fields, at: Instant }, Anything)),
  verification: maybe(Verification),
  accepted: maybe(Accepted)
}, Anything)

const decodeOnDisk = Schema.decodeUnknownEither(OnDisk)

/**
 * Reads the text of a `.rev` file, of any age. Never throws; whether the id is the one that the file is named by is
 * for the repository to say.
 */
export const decodeYaml = (text: string): Either.Either<Revision, RevisionInvalid> => {
  const plain = PlainRevision.read(text)
  return plain === undefined ? parseYaml(text) : Either.right(make(plain))
}

/** The same, always by the parser. */
export const parseYaml = (text: string): Either.Either<Revision, RevisionInvalid> =>
  Yaml.parse(text, { timestamps: true }).pipe(
    Either.mapLeft(([problem]) => new RevisionInvalid({ reason: `line ${problem.line}: ${problem.message}` })),
    Either.flatMap((parsed) =>
      Either.mapLeft(decodeOnDisk(parsed.value), (error) => new RevisionInvalid({ reason: sentence(error) }))
    ),
    Either.map(({
      accepted,
      backend_type,
      distrust,
      map_digest,
      parent,
      size,
      stats,
      tags,
      timestamp,
      trust,
      uuid,
      verification,
      verified_at,
      ...unknown
    }) =>
      make({
        id: uuid,
        backendType: backend_type,
        timestamp: timestamp.at,
        microseconds: timestamp.microseconds === 0 ? undefined : timestamp.microseconds,
        // The ancestor's oldest ids have another form. It only points backwards, so it must not cost the revision.
        parent: isRevisionId(parent) ? parent : null,
        tags: tags ?? [],
        trust,
        stats: stats ?? {},
        size,
        mapDigest: map_digest,
        verifiedAt: verified_at?.at,
        distrust: distrust && { ...distrust, at: distrust.at.at },
        verification,
        accepted,
        unknown: Object.keys(unknown).length === 0 ? undefined : unknown
      })
    )
  )

/** The text of a `.rev` file, as the ancestor would write it: sorted keys, block style, no parent as `''`. */
export const encodeYaml = (revision: Revision): string =>
  Yaml.stringify(withoutUndefined({
    ...revision.unknown,
    uuid: revision.id,
    backend_type: revision.backendType,
    timestamp: Timestamp.format(revision.timestamp, revision.microseconds),
    parent: revision.parent ?? "",
    tags: revision.tags,
    trust: revision.trust,
    stats: withoutUndefined(revision.stats),
    size: revision.size,
    map_digest: revision.mapDigest,
    verified_at: revision.verifiedAt && Timestamp.format(revision.verifiedAt),
    distrust: revision.distrust &&
      withoutUndefined({ ...revision.distrust, at: Timestamp.format(revision.distrust.at) }),
    verification: revision.verification && withoutUndefined(revision.verification),
    accepted: revision.accepted
  }))

const withoutUndefined = (record: object): object =>
  Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined))

/** The first issue as "key: what is wrong", never longer than a line on a terminal or two. */
const sentence = (error: ParseResult.ParseError): string => {
  const [issue] = ParseResult.ArrayFormatter.formatErrorSync(error)
  if (issue === undefined || issue.path.length === 0) return "expected keys and values"
  const text = `${issue.path.join(".")}: ${issue.message}`
  return text.length > 200 ? `${text.slice(0, 200)}…` : text
}
