import type { FileSystem } from "@effect/platform/FileSystem"
import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as ChunkMap from "../domain/ChunkMap.ts"
import { counted } from "../domain/counted.ts"
import * as Extent from "../domain/Extent.ts"
import type { RevisionId } from "../domain/RevisionId.ts"
import type { BlockFile } from "../platform/BlockFile.ts"
import type { Devices } from "../platform/Devices.ts"
import type { FileLock, LockHeld } from "../platform/FileLock.ts"
import type { Image } from "../repository/Image.ts"
import * as locks from "../repository/locks.ts"
import { Repository } from "../repository/Repository.ts"
import type { MapUnusable } from "../repository/RepositoryError.ts"
import type * as Protocol from "../store/BlockProtocol.ts"
import { Blocks } from "../store/Blocks.ts"
import { release } from "../store/release.ts"
import * as StoredId from "../store/storedId.ts"
import { type Batch, batches, bytesOf, forEachBatch, heldBy } from "./batch.ts"
import * as Finished from "./Finished.ts"
import { Output, type OutputClosed } from "./Output.ts"
import { Progress } from "./Progress.ts"
import { claim, type Claimed, type TargetFile, writeTo } from "./restoreTarget.ts"
import { RevisionIncomplete, selectOne, type SelectOneError } from "./select.ts"
import type { TargetRefused } from "./TargetRefused.ts"
import { warnOfRevision } from "./warnOfRevision.ts"

/**
 * Blocks read ahead at a time for standard output: they wait in memory for their turn. The content of one alone need
 * not be copied.
 */
const OUTPUT_BATCH = 1

/** Where the image goes: a path, or standard output. */
export type Target = { readonly _tag: "Path"; readonly path: string } | { readonly _tag: "Output" }

/** A part of the image that could not be restored. Bytes. */
export interface Lost extends Extent.Extent {
  readonly chunk: string
  readonly why: string
}

/** What was restored; `size` and `written` in bytes. */
export interface RestoreReport {
  readonly revision: RevisionId
  readonly size: number
  readonly written: number
}

/** Chunks are missing, damaged or unreadable. With `salvaged` everything else was written. */
export class RestoreIncomplete extends Data.TaggedError("RestoreIncomplete")<{
  readonly revision: RevisionId
  readonly lost: ReadonlyArray<Lost>
  readonly salvaged: boolean
}> {
  override get message() {
    const bytes = Extent.totalLength(this.lost)
    const [first] = this.lost
    const where = first === undefined ? "" : ` (chunk ${first.chunk} ${first.why}, image bytes ${first.offset} to ` +
      `${first.offset + first.length - 1})`
    return this.salvaged
      ? `revision ${this.revision} was restored except for ${counted(bytes, "byte")}, now zeros`
      : `revision ${this.revision} cannot be restored whole${where}; --salvage restores all the rest`
  }
}

/** Why an image is not, or not wholly, restored. */
export type RestoreError =
  | TargetRefused
  | RestoreIncomplete
  | RevisionIncomplete
  | MapUnusable
  | OutputClosed
  | LockHeld
  | SelectOneError

/** What a restore works with, to whatever target. */
export type RestoreServices = BlockFile | Blocks | Devices | FileLock | FileSystem | Output | Repository

/**
 * Writes a revision's image to a target, every byte checked against its hash. Succeeds only when all of it is durably
 * there; nothing old remains in the target. Fails with `TargetRefused` before a byte of it is written,
 * `RestoreIncomplete`, `RevisionIncomplete`, `MapUnusable`, `OutputClosed`, `LockHeld`, `SelectOneError`.
 */
export const restore = Effect.fn("restore")(function*(options: {
  readonly revision: string
  readonly target: Target
  /** Allows to overwrite a file or device that holds something. */
  readonly force: boolean
  /** The file or device that the repository backs up, if it does. To restore to it is to roll it back. */
  readonly source?: string | undefined
  /** Leaves zeros where chunks are lost and goes on. */
  readonly salvage: boolean
  readonly wait: Duration.Duration
}): Effect.fn.Return<RestoreReport, RestoreError, RestoreServices | Scope.Scope> {
  // before any lock: which are needed depends on what the target is
  const claimed = options.target._tag === "Output" ? undefined : yield* claim({
    path: options.target.path,
    force: options.force,
    source: options.source
  })
  const isRollback = claimed?._tag === "Existing" && claimed.isImage
  yield* isRollback ? locks.forRecording(options.wait) : locks.forReading(options.wait)
  const repository = yield* Repository
  const revision = yield* selectOne(options.revision)
  if (!revision.isComplete) return yield* new RevisionIncomplete({ id: revision.id })
  yield* warnOfRevision(revision)
  const map = yield* repository.readMap(revision)
  const { lost, written } = claimed === undefined
    ? yield* toOutput(revision.id, map, options.salvage)
    : yield* toFile(revision.id, map, claimed, options.salvage)
  if (lost.length > 0) {
    lost.sort((a, b) => a.offset - b.offset)
    return yield* new RestoreIncomplete({ revision: revision.id, lost, salvaged: true })
  }
  return { revision: revision.id, size: map.size, written }
}, Effect.scoped)

