/** Restoring over something that holds most of the image already. */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as ChunkMap from "../domain/ChunkMap.ts"
import type { Revision } from "../domain/Revision.ts"
import type { RevisionId } from "../domain/RevisionId.ts"
import { IoError } from "../platform/IoError.ts"
import type { Image } from "../repository/Image.ts"
import * as locks from "../repository/locks.ts"
import { Repository } from "../repository/Repository.ts"
import * as Mark from "../source/deltaMark.ts"
import { Blocks } from "../store/Blocks.ts"
import { bytesOf, forEachBatch, heldBy } from "./batch.ts"
import * as Finished from "./Finished.ts"
import { type Phase, Progress } from "./Progress.ts"
import { type Lost, lostOf, restore, RestoreIncomplete } from "./restore.ts"
import { checkPlace, checkSize, claim, type Existing, opened } from "./restoreTarget.ts"
import { RevisionIncomplete, selectOne } from "./select.ts"
import { warnOfRevision } from "./warnOfRevision.ts"

/** What was restored, or would be; bytes. */
export interface DeltaReport {
  readonly revision: RevisionId
  /** Of the image. */
  readonly size: number
  /** Written, or with `dryRun` what differs. */
  readonly written: number
  /** Made zeros without writing them. */
  readonly cleared: number
}

/** What passes over the target share. */
interface Work {
  readonly revision: Revision
  readonly image: Image
  readonly claimed: Existing
  readonly salvage: boolean
}

/**
 * Brings blocks of the target to what the revision holds, or only finds out what differs. `keep` bytes at the beginning
 * are left out. Without `salvage` the first lost chunk ends it, and nothing takes its place.
 */
const pass = Effect.fnUntraced(function*(
  { claimed: { file, stat }, image, revision, salvage }: Work,
  phase: Phase,
  indexes: ReadonlyArray<number>,
  options: { readonly dryRun: boolean; readonly keep: number }
) {
  const { directory } = yield* Repository
  const blocks = yield* Blocks
  const progress = yield* Progress
  const differing: Array<number> = []
  const lost: Array<Lost> = []
  const bytes = { written: 0, cleared: 0 }
  yield* progress.start(phase, indexes.reduce((sum, index) => sum + ChunkMap.chunkLength(image, index), 0))
  yield* forEachBatch(image, indexes, (batch) =>
    Effect.gen(function*() {
      const amended = yield* blocks.amend({
        ...heldBy(image, batch),
        ...options,
        repository: directory,
        target: opened(file),
        zeros: stat.kind === "block-device" ? "write" : "punch",
        lost: salvage ? "clear" : "keep"
      })
      differing.push(...amended.differing)
      bytes.written += amended.written
      bytes.cleared += amended.cleared
      lost.push(...lostOf(image, amended.bad))
      if (lost.length > 0 && !salvage) {
        return yield* new RestoreIncomplete({ revision: revision.id, lost, salvaged: false })
      }
      yield* progress.advance(bytesOf(batch))
    }))
  return { ...bytes, lost, differing: differing.sort((a, b) => a - b) }
})

/** Blocks where the image or the target has more than a hole. */
const candidates = Effect.fnUntraced(function*({ claimed: { file, stat }, image }: Work) {
  const extents = yield* file.dataExtents(0, Math.min(image.size, stat.size))
  const found: Array<number> = []
  let next = 0
  for (let index = 0; index < ChunkMap.count(image); index++) {
    const start = index * image.chunkSize
    let extent = extents[next]
    while (extent !== undefined && extent.offset + extent.length <= start) extent = extents[++next]
    const hasData = extent !== undefined && extent.offset < start + ChunkMap.chunkLength(image, index)
    if (hasData || !ChunkMap.isHole(image, index)) found.push(index)
  }
  return found
})

/** Reads back from the medium what was written. */
const readBack = Effect.fnUntraced(function*(work: Work, indexes: ReadonlyArray<number>, keep: number) {
  const { file, path } = work.claimed
  yield* file.sync
  yield* file.dropCache(0, 0)
  const { differing } = yield* pass(work, "checking", indexes, { dryRun: true, keep })
  if (differing.length > 0) {
    const detail = "it does not read as what was written to it"
    return yield* new IoError({ operation: "restore to", path, code: "EIO", detail })
  }
})

