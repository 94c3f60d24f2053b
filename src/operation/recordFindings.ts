import type * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as ChunkMap from "../domain/ChunkMap.ts"
import type { Revision } from "../domain/Revision.ts"
import type { RevisionId } from "../domain/RevisionId.ts"
import * as Trust from "../domain/Trust.ts"
import * as Durable from "../platform/Durable.ts"
import type { IoError } from "../platform/IoError.ts"
import type { Image } from "../repository/Image.ts"
import { now } from "../repository/now.ts"
import * as Quarantine from "../repository/Quarantine.ts"
import { Repository } from "../repository/Repository.ts"
import type { MapUnusable } from "../repository/RepositoryError.ts"
import type * as Protocol from "../store/BlockProtocol.ts"
import * as ChunkFile from "../store/chunkFile.ts"
import * as LegacyFile from "../store/legacy/legacyFile.ts"
import * as StoredId from "../store/storedId.ts"
import { MAX_EVIDENCE } from "./compare.ts"
import { type Examination, type Examined, indexesOf, setOf, stillWrong, type Wrong } from "./examine.ts"
import * as Finished from "./Finished.ts"
import { syncDoubted } from "./heal.ts"

/**
 * What was found out about one revision. `unreadable`: I/O errors, which prove nothing about the content.
 * `unverifiable`: an image of backy 2.5, all of which could be read, but there is nothing to compare it with.
 * `metadata-unusable`: its `.rev` is broken, so there was nothing to check it by; `not-upgraded`: an alpha of 3.0 wrote it.
 */
export interface Verdict {
  readonly revision: RevisionId
  readonly state:
    | "verified"
    | "damaged"
    | "unreadable"
    | "map-unusable"
    | "metadata-unusable"
    | "not-upgraded"
    | "source-mismatch"
    | "unverifiable"
  /** Byte ranges of the image that are lost, and why. */
  readonly lost: ReadonlyArray<{ readonly offset: number; readonly length: number; readonly why: string }>
  readonly reason?: string
}

/** Whether all that could be checked was right. */
export const isWhole = (state: Verdict["state"]): boolean => {
  switch (state) {
    case "verified":
    case "source-mismatch":
    case "unverifiable":
      return true
    case "damaged":
    case "unreadable":
    case "map-unusable":
    case "metadata-unusable":
    case "not-upgraded":
      return false
  }
}

/** What can be said after an examination. */
export interface Findings {
  readonly verdicts: ReadonlyArray<Verdict>
  /** What kept verdicts from being written down; none on a read-only copy, where nobody expects that. */
  readonly unrecorded: IoError | undefined
}

/** Has a revision written down in the end. */
type Record = (revision: Revision) => void

/**
 * Judges what an examination found and writes that down, with the locks held: all that was wrong is looked at once more.
 * Every revision that names a damaged or missing chunk becomes distrusted, asked for or not; whole ones become verified.
 * What cannot be written down is told all the same. Without `write`, and without locks, it only judges. With `broken`,
 * revisions whose metadata cannot be read are judged, too. Fails with `IoError` when what was wrong cannot be looked at.
 */
export const recordFindings = Effect.fn("recordFindings")(function*(
  examination: Examination,
  options: { readonly write: boolean; readonly broken: boolean }
) {
  const repository = yield* Repository
  const at = yield* now
  const history = yield* repository.history
  let unrecorded: IoError | undefined
  const toRecord: Array<Revision> = []
  const record: Record = (revision) => void toRecord.push(revision)
  // never fails: a verdict stands whether or not it is written down
  const write = (revision: Revision) =>
    Effect.catchAll(repository.publish(revision), (error) => {
      if (error.code !== "EROFS") unrecorded ??= error
      return Effect.logWarning(`the result for revision ${revision.id} is not recorded: ${error.message}`)
    })
  const broken = history.broken.map(({ alpha, id, path, reason }): Verdict => ({
    revision: id,
    state: alpha === undefined ? "metadata-unusable" : "not-upgraded",
    lost: [],
    reason: `${path}: ${reason}`
  }))
  if (!options.broken) yield* Effect.forEach(broken, ({ reason }) => Effect.logWarning(`not verified: ${reason}`))
  const wrong = yield* stillWrong(examination)
  if (options.write) yield* distrustOwners(wrong, examination.examined, history.complete, at, record)

  const verdicts: Array<Verdict> = []
  for (const { held, revision } of examination.examined) {
    const current = history.complete.find(({ id }) => id === revision.id)
    if (current === undefined) continue
    const lost = yield* Effect.either(
      Effect.flatMap(held, (place) => lostOf(current, place, wrong))
    )
    verdicts.push(
      Either.isLeft(lost)
        ? yield* judgeWithoutMap(current, lost.left, at, record)
        : yield* judge(current, Either.isRight(held) && held.right.path !== undefined, lost.right, at, record)
    )
  }
  if (options.broken) verdicts.push(...broken)
  yield* Finished.inTurn(options.write ? toRecord.map(write) : [], () => {
    if (!verdicts.every(({ state }) => isWhole(state))) return "failed"
    return options.write && unrecorded === undefined ? "done" : undefined
  })
  return { verdicts, unrecorded } satisfies Findings
})

