/** Generators of the domain's values, shared by all tests. */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as FastCheck from "effect/FastCheck"
import * as Redacted from "effect/Redacted"
import * as ChunkMap from "../../src/domain/ChunkMap.ts"
import type { Extent } from "../../src/domain/Extent.ts"
import type { JobConfig, Schedule } from "../../src/domain/JobConfig.ts"
import type { LocalInstant, Precision } from "../../src/domain/LocalInstant.ts"
import type {
  BackendType,
  Distrust,
  DistrustReason,
  Revision,
  RevisionId,
  TrustLevel
} from "../../src/domain/Revision.ts"
import { fromRandom, history as toHistory, make, sortedTags } from "../../src/domain/Revision.ts"
import type { RangeEnd, Reference, RevisionSpec } from "../../src/domain/RevisionSpec.ts"
import type { Backend, CephRbdSource, FileSource, FlyingCircusSource } from "../../src/domain/SourceConfig.ts"

const optional = <A>(arbitrary: FastCheck.Arbitrary<A>): FastCheck.Arbitrary<A | undefined> =>
  FastCheck.option(arbitrary, { nil: undefined })

const hex = (digits: number): FastCheck.Arbitrary<string> =>
  FastCheck.string({
    minLength: digits,
    maxLength: digits,
    unit: FastCheck.constantFrom(..."0123456789abcdef".split(""))
  })

/** Any revision id. */
const revisionId: FastCheck.Arbitrary<RevisionId> = FastCheck.uint8Array({ minLength: 16, maxLength: 16 }).map(
  fromRandom
)

/** An instant, by default between 2000 and 2040. */
export const instant = (
  range: { readonly min?: string; readonly max?: string } = {}
): FastCheck.Arbitrary<DateTime.Utc> =>
  FastCheck.integer({
    min: Date.parse(range.min ?? "2000-01-01T00:00:00Z"),
    max: Date.parse(range.max ?? "2040-01-01T00:00:00Z")
  }).map((millis) => DateTime.unsafeMake(millis))

/** Names that schedules use, few enough to collide. */
const tag: FastCheck.Arbitrary<string> = FastCheck.constantFrom(
  "hourly",
  "daily",
  "weekly",
  "monthly",
  "nightly",
  "manual:foo",
  "manual:before-upgrade"
)

/** Any text that YAML could be tempted to read as something else. */
export const awkwardText: FastCheck.Arbitrary<string> = FastCheck.oneof(
  FastCheck.constantFrom(
    "=",
    "<<",
    "yes",
    "no",
    "on",
    "off",
    "y",
    "n",
    "~",
    "null",
    "true",
    "1",
    "0x1f",
    "010",
    "1_000",
    "1:30",
    "1e3",
    ".5",
    ".nan",
    "2025-03-04",
    "2025-03-04 02:10:00+00:00",
    "a: b",
    "a #b",
    "- a",
    "'",
    "\"",
    "&a",
    "*a",
    "!a",
    "%a",
    "@a",
    "`a`",
    "[",
    "{",
    "a\nb",
    " a ",
    "ä€😀",
    "key:",
    "?",
    "x".repeat(200) + " y"
  ),
  FastCheck.string({ minLength: 1 })
).filter((text) => !/(?!\n)\p{Cc}/u.test(text))

const bytes = FastCheck.maxSafeNat()
const seconds = FastCheck.double({ min: 0, max: 1e6, noNaN: true, noDefaultInfinity: true }).map((value) => value + 0)

const distrust: FastCheck.Arbitrary<Distrust> = FastCheck.record({
  reason: FastCheck.constantFrom<Array<DistrustReason>>("damaged", "source-mismatch", "manual"),
  at: instant(),
  chunks: FastCheck.array(hex(64), { maxLength: 4 }).map(sortedTags)
})

/** What the revisions of a history may be like. */
export interface RevisionOptions {
  readonly tag?: FastCheck.Arbitrary<string>
  readonly timestamp?: FastCheck.Arbitrary<DateTime.Utc>
}

const isoInstant = instant().map(DateTime.formatIso)