/** Where in the image bad chunks are. */
export const lostOf = (map: Image, bad: ReadonlyArray<Protocol.BadChunk>): Array<Lost> =>
  bad.map(({ id, index, why }) => ({
    offset: index * map.chunkSize,
    length: ChunkMap.chunkLength(map, index),
    chunk: StoredId.nameOf(id),
    why
  }))

/** Without salvage the first lost chunk ends it. */
const accept = (revision: RevisionId, lost: ReadonlyArray<Lost>, salvage: boolean) =>
  lost.length > 0 && !salvage ? new RestoreIncomplete({ revision, lost, salvaged: false }) : Effect.void

const toFile = (
  revision: RevisionId,
  map: Image,
  claimed: Claimed,
  salvage: boolean
) =>
  writeTo(
    claimed,
    map.size,
    (target) => write(revision, map, target, salvage),
    outcomeOf
  )

const outcomeOf = ({ lost }: { readonly lost: ReadonlyArray<Lost> }): Finished.Outcome =>
  lost.length === 0 ? "done" : "failed"

const write = Effect.fnUntraced(function*(
  revision: RevisionId,
  map: Image,
  target: TargetFile,
  salvage: boolean
) {
  const { directory } = yield* Repository
  const blocks = yield* Blocks
  const progress = yield* Progress
  const lost: Array<Lost> = []
  let written = 0
  const indexes = Array.from({ length: ChunkMap.count(map) }, (_, index) => index)
    .filter((index) => target.zeros === "write" || !ChunkMap.isHole(map, index))
  yield* progress.start("restoring", indexes.reduce((sum, index) => sum + ChunkMap.chunkLength(map, index), 0))
  yield* forEachBatch(map, indexes, (batch) =>
    Effect.gen(function*() {
      const restored = yield* blocks.restore({
        ...heldBy(map, batch),
        repository: directory,
        target: target.file,
        zeros: target.zeros
      })
      written += restored.written
      const missing = lostOf(map, restored.bad)
      lost.push(...missing)
      yield* accept(revision, missing, salvage)
      yield* progress.advance(bytesOf(batch))
    }))
  return { lost, written }
})

/** Whether a single block is nothing but zeros, which need not be fetched from another thread. */
const isHole = (map: Image, { indexes: [index, ...more] }: Batch): boolean =>
  index !== undefined && more.length === 0 && ChunkMap.isHole(map, index)

const toOutput = Effect.fnUntraced(function*(revision: RevisionId, map: Image, salvage: boolean) {
  const { directory } = yield* Repository
  const blocks = yield* Blocks
  const output = yield* Output
  const progress = yield* Progress
  const lost: Array<Lost> = []
  const zeros = new Uint8Array(Math.min(map.chunkSize, map.size))
  yield* progress.start("restoring", map.size)
  const all = Array.from({ length: ChunkMap.count(map) }, (_, index) => index)
  yield* Stream.fromIterable(batches(map, all, OUTPUT_BATCH)).pipe(
    Stream.rechunk(1),
    // read ahead in parallel, written in order
    Stream.mapEffect((batch) =>
      isHole(map, batch)
        ? Effect.succeed({ bytes: zeros.subarray(0, bytesOf(batch)), lost: [] })
        : Effect.map(
          blocks.read({ ...heldBy(map, batch), repository: directory }),
          ({ bad, bytes }) => ({ bytes, lost: lostOf(map, bad) })
        ), { concurrency: blocks.parallelism }),
    Stream.runForEach((read) =>
      Effect.gen(function*() {
        yield* accept(revision, read.lost, salvage)
        lost.push(...read.lost)
        const { byteLength } = read.bytes
        yield* output.write(read.bytes)
        if (read.bytes.buffer !== zeros.buffer) release(read.bytes)
        yield* progress.advance(byteLength)
      })
    )
  )
  // to sync may take long, and can be given up; but not what follows it
  yield* Effect.uninterruptibleMask((restore) =>
    Effect.zipRight(restore(output.finish), Finished.tell(outcomeOf({ lost })))
  )
  return { lost, written: map.size }
})
