import type { FileSystem } from "@effect/platform/FileSystem"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { FreeSpace } from "../config/Settings.ts"
import type { Schedule } from "../domain/JobConfig.ts"
import * as Revision from "../domain/Revision.ts"
import type { RevisionId } from "../domain/RevisionId.ts"
import type { Backend } from "../domain/SourceConfig.ts"
import type { BlockFile } from "../platform/BlockFile.ts"
import type { FileLock, LockHeld } from "../platform/FileLock.ts"
import type { IoError } from "../platform/IoError.ts"
import { freshId } from "../repository/freshId.ts"
import type { History } from "../repository/History.ts"
import type { Image } from "../repository/Image.ts"
import * as locks from "../repository/locks.ts"
import { now } from "../repository/now.ts"
import { Repository } from "../repository/Repository.ts"
import type { RepositoryMissing } from "../repository/RepositoryError.ts"
import { Source, type SourceChanged, type SourceNotReady } from "../source/Source.ts"
import type { Blocks, SourceShrank } from "../store/Blocks.ts"
import type { ChunkStore } from "../store/ChunkStore.ts"
import { findBase, findDifference } from "./base.ts"
import { chunk, type ChunkReport } from "./chunk.ts"
import { chunkChanges } from "./chunkChanges.ts"
import { compare, type CompareReport } from "./compare.ts"
import { compareAgain } from "./compareAgain.ts"
import { compareSamples, type Rotation, type VerificationTooSlow } from "./compareSamples.ts"
import { cowImage } from "./cowImage.ts"
import { distrustLine } from "./distrustLine.ts"
import * as Finished from "./Finished.ts"
import { type FloorReached, requireFloor, tellOfRoom } from "./freeSpaceFloor.ts"
import { heal, retrust } from "./heal.ts"
import { withoutIncomplete } from "./leftovers.ts"
import { judge, type SourceLostContent } from "./lostContent.ts"
import { refuse, reportHealed, type VerificationFailed } from "./mismatch.ts"
import type { SpaceLacking } from "./room.ts"
import { snapshot, type Taken } from "./snapshot.ts"
import { requireKnownTags, type TagsUnknown } from "./tags.ts"
import { warnOfClock } from "./warnOfClock.ts"

/** The new revision and what it took. Sizes in bytes. */
export interface BackupReport {
  readonly revision: Revision.Revision
  readonly base: RevisionId | undefined
  readonly chunks: Omit<ChunkReport, "map">
  readonly compared: Omit<CompareReport, "differences">
}

/** Why no revision was made. */
export type BackupError =
  | TagsUnknown
  | FloorReached
  | SpaceLacking
  | SourceNotReady
  | SourceLostContent
  | SourceChanged
  | SourceShrank
  | VerificationFailed
  | VerificationTooSlow
  | LockHeld
  | RepositoryMissing
  | IoError

/** What a backup works with. */
export type BackupServices = BlockFile | Blocks | ChunkStore | FileLock | FileSystem | Repository | Source

/**
 * Makes a new revision: succeeds if and only if a new, complete, durable and verified one exists. Fails with
 * `TagsUnknown`, `FloorReached`, `SpaceLacking`, `SourceNotReady`, `SourceLostContent`, `SourceChanged`, `SourceShrank`,
 * `VerificationFailed`, `VerificationTooSlow`, `LockHeld`, `RepositoryMissing`, `IoError`; then nothing older was harmed and the next backup needs no hand.
 */
