import * as FileSystem from "@effect/platform/FileSystem"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Random from "effect/Random"
import * as ChunkId from "../domain/ChunkId.ts"
import * as ChunkMap from "../domain/ChunkMap.ts"
import * as Extent from "../domain/Extent.ts"
import type { Revision } from "../domain/Revision.ts"
import type { RevisionId } from "../domain/RevisionId.ts"
import * as BlockFile from "../platform/BlockFile.ts"
import * as Files from "../platform/Files.ts"
import { fromPlatform } from "../platform/IoError.ts"
import { Reflink } from "../platform/Reflink.ts"
import { temporaryName, uniqueFrom } from "../platform/temporaryName.ts"
import type { Image } from "../repository/Image.ts"
import { Repository } from "../repository/Repository.ts"
import { Blocks } from "../store/Blocks.ts"
import * as StoredId from "../store/storedId.ts"
import { bytesOf, forEachBatch, idsOf } from "./batch.ts"
import type { ChunkReport } from "./chunk.ts"
import { Progress } from "./Progress.ts"
import type { OpenReadable } from "./snapshot.ts"

/** The newest trusted image: the new one begins as a copy of it. */
const findBase = Effect.fnUntraced(function*(complete: ReadonlyArray<Revision>) {
  const repository = yield* Repository
  for (const revision of complete.toReversed()) {
    if (!revision.isTrusted || !revision.isImage) continue
    const image = yield* Effect.either(repository.readMap(revision))
    if (Either.isRight(image) && image.right.path !== undefined && image.right.chunkSize === repository.chunkSize) {
      return { revision, map: image.right, path: image.right.path }
    }
  }
  return undefined
})

/** What a copy of the base holds once it has the new size. */
const resized = (base: Image, size: number): ChunkMap.ChunkMap => {
  const { map, remake } = ChunkMap.resized(base, size)
  for (const index of remake) StoredId.setUnknown(map.ids, index)
  return map
}

/** Blocks that may have to be written: where the source has data, and where the base has some. */
function* indexesOf(base: ChunkMap.ChunkMap, extents: ReadonlyArray<Extent.Extent>): Generator<number> {
  const withData = Extent.chunkIndexes(Extent.clip(extents, base.size), base.chunkSize)
  let next = withData.next()
  for (let index = 0; index < ChunkMap.count(base); index++) {
    const data = next.done !== true && next.value === index
    if (data) next = withData.next()
    if (data || !ChunkMap.isHole(base, index)) yield index
  }
}

/**
 * Makes an image file of a snapshot, beginning as a copy of the newest trusted one that shares its blocks where the file
 * system can. The image has a temporary name and is synced; `finish` gives it its own name and its map, and ends with
 * the map's digest. Without `finish` it is gone with the scope.
 */
export const cowImage = Effect.fn("cowImage")(function*(options: {
  readonly id: RevisionId
  readonly content: OpenReadable
  /** Bytes of the image. */
  readonly size: number
  readonly complete: ReadonlyArray<Revision>
}) {
  const repository = yield* Repository
  const { chunkSize, directory } = repository
  const blocks = yield* Blocks
  const files = yield* BlockFile.BlockFile
  const system = yield* FileSystem.FileSystem
  const progress = yield* Progress
  const reflink = yield* Reflink
  const { content, size } = options
  const numbers = yield* Effect.replicateEffect(Random.nextIntBetween(0, 36), 12)
  const path = `${directory}/${temporaryName(options.id, uniqueFrom(() => numbers.pop() ?? 0))}`
  const setMode = (mode: number) => Effect.mapError(system.chmod(path, mode), (error) => fromPlatform(error, path))

  yield* Effect.addFinalizer(() => Effect.ignore(Files.removeIfPresent(path)))
  const base = yield* findBase(options.complete)
  const cloned = base !== undefined && (yield* reflink.clone(base.path, path))
  if (base !== undefined && !cloned) {
    yield* Effect.logWarning(
      `the file system of ${directory} cannot share blocks between files: every image is a full copy`
    )
  }
  if (cloned) yield* setMode(0o640)
  const before = base !== undefined && cloned ? resized(base.map, size) : ChunkMap.empty(size, chunkSize)
  const map = ChunkMap.empty(size, chunkSize)
  const totals = { scanned: 0, unchanged: 0, found: 0, written: 0, writtenBytes: 0, storedBytes: 0 }

  // the descriptor stays open for the whole time: the kernel reports an error of writing back to those it knows
  yield* files.withFile(
    path,
    { access: "read-write", create: cloned ? "never" : "exclusive", mode: 0o640 },
    (file) =>
      Effect.gen(function*() {
        yield* file.truncate(size)
        const indexes = [...indexesOf(before, yield* content.dataExtents)]
        yield* progress.start("reading", indexes.reduce((sum, index) => sum + ChunkMap.chunkLength(map, index), 0))
        yield* forEachBatch(map, indexes, (batch) =>
          blocks.fill({
            ...batch,
            repository: directory,
            source: content.file,
            target: { path, descriptor: file.descriptor },
            base: idsOf(before, batch.indexes)
          }).pipe(
            Effect.map((filled) => {
              batch.indexes.forEach((index, at) =>
                ChunkMap.setIds(map, index, filled.ids.subarray(at * ChunkId.BYTES, (at + 1) * ChunkId.BYTES))
              )
              totals.scanned += batch.indexes.length
              totals.unchanged += filled.unchanged
              totals.written += filled.written
              totals.writtenBytes += filled.writtenBytes
              totals.storedBytes += filled.storedBytes
            }),
            Effect.zipRight(progress.advance(bytesOf(batch)))
          ))
        yield* file.sync
        // what is read back for verification should come from the medium
        yield* file.dropCache(0, 0)
      })
  )

  const finish = Effect.gen(function*() {
    yield* setMode(0o440)
    yield* files.withFile(path, { access: "read" }, (file) => file.sync)
    yield* Files.rename(path, `${directory}/${options.id}`)
    return yield* repository.publishMapBeside(options.id, map)
  })
  const chunks: ChunkReport = { ...totals, map }
  return { base, image: { ...map, path } satisfies Image, chunks, touched: new Set<number>(), finish }
})