/** Distrusts all revisions that name a chunk which is proven bad, also those that were not asked for. */
const distrustOwners = Effect.fnUntraced(function*(
  wrong: Wrong,
  examined: ReadonlyArray<Examined>,
  revisions: ReadonlyArray<Revision>,
  at: DateTime.Utc,
  record: Record
) {
  const proven = [...wrong.chunks.values()].filter(({ state }) => state !== "unreadable").map(({ id }) => id)
  if (proven.length === 0) return
  const repository = yield* Repository
  yield* keepEvidence(wrong.chunks, examined)
  const ids = setOf(proven)
  for (const revision of revisions) {
    const read = yield* Effect.option(repository.readMap(revision))
    if (Option.isNone(read) || read.value.path !== undefined) continue
    const image = read.value
    const chunks = indexesOf(image, ids).map((index) => StoredId.nameOf(ChunkMap.idAt(image, index) ?? ""))
    if (chunks.length > 0) record(Trust.distrust(revision, { reason: "damaged", at, chunks }))
  }
})

type Lost = Effect.Effect.Success<ReturnType<typeof lostOf>>

const judge = Effect.fnUntraced(function*(
  revision: Revision,
  inFile: boolean,
  lost: Lost,
  at: DateTime.Utc,
  record: Record
) {
  if (lost.length > 0) {
    const damaged = lost.some(({ state }) => state !== "unreadable")
    if (damaged && inFile) record(Trust.distrust(revision, { reason: "damaged", at }))
    return { revision: revision.id, state: damaged ? "damaged" : "unreadable", lost } satisfies Verdict
  }
  if (inFile && revision.mapDigest === undefined) {
    return { revision: revision.id, state: "unverifiable", lost } satisfies Verdict
  }
  const verified = Trust.verify(revision, at)
  if (!revision.isTrusted && verified.isTrusted) yield* syncDoubted(revision)
  record(verified)
  const state = verified.trust === "verified" ? "verified" : "source-mismatch"
  return { revision: revision.id, state, lost } satisfies Verdict
})

/** A map that could not be read is looked at again; only one that is wrong both times costs the revision its trust. */
const judgeWithoutMap = Effect.fnUntraced(function*(
  revision: Revision,
  first: MapUnusable | IoError,
  at: DateTime.Utc,
  record: Record
) {
  const repository = yield* Repository
  const again = yield* Effect.either(repository.readMap(revision))
  const isWrong = first._tag === "MapUnusable" && Either.isLeft(again) && again.left._tag === "MapUnusable"
  if (isWrong) record(Trust.distrust(revision, { reason: "damaged", at }))
  const reason = Either.isLeft(again) ? again.left.message : `${first.message}, but could be read the second time`
  return { revision: revision.id, state: isWrong ? "map-unusable" : "unreadable", lost: [], reason } satisfies Verdict
})

/** What of an image is lost. A map is read only where chunks are bad. */
const lostOf = Effect.fnUntraced(function*(revision: Revision, held: Pick<Image, "path">, wrong: Wrong) {
  if (held.path === undefined ? wrong.chunks.size === 0 : !wrong.blocks.has(revision.id)) return []
  const image = yield* Effect.flatMap(Repository, (repository) => repository.readMap(revision))
  const blocks = image.path !== undefined
    ? wrong.blocks.get(revision.id) ?? []
    : indexesOf(image, setOf(wrong.chunks.keys())).flatMap((index) => {
      const chunk = wrong.chunks.get(ChunkMap.idAt(image, index) ?? "")
      return chunk === undefined ? [] : [{ ...chunk, index }]
    })
  return blocks.map(({ index, state, why }) => ({
    state,
    offset: index * image.chunkSize,
    length: ChunkMap.chunkLength(image, index),
    why
  }))
})

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
        paths.map((path) => Durable.readSmall(path, ChunkFile.maxFileLength(ChunkMap.CHUNK_SIZE)))
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