export const backup = Effect.fn("backup")(function*(options: {
  readonly tags: ReadonlyArray<string>
  readonly schedule: Schedule
  /** Accepts tags that the schedule does not know, and begins where there may be too little room to convert a base. */
  readonly force: boolean
  /** Takes a source that has lost its content. */
  readonly acceptShrink?: boolean
  /** How much must be free on the repository's disk for a backup to begin. Default: nothing. */
  readonly freeSpaceFloor?: FreeSpace
  /**
   * In how many backups, or in which time, every block of a source that is compared by samples is to be compared once.
   * Default: 30 backups.
   */
  readonly verifyRotation?: number | Duration.Duration
  /** How the revision is kept: as chunks, which is the default, or as an image file. */
  readonly backend?: Backend
  /** How long to wait for another process that holds the repository's locks. */
  readonly wait: Duration.Duration
}): Effect.fn.Return<BackupReport, BackupError, BackupServices | Scope.Scope> {
  const source = yield* Source
  if (!options.force) yield* requireKnownTags(options.tags, options.schedule)
  yield* locks.forBackup(options.wait)
  // what it finds is still so when the snapshot is made: nothing is waited for in between
  yield* source.check
  if (options.freeSpaceFloor !== undefined) yield* requireFloor(options.freeSpaceFloor)
  const started = yield* Clock.currentTimeNanos
  const { history, removed } = yield* withoutIncomplete
  const id = yield* freshId
  const repository = yield* Repository
  const at = yield* now
  yield* warnOfClock(history.complete, at)
  const incomplete = Revision.make({
    id,
    backendType: options.backend === "cowfile" ? "cowfile-v4" : "chunked-v4",
    timestamp: at,
    parent: history.complete.at(-1)?.id ?? null,
    tags: Revision.sortedTags(options.tags),
    trust: "trusted",
    stats: {}
  })
  yield* repository.publish(incomplete)
  const runs = runsOf(options.verifyRotation ?? 30, options.schedule)
  return yield* make(incomplete, {
    history,
    removed,
    started,
    runs,
    force: options.force,
    acceptShrink: options.acceptShrink ?? false
  }).pipe(
    Effect.tapErrorCause((cause) => Cause.isInterruptedOnly(cause) ? Effect.void : tidy(id))
  )
}, (running) => Effect.scoped(Effect.tapError(running, tellOfRoom)))

/** In how many runs a rotation comes round; in a time there are as many as the schedule's shortest interval makes. */
const runsOf = (rotation: number | Duration.Duration, schedule: Schedule): number => {
  if (!Duration.isDuration(rotation)) return rotation
  const shortest = Math.min(...Object.values(schedule).map(({ interval }) => Duration.toMillis(interval)))
  return Number.isFinite(shortest) ? Math.max(1, Math.round(Duration.toMillis(rotation) / shortest)) : 1
}

/** A failed backup takes its traces away as far as it can; the next one does the rest. */
const tidy = (id: RevisionId) =>
  Effect.flatMap(
    Repository,
    (repository) =>
      Effect.catchAll(repository.remove(id), (error) => Effect.logDebug(`left revision ${id}: ${error.message}`))
  )

/** What is known when a revision begins. */
interface Beginning {
  readonly history: History
  /** Revisions that were never completed, and are gone now. */
  readonly removed: ReadonlyArray<RevisionId>
  readonly started: bigint
  /** In how many runs a rotating verification comes round. */
  readonly runs: number
  readonly force: boolean
  readonly acceptShrink: boolean
}