/** Any revision: complete or not, of any trust and kind, with whatever may be absent sometimes absent. */
export const revision = (options: RevisionOptions = {}): FastCheck.Arbitrary<Revision> =>
  FastCheck.record({
    id: revisionId,
    backendType: FastCheck.constantFrom<Array<BackendType>>("chunked-v4", "cowfile-v4", "chunked", "cowfile"),
    timestamp: options.timestamp ?? instant(),
    microseconds: optional(FastCheck.integer({ min: 1, max: 999 })),
    parent: FastCheck.option(revisionId),
    tags: FastCheck.uniqueArray(options.tag ?? tag, { maxLength: 3 }).map(sortedTags),
    trust: FastCheck.constantFrom<Array<TrustLevel>>("trusted", "trusted", "verified", "distrusted"),
    isComplete: FastCheck.integer({ min: 0, max: 5 }).map((n) => n > 0),
    duration: seconds,
    bytesWritten: optional(bytes),
    size: optional(bytes),
    mapDigest: optional(hex(64)),
    at: instant(),
    distrust: optional(distrust),
    accepted: FastCheck.integer({ min: 0, max: 4 }).map((n) => n === 0 ? "shrink" as const : undefined),
    counts: optional(FastCheck.record({
      bytes_stored: bytes,
      chunks_found: FastCheck.nat(),
      chunks_unchanged: FastCheck.nat(),
      chunks_written: FastCheck.nat()
    })),
    verification: optional(FastCheck.record({
      kind: FastCheck.constantFrom("full", "samples"),
      compared: FastCheck.nat(),
      of: FastCheck.nat(),
      cursor: FastCheck.nat(),
      rotation_started: isoInstant,
      fully_compared: isoInstant
    }, { requiredKeys: ["kind", "compared", "of"] }))
  }).map(({ at, bytesWritten, counts, distrust, duration, isComplete, ...fields }) =>
    make({
      ...fields,
      stats: {
        ...(bytesWritten === undefined ? {} : { bytes_written: bytesWritten }),
        ...counts,
        ...(isComplete ? { duration } : {})
      },
      verifiedAt: fields.trust === "verified" ? at : undefined,
      distrust: fields.trust === "distrusted" ? distrust : undefined
    })
  )

/** Revisions in the order of history. */
export const history = (
  options: RevisionOptions & { readonly minLength?: number; readonly maxLength?: number } = {}
): FastCheck.Arbitrary<ReadonlyArray<Revision>> =>
  FastCheck.array(revision(options), { minLength: options.minLength ?? 0, maxLength: options.maxLength ?? 12 }).map(
    toHistory
  )

/** Dates as revision specs have them, of every precision, with and without a zone. */
const localInstant: FastCheck.Arbitrary<LocalInstant> = FastCheck.record({
  precision: FastCheck.constantFrom<Array<Precision>>("day", "minute", "second", "millisecond"),
  millis: instant({ min: "2020-01-01T00:00:00Z", max: "2030-01-01T00:00:00Z" }).map(DateTime.toEpochMillis),
  offset: optional(FastCheck.integer({ min: -1439, max: 1439 }))
}).map(({ millis, offset, precision }) => {
  const unit: Record<Precision, number> = { day: 86_400_000, minute: 60_000, second: 1000, millisecond: 1 }
  return { precision, wall: millis - millis % unit[precision], offset: precision === "day" ? undefined : offset }
})

/** Any revision spec whose names are among `names`; they must not be keywords, numbers or dates. */
export const revisionSpec = (
  names: FastCheck.Arbitrary<string> = FastCheck.oneof(tag, revisionId)
): FastCheck.Arbitrary<RevisionSpec> => {
  const reference: FastCheck.Arbitrary<Reference> = FastCheck.oneof(
    names.map((name): Reference => ({ _tag: "Name", name })),
    FastCheck.nat({ max: 12 }).map((number): Reference => ({ _tag: "Number", number })),
    FastCheck.constantFrom<Array<Reference>>({ _tag: "Latest" }, { _tag: "First" })
  )
  const end = FastCheck.oneof(reference, localInstant.map((date): RangeEnd => ({ _tag: "Date", date })))
  const leaf: FastCheck.Arbitrary<RevisionSpec> = FastCheck.oneof(
    reference,
    FastCheck.constantFrom<Array<RevisionSpec>>({ _tag: "All" }, { _tag: "Clean" }),
    tag.map((tag): RevisionSpec => ({ _tag: "Tagged", tag })),
    FastCheck.constantFrom<Array<TrustLevel>>("trusted", "verified", "distrusted").map(
      (trust): RevisionSpec => ({ _tag: "Trusted", trust })
    ),
    FastCheck.record({ from: optional(end), to: optional(end) }).map((ends): RevisionSpec => ({
      _tag: "Range",
      ...ends
    }))
  )
  const { spec } = FastCheck.letrec<{ spec: RevisionSpec }>((tie) => ({
    spec: FastCheck.oneof(
      { depthSize: "small", withCrossShrink: true },
      leaf,
      FastCheck.record({
        _tag: FastCheck.constantFrom<Array<"Not" | "Reverse" | "FirstOf" | "LastOf">>(
          "Not",
          "Reverse",
          "FirstOf",
          "LastOf"
        ),
        of: tie("spec")
      }),
      FastCheck.record({
        _tag: FastCheck.constantFrom<Array<"And" | "Or">>("And", "Or"),
        parts: FastCheck.array(tie("spec"), { minLength: 2, maxLength: 3 })
      })
    )
  }))
  return spec
}

