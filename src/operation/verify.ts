import * as Data from "effect/Data"
import type * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as ChunkId from "../domain/ChunkId.ts"
import * as ChunkMap from "../domain/ChunkMap.ts"
import { counted } from "../domain/counted.ts"
import * as IdSet from "../domain/IdSet.ts"
import type { Revision } from "../domain/Revision.ts"
import type { RevisionId } from "../domain/RevisionId.ts"
import * as Trust from "../domain/Trust.ts"
import * as Durable from "../platform/Durable.ts"
import type { IoError } from "../platform/IoError.ts"
import type { Image } from "../repository/Image.ts"
import * as locks from "../repository/locks.ts"
import { now } from "../repository/now.ts"
import * as Quarantine from "../repository/Quarantine.ts"
import { Repository } from "../repository/Repository.ts"
import type { MapUnusable } from "../repository/RepositoryError.ts"
import type * as Protocol from "../store/BlockProtocol.ts"
import { Blocks } from "../store/Blocks.ts"
import * as ChunkFile from "../store/chunkFile.ts"
import { maxFrameLength } from "../store/codec.ts"
import * as LegacyFile from "../store/legacy/legacyFile.ts"
import * as StoredId from "../store/storedId.ts"
import { forEachBatch, heldBy } from "./batch.ts"
import { MAX_EVIDENCE } from "./compare.ts"
import { syncDoubted } from "./heal.ts"
import { Progress } from "./Progress.ts"
import { RevisionIncomplete, select, type Selection } from "./select.ts"

/**
 * What was found out about one revision. `unreadable`: I/O errors, which prove nothing about the content.
 * `unverifiable`: an image of backy 2.5, all of which could be read, but there is nothing to compare it with.
 */
export interface Verdict {
  readonly revision: RevisionId
  readonly state: "verified" | "damaged" | "unreadable" | "map-unusable" | "source-mismatch" | "unverifiable"
  /** Byte ranges of the image that are lost, and why. */
  readonly lost: ReadonlyArray<{ readonly offset: number; readonly length: number; readonly why: string }>
  readonly reason?: string
}

/** The outcome of a verification. */
export interface VerifyReport {
  readonly verdicts: ReadonlyArray<Verdict>
  /** Distinct chunks that were read, and their bytes before compression. */
  readonly chunks: number
  readonly bytes: number
}

/** `verify` found damage. Nothing was deleted; the report says what is lost. */
export class DamageFound extends Data.TaggedError("DamageFound")<{ readonly report: VerifyReport }> {
  override get message() {
    const bad = this.report.verdicts.filter(({ state }) => !isWhole(state))
    return `${bad.length} of ${counted(this.report.verdicts.length, "revision")} ${
      bad.length === 1 ? "is" : "are"
    } not whole: ` +
      `${bad.map(({ revision, state }) => `${revision} (${state})`).join(", ")}; ` +
      "the next backup stores again what the source still has, backy restore --salvage saves the rest"
  }
}

/** Whether all that could be checked was right. */
const isWhole = (state: Verdict["state"]): boolean => {
  switch (state) {
    case "verified":
    case "source-mismatch":
    case "unverifiable":
      return true
    case "damaged":
    case "unreadable":
    case "map-unusable":
      return false
  }
}

interface Examined {
  readonly revision: Revision
  readonly map: Either.Either<Image, MapUnusable | IoError>
}

/** What is wrong with chunks, by id, and with the blocks of image files, by revision. */
interface Wrong {
  readonly chunks: Map<string, Protocol.BadChunk>
  readonly blocks: Map<RevisionId, ReadonlyArray<Protocol.BadChunk>>
}

/**
 * Reads what is stored for some revisions again and checks it against its hashes: every chunk once, however many
 * revisions name it. Destroys nothing. Whole revisions become verified; revisions with damaged or missing chunks become
 * distrusted, all of them that name such a chunk. Fails with `DamageFound` when anything is not whole, `LockHeld` when
 * the result could not be recorded, `RevisionIncomplete`, `RepositoryMissing`, `IoError` and what selecting fails with.
 */
export const verify = Effect.fn("verify")(function*(options: {
  readonly revisions: Selection
  readonly wait: Duration.Duration
}) {
  const found = yield* Effect.scoped(Effect.gen(function*() {
    yield* locks.forReading(options.wait)
    const revisions = yield* select(options.revisions)
    const incomplete = revisions.find((revision) => !revision.isComplete)
    if (incomplete !== undefined) return yield* new RevisionIncomplete({ id: incomplete.id })
    return yield* examine(revisions)
  }))
  const report = yield* Effect.scoped(Effect.gen(function*() {
    yield* Effect.tapErrorTag(locks.forRecording(options.wait), "LockHeld", () => tellUnrecorded(found))
    return yield* recordFindings(found)
  }))
  if (report.verdicts.some(({ state }) => !isWhole(state))) {
    return yield* new DamageFound({ report })
  }
  return report
})