const make = Effect.fnUntraced(
  function*(incomplete: Revision.Revision, { acceptShrink, force, history, removed, runs, started }: Beginning) {
    const repository = yield* Repository
    const taken = yield* snapshot({
      revision: incomplete.id,
      directory: repository.directory,
      complete: history.complete.map(({ id }) => id),
      broken: history.broken.map(({ id }) => id),
      incomplete: removed
    })
    const plausible = yield* judge(history, acceptShrink)
    yield* plausible.size(taken.size)
    yield* heal(history, taken)
    const whole = yield* retrust(history)
    const current = { ...history, complete: replaced(history.complete, whole) }
    const { complete } = current
    const { content } = taken
    const asImage = incomplete.backendType === "cowfile-v4" && content._tag === "Readable"
    if (incomplete.backendType === "cowfile-v4" && !asImage) {
      yield* Effect.logWarning(
        "backend: cowfile is for files and block devices; this source's revisions are kept as chunks"
      )
    }
    const { base, chunks: { map, ...chunks }, finish, image, touched } = asImage
      ? yield* cowImage({ id: incomplete.id, content, size: taken.size, complete })
      : yield* asChunks(incomplete.id, taken, complete, force)
    yield* plausible.content(map)
    const { differences, ...compared } = yield* compareWith(incomplete.id, taken, image, touched, {
      previous: complete.findLast((revision) => revision.isTrusted)?.verification,
      runs
    })
    yield* reportHealed(incomplete.id, compared.healed)
    if (differences.length > 0) {
      if (content._tag === "Changes") {
        // that it cannot be written down does not make it less so
        yield* Effect.catchAll(
          distrustLine(complete, base, map, differences),
          (error) => Effect.logWarning(`older revisions were not distrusted, although they should be: ${error.message}`)
        )
      }
      return yield* refuse(incomplete.id, map.chunkSize, differences)
    }
    const mapDigest = yield* finish

    const seconds = Number((yield* Clock.currentTimeNanos) - started) / 1e9
    const revision = Revision.update(incomplete, {
      backendType: asImage ? "cowfile-v4" : "chunked-v4",
      size: map.size,
      mapDigest,
      stats: {
        duration: seconds,
        bytes_written: chunks.writtenBytes,
        bytes_stored: chunks.storedBytes,
        chunks_written: chunks.written,
        chunks_found: chunks.found,
        chunks_unchanged: chunks.unchanged
      },
      verification: compared.verification,
      accepted: plausible.accepted() ? "shrink" : undefined
    })
    // from here on the revision exists, and nothing that still happens may make this look like a failure
    yield* Effect.uninterruptible(Effect.zipRight(
      Effect.zipRight(Finished.lastly(repository.publish(revision)), taken.published),
      Effect.catchAllCause(
        retrust(current),
        (cause) => Effect.logWarning("older revisions were not looked at again", cause)
      )
    ))
    return { revision, base: base?.revision.id, chunks, compared } satisfies BackupReport
  }
)

const replaced = (
  revisions: ReadonlyArray<Revision.Revision>,
  by: ReadonlyArray<Revision.Revision>
): ReadonlyArray<Revision.Revision> => revisions.map((revision) => by.find(({ id }) => id === revision.id) ?? revision)

/** What a snapshot has, in chunks, with its map published; the base on which it was built; which chunks were made anew. */
const asChunks = Effect.fnUntraced(function*(
  id: RevisionId,
  taken: Taken,
  complete: ReadonlyArray<Revision.Revision>,
  force: boolean
) {
  const repository = yield* Repository
  const { base, touched, ...chunks } = yield* store(id, taken, complete, force)
  const mapDigest = yield* repository.publishMap(id, chunks.map)
  return { base, chunks, touched, image: chunks.map, finish: Effect.succeed(mapDigest) }
})

const store = Effect.fnUntraced(function*(
  run: RevisionId,
  taken: Taken,
  complete: ReadonlyArray<Revision.Revision>,
  force: boolean
) {
  const { content, size } = taken
  if (content._tag === "Readable") {
    const base = yield* findBase(complete)
    return { base, ...(yield* chunk({ size, content, base: base?.map, run })), touched: new Set<number>() }
  }
  const { base, changes } = yield* findDifference(content, complete, run, force)
  return { base, ...(yield* chunkChanges({ size, changes, second: content.second, base: base?.map, run })) }
})

/** A second reading of the source, of whatever kind it offers. */
const compareWith = (
  run: RevisionId,
  { content }: Taken,
  map: Image,
  touched: ReadonlySet<number>,
  rotation: Rotation
) => {
  if (content._tag === "Readable") return compare(content, map)
  const { second } = content
  return second._tag === "Samples"
    ? compareSamples({ samples: second, map, touched, run, rotation })
    : compareAgain(second, map)
}