/** Schedules over a few tags, with short and long intervals. */
export const schedule = (
  names: FastCheck.Arbitrary<string> = FastCheck.constantFrom("hourly", "daily", "weekly", "monthly")
): FastCheck.Arbitrary<Schedule> =>
  FastCheck.dictionary(
    names,
    FastCheck.record({
      interval: FastCheck.oneof(
        FastCheck.constantFrom(3600, 86_400, 604_800, 2_592_000),
        FastCheck.integer({ min: 1, max: 10_000_000 })
      ).map((seconds) => Duration.seconds(seconds)),
      keep: FastCheck.integer({ min: 1, max: 6 })
    }),
    { maxKeys: 4, noNullPrototype: true }
  )

/** Extents that touch, overlap, repeat and are empty often enough. */
export const extents = (
  limit = 64
): FastCheck.Arbitrary<ReadonlyArray<Extent>> =>
  FastCheck.array(
    FastCheck.record({
      offset: FastCheck.integer({ min: 0, max: limit }),
      length: FastCheck.integer({ min: 0, max: limit >> 2 })
    }),
    { maxLength: 8 }
  )

/** Maps with small chunks, holes and repetitions; the size is rarely a multiple of the chunk. */
export const chunkMap = (
  options: { readonly chunkSize?: number; readonly maxChunks?: number } = {}
): FastCheck.Arbitrary<ChunkMap.ChunkMap> => {
  const chunkSize = options.chunkSize ?? 512
  return FastCheck.record({
    size: FastCheck.integer({ min: 0, max: chunkSize * (options.maxChunks ?? 12) }),
    seeds: FastCheck.infiniteStream(FastCheck.integer({ min: 0, max: 6 }))
  }).map(({ seeds, size }) => {
    const map = ChunkMap.empty(size, chunkSize)
    for (let index = 0; index < ChunkMap.count(map); index++) {
      const seed: number = seeds.next().value
      // Seed 0 leaves a hole; the others make ids that share their first bytes, as hashes never would.
      if (seed > 0) ChunkMap.setIds(map, index, new Uint8Array(32).fill(seed, seed % 2 === 0 ? 16 : 0))
    }
    return map
  })
}

const plainName: FastCheck.Arbitrary<string> = FastCheck.string({
  minLength: 1,
  maxLength: 20,
  unit: FastCheck.constantFrom(..."abcXYZ019._ äß€:#'\"{}[]*&!|>%@`,-?".split(""))
})

const commonOfSources = {
  backend: FastCheck.constantFrom<Array<Backend>>("chunked", "cowfile"),
  cow: FastCheck.boolean()
}

const rbd = {
  pool: plainName.filter((name) => !/^-|[/@]/.test(name)),
  image: plainName.filter((name) => !/^-|[/@]/.test(name)),
  fullAlways: FastCheck.boolean(),
  ...commonOfSources
}

/** Sources of the types that come with backy; the token, if there is one, is `s3cret` and more. */
const source: FastCheck.Arbitrary<FileSource | CephRbdSource | FlyingCircusSource> = FastCheck.oneof(
  FastCheck.record(
    { type: FastCheck.constant("file" as const), filename: plainName.map((name) => `../${name}`), ...commonOfSources },
    { requiredKeys: ["type", "filename"] }
  ),
  FastCheck.record(
    { type: FastCheck.constant("ceph-rbd" as const), ...rbd },
    { requiredKeys: ["type", "pool", "image"] }
  ),
  FastCheck.record(
    {
      type: FastCheck.constant("flyingcircus" as const),
      vm: plainName,
      consulAclToken: hex(8).map((digits) => Redacted.make(`s3cret-${digits}`)),
      ...rbd
    },
    { requiredKeys: ["type", "vm", "pool", "image"] }
  )
)

/** Jobs as their config files have them. */
export const jobConfig: FastCheck.Arbitrary<JobConfig> = FastCheck.record({ source, schedule: schedule() })