/** Publishes a verdict. On a read-only copy the verdict stands all the same, it is only not written down. */
const record = (revision: Revision) =>
  Effect.flatMap(Repository, (repository) => repository.publish(revision)).pipe(
    Effect.catchIf((error) => error.code === "EROFS", () =>
      Effect.logWarning(`revision ${revision.id} is on a read-only file system: the result is not recorded`))
  )

type Found = Effect.Effect.Success<ReturnType<typeof examine>>

/** The reading may have taken hours: what it found is told even if it cannot be recorded. */
const tellUnrecorded = ({ bad }: Found) =>
  Effect.forEach(
    bad.chunks.values(),
    ({ id, why }) => Effect.logWarning(`not recorded: chunk ${StoredId.nameOf(id)} ${why}`),
    { discard: true }
  )

const examine = Effect.fnUntraced(function*(revisions: ReadonlyArray<Revision>) {
  const repository = yield* Repository
  const blocks = yield* Blocks
  const progress = yield* Progress
  const examined = yield* Effect.forEach(
    revisions,
    (revision) => Effect.map(Effect.either(repository.readMap(revision)), (map): Examined => ({ revision, map }))
  )
  const seen = IdSet.make()
  const bad: Wrong = { chunks: new Map(), blocks: new Map() }
  const parts: Array<{ readonly id: RevisionId; readonly image: Image; readonly fresh: ReadonlyArray<number> }> = []
  let total = 0
  for (const { map, revision } of examined) {
    if (Either.isLeft(map)) continue
    const image = map.right
    const fresh: Array<number> = []
    for (let index = 0; index < ChunkMap.count(image); index++) {
      // what lies in an image file lies nowhere else
      if (image.path !== undefined || seen.add(image.ids, index * ChunkId.BYTES)) fresh.push(index)
    }
    parts.push({ id: revision.id, image, fresh })
    total += fresh.reduce((sum, index) => sum + ChunkMap.chunkLength(image, index), 0)
  }
  yield* progress.start("checking", total)
  let bytes = 0
  for (const { fresh, id, image } of parts) {
    yield* forEachBatch(
      image,
      fresh,
      (batch) =>
        blocks.check({ ...heldBy(image, batch), repository: repository.directory }).pipe(
          Effect.flatMap((checked) => {
            bytes += checked.good
            note(bad, id, image, checked.bad)
            return progress.advance(checked.good)
          })
        )
    )
  }
  return { examined, bad, bytes, chunks: seen.size }
})

const note = (wrong: Wrong, revision: RevisionId, image: Image, found: ReadonlyArray<Protocol.BadChunk>): void => {
  if (found.length === 0) return
  if (image.path !== undefined) wrong.blocks.set(revision, [...wrong.blocks.get(revision) ?? [], ...found])
  else for (const chunk of found) wrong.chunks.set(chunk.id, chunk)
}

/** With the locks held all is looked at once more: what was found may have been healed or removed meanwhile. */
const recordFindings = Effect.fnUntraced(function*(found: Found) {
  const repository = yield* Repository
  const at = yield* now
  const history = yield* repository.history
  for (const { path, reason } of history.broken) yield* Effect.logWarning(`not verified: ${path}: ${reason}`)
  const bad = yield* stillBad(found)
  const proven = new Set([...bad.chunks.values()].filter(({ state }) => state !== "unreadable").map(({ id }) => id))

  if (proven.size > 0) {
    yield* keepEvidence(bad.chunks, found.examined)
    const ids = setOf(proven)
    // revisions that were not asked for lose the same chunks
    for (const revision of history.complete) {
      const map = yield* Effect.either(repository.readMap(revision))
      if (Either.isLeft(map) || map.right.path !== undefined) continue
      const chunks = indexesOf(map.right, ids).map((index) => StoredId.nameOf(ChunkMap.idAt(map.right, index) ?? ""))
      if (chunks.length > 0) yield* record(Trust.distrust(revision, { reason: "damaged", at, chunks }))
    }
  }

  const verdicts: Array<Verdict> = []
  for (const { map, revision } of found.examined) {
    const current = history.complete.find(({ id }) => id === revision.id)
    if (current === undefined) continue
    if (Either.isLeft(map)) {
      verdicts.push(yield* judgeWithoutMap(current, map.left, at))
      continue
    }
    const lost = lostRanges(current.id, map.right, bad)
    if (lost.length > 0) {
      const damaged = lost.some(({ state }) => state !== "unreadable")
      if (damaged && map.right.path !== undefined) {
        yield* record(Trust.distrust(current, { reason: "damaged", at }))
      }
      verdicts.push({ revision: revision.id, state: damaged ? "damaged" : "unreadable", lost })
      continue
    }
    if (map.right.path !== undefined && current.mapDigest === undefined) {
      verdicts.push({ revision: revision.id, state: "unverifiable", lost: [] })
      continue
    }
    const verified = Trust.verify(current, at)
    if (!current.isTrusted && verified.isTrusted) yield* syncDoubted(current)
    yield* record(verified)
    verdicts.push({
      revision: revision.id,
      state: verified.trust === "verified" ? "verified" : "source-mismatch",
      lost: []
    })
  }
  return { verdicts, chunks: found.chunks, bytes: found.bytes } satisfies VerifyReport
})

