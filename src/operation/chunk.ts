import * as Effect from "effect/Effect"
import * as ChunkMap from "../domain/ChunkMap.ts"
import { counted } from "../domain/counted.ts"
import * as Extent from "../domain/Extent.ts"
import { Repository } from "../repository/Repository.ts"
import type * as Protocol from "../store/BlockProtocol.ts"
import { Blocks } from "../store/Blocks.ts"
import { ChunkStore } from "../store/ChunkStore.ts"
import { bytesOf, forEachBatch, idsOf } from "./batch.ts"
import { foldersOf } from "./foldersOf.ts"
import { missingIndexes } from "./missing.ts"
import { Progress } from "./Progress.ts"
import type { OpenReadable } from "./snapshot.ts"

/** What chunking did, in blocks and bytes. `written` counts chunks, bytes before and after compression. */
export interface ChunkReport {
  readonly map: ChunkMap.ChunkMap
  readonly scanned: number
  readonly unchanged: number
  readonly found: number
  readonly written: number
  readonly writtenBytes: number
  readonly storedBytes: number
}

/**
 * Stores the content of a snapshot in the repository's chunks and gives the map of it. Blocks that hash to what `base`
 * has at the same place cost no more; chunks that an interrupted run left behind are checked and reused. Everything that the map
 * names is durable when this succeeds, but no revision names it yet. Fails with `IoError`, `SourceShrank`,
 * `SourceNotReady`.
 */
export const chunk = Effect.fn("chunk")(function*(options: {
  /** Bytes of the image. */
  readonly size: number
  readonly content: OpenReadable
  /** Map of a complete, trusted revision, whose chunks are durable; none: every block is looked up by its hash. */
  readonly base: ChunkMap.ChunkMap | undefined
  /** Names this run to the block loops. */
  readonly run: string
}) {
  const { chunkSize, directory } = yield* Repository
  const blocks = yield* Blocks
  const store = yield* ChunkStore
  const progress = yield* Progress
  const { content, size } = options
  const map = ChunkMap.empty(size, chunkSize)
  const nothing = ChunkMap.empty(size, chunkSize)
  // the base has to be cut into the same pieces to be of use
  const base = options.base?.chunkSize !== chunkSize
    ? nothing
    : options.base.size === size
    ? options.base
    : ChunkMap.resized(options.base, size).map
  const totals = { scanned: 0, unchanged: 0, found: 0, written: 0, writtenBytes: 0, storedBytes: 0 }

  const record = (indexes: ReadonlyArray<number>, stored: Protocol.Stored) => {
    indexes.forEach((index, at) => ChunkMap.setIds(map, index, stored.ids.subarray(at * 32, (at + 1) * 32)))
    totals.scanned += indexes.length
    totals.unchanged += stored.unchanged
    totals.found += stored.found
    totals.written += stored.written
    totals.writtenBytes += stored.writtenBytes
    totals.storedBytes += stored.storedBytes
  }

  const read = (indexes: Iterable<number>, reliable: ChunkMap.ChunkMap) =>
    forEachBatch(map, indexes, (batch) =>
      blocks.store({
        ...batch,
        repository: directory,
        source: content.file,
        run: options.run,
        base: idsOf(reliable, batch.indexes)
      }).pipe(
        Effect.map((stored) => record(batch.indexes, stored)),
        Effect.zipRight(progress.advance(bytesOf(batch)))
      ))

  yield* store.prepare
  const extents = yield* content.dataExtents
  yield* progress.start("reading", Extent.totalLength(Extent.align(extents, map.chunkSize, size)))
  yield* read(Extent.chunkIndexes(extents, map.chunkSize), base)

  // a chunk that the base promised may be gone all the same: the source still has it
  const absent = yield* missingIndexes(map)
  if (absent.length > 0) {
    yield* Effect.logWarning(`the base lacks ${counted(absent.length, "chunk")}; storing again what it lacks`)
    yield* read(absent, nothing)
  }
  // Also those of chunks that the base names: one of them may have been healed by a run that was killed before it synced.
  yield* store.sync(foldersOf(map))
  return { map, ...totals } satisfies ChunkReport
})