/** Writes what differs. The note goes last: whatever ends this before, it is found in the target. */
const amend = Effect.fnUntraced(function*(work: Work, differing: ReadonlyArray<number>) {
  const { claimed: { file, path, stat }, image, revision } = work
  yield* Effect.logWarning(
    `from now on until the end ${path} is a mixture of what was there and of revision ${revision.id}`
  )
  const keep = Mark.lengthIn(image.size)
  const head = Array.from({ length: Math.ceil(keep / image.chunkSize) }, (_, index) => index)
  const body = [...head, ...differing.filter((index) => index >= head.length)]
  const changed = yield* Effect.gen(function*() {
    yield* Mark.write(file, image.size, revision.id)
    if (stat.kind === "file" && stat.size !== image.size) yield* file.truncate(image.size)
    const most = yield* pass(work, "restoring", body, { dryRun: false, keep })
    yield* readBack(work, body, keep)
    const rest = yield* pass(work, "restoring", head, { dryRun: false, keep: 0 })
    yield* readBack(work, head, 0)
    return { written: keep + most.written + rest.written, cleared: most.cleared + rest.cleared }
  }).pipe(Effect.onError(() =>
    Effect.logWarning(
      `${path} is not restored: it is a mixture, and its first ${keep} bytes are a note that says so; ` +
        "the same command again completes it"
    )
  ))
  return changed
})

/**
 * Brings a file or block device to a revision's image by writing only what differs. What is there is read and hashed,
 * what is written comes from checked chunks and is read back, so every byte was checked when this succeeds. Nothing is
 * written before all chunks that are needed were found good. From then on the target is a mixture, which begins with a
 * note that says so; a second run completes it. A target that is not there is restored as a whole. With `dryRun` it is
 * only told what would be written. Fails as `restore` does.
 */
export const restoreDelta = Effect.fn("restoreDelta")(function*(options: {
  readonly revision: string
  readonly path: string
  /** Allows to change a file or device that holds something. */
  readonly force: boolean
  /** The file or device that the repository backs up, if it does. */
  readonly source?: string | undefined
  /** Makes zeros of what neither the repository nor the target has, and goes on. */
  readonly salvage: boolean
  readonly dryRun: boolean
  readonly wait: Duration.Duration
}) {
  const { dryRun, path, salvage, source, wait } = options
  const claimed = yield* claim({ path, force: options.force || dryRun, source, dryRun, readable: true })
  if (claimed._tag === "New" && !dryRun) {
    const whole = yield* restore({ ...options, target: { _tag: "Path", path } })
    return { ...whole, cleared: 0 } satisfies DeltaReport
  }
  yield* claimed._tag === "Existing" && claimed.isImage && !dryRun
    ? locks.forRecording(wait)
    : locks.forReading(wait)
  const repository = yield* Repository
  const revision = yield* selectOne(options.revision)
  if (!revision.isComplete) return yield* new RevisionIncomplete({ id: revision.id })
  yield* warnOfRevision(revision)
  const image = yield* repository.readMap(revision)
  const report = { revision: revision.id, size: image.size }
  if (claimed._tag === "New") {
    const stored = Array.from({ length: ChunkMap.count(image) }, (_, index) => index)
      .filter((index) => !ChunkMap.isHole(image, index))
      .reduce((sum, index) => sum + ChunkMap.chunkLength(image, index), 0)
    return { ...report, written: stored, cleared: 0 } satisfies DeltaReport
  }
  yield* checkSize(claimed, image.size)
  const left = yield* Mark.find(claimed.file)
  if (left !== undefined) {
    yield* Effect.logWarning(`an earlier delta restore to ${path}, of revision ${left}, has not ended`)
  }
  // what a run could not write may still be in memory, as if it had been written
  if (!dryRun) {
    yield* claimed.file.sync
    yield* claimed.file.dropCache(0, 0)
  }
  const work: Work = { revision, image, claimed, salvage: salvage && !dryRun }
  const found = yield* pass(work, "comparing", yield* candidates(work), { dryRun: true, keep: 0 })
  if (dryRun) return { ...report, written: found.written, cleared: found.cleared } satisfies DeltaReport

  const { file, stat } = claimed
  const changed = found.differing.length > 0 ? yield* amend(work, found.differing) : { written: 0, cleared: 0 }
  if (found.differing.length === 0 && stat.kind === "file" && stat.size !== image.size) {
    yield* file.truncate(image.size)
  }
  // to sync may take long, and can be given up; but not what follows it
  yield* Effect.uninterruptibleMask((restore) =>
    Effect.zipRight(
      restore(file.sync),
      Finished.lastly(checkPlace(claimed), found.lost.length === 0 ? "done" : "failed")
    )
  )
  yield* file.close
  if (found.lost.length > 0) {
    const lost = found.lost.sort((a, b) => a.offset - b.offset)
    return yield* new RestoreIncomplete({ revision: revision.id, lost, salvaged: true })
  }
  return { ...report, ...changed } satisfies DeltaReport
}, Effect.scoped)