/** A map that could not be read is looked at again; only one that is wrong both times costs the revision its trust. */
const judgeWithoutMap = Effect.fnUntraced(function*(
  revision: Revision,
  first: MapUnusable | IoError,
  at: DateTime.Utc
) {
  const repository = yield* Repository
  const again = yield* Effect.either(repository.readMap(revision))
  const isWrong = first._tag === "MapUnusable" && Either.isLeft(again) && again.left._tag === "MapUnusable"
  if (isWrong) yield* record(Trust.distrust(revision, { reason: "damaged", at }))
  const reason = Either.isLeft(again) ? again.left.message : `${first.message}, but could be read the second time`
  return { revision: revision.id, state: isWrong ? "map-unusable" : "unreadable", lost: [], reason } satisfies Verdict
})

const stillBad = Effect.fnUntraced(function*(found: Found) {
  const { directory } = yield* Repository
  const blocks = yield* Blocks
  const bad: Wrong = { chunks: new Map(), blocks: new Map() }
  const ids = setOf(found.bad.chunks.keys())
  for (const { map, revision } of found.examined) {
    if (Either.isLeft(map)) continue
    const image = map.right
    const indexes = image.path === undefined
      ? indexesOf(image, ids).filter((index) => !bad.chunks.has(ChunkMap.idAt(image, index) ?? ""))
      : found.bad.blocks.get(revision.id)?.map(({ index }) => index) ?? []
    yield* forEachBatch(
      image,
      indexes,
      (batch) =>
        Effect.map(
          blocks.check({ ...heldBy(image, batch), repository: directory }),
          (checked) => note(bad, revision.id, image, checked.bad)
        )
    )
  }
  return bad
})

/** Packed, since maps are compared with it chunk by chunk. */
const setOf = (hexes: Iterable<string>): IdSet.IdSet => {
  const ids = IdSet.make()
  for (const hex of hexes) ids.add(Buffer.from(hex, "hex"), 0)
  return ids
}

const indexesOf = (map: ChunkMap.ChunkMap, wanted: IdSet.IdSet): ReadonlyArray<number> => {
  const indexes: Array<number> = []
  for (let index = 0; index < ChunkMap.count(map); index++) {
    if (wanted.has(map.ids, index * ChunkId.BYTES)) indexes.push(index)
  }
  return indexes
}

const lostRanges = (revision: RevisionId, map: Image, bad: Wrong) => {
  const blocks = map.path !== undefined
    ? bad.blocks.get(revision) ?? []
    : bad.chunks.size === 0
    ? []
    : indexesOf(map, setOf(bad.chunks.keys())).flatMap((index) => {
      const chunk = bad.chunks.get(ChunkMap.idAt(map, index) ?? "")
      return chunk === undefined ? [] : [{ ...chunk, index }]
    })
  return blocks.map(({ index, state, why }) => ({
    state,
    offset: index * map.chunkSize,
    length: ChunkMap.chunkLength(map, index),
    why
  }))
}

/** Copies the bad files; they stay in place until a good one is renamed over them. */
const keepEvidence = Effect.fnUntraced(function*(
  bad: ReadonlyMap<string, Protocol.BadChunk>,
  examined: ReadonlyArray<Examined>
) {
  const { directory } = yield* Repository
  const findings: Array<Quarantine.Finding> = []
  for (const { id, state, why } of bad.values()) {
    const legacy = StoredId.legacyName(id)
    const paths = legacy === undefined ? [ChunkFile.pathOf(directory, id)] : LegacyFile.pathsOf(directory, legacy)
    // the first few files are evidence enough, and bounded
    const raw = state === "damaged" && findings.length < MAX_EVIDENCE
      ? yield* Effect.option(Effect.firstSuccessOf(
        paths.map((path) => Durable.readSmall(path, maxFrameLength(ChunkMap.CHUNK_SIZE)))
      ))
      : Option.none()
    findings.push({ chunk: StoredId.nameOf(id), why, contents: Option.toArray(raw) })
  }
  yield* Quarantine.record({
    kind: "damaged",
    revision: examined.map(({ revision }) => revision.id).join(" "),
    findings
  })
})
