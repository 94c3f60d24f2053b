import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as ChunkId from "../domain/ChunkId.ts"
import * as ChunkMap from "../domain/ChunkMap.ts"
import type { Image } from "../repository/Image.ts"
import { Repository } from "../repository/Repository.ts"
import type * as Protocol from "../store/BlockProtocol.ts"
import { Blocks } from "../store/Blocks.ts"
import { ChunkStore } from "../store/ChunkStore.ts"
import * as StoredId from "../store/storedId.ts"
import { bytesOf, forEachBatch, heldBy, idsOf } from "./batch.ts"
import { Progress } from "./Progress.ts"

/** A block of a revision cannot be read as it should be, so nothing whole can be made of it. */
export class NotConvertible extends Data.TaggedError("NotConvertible")<{
  readonly chunk: string
  readonly offset: number
  readonly why: string
}> {
  override get message() {
    return `chunk ${this.chunk} at byte ${this.offset} ${this.why}`
  }
}

/** Blocks that need no reading, since the same was converted and compared before: where `same` has 1, `map` has the id. */
export interface Known {
  readonly map: ChunkMap.ChunkMap
  readonly same: Uint8Array
}

/**
 * Stores what a revision of any kind holds as chunks of the current format and gives their map. All is durable and has
 * been compared byte by byte with what it was made of when this succeeds. Fails with `NotConvertible`, `IoError`.
 */
export const convert = Effect.fn("convert")(function*(options: {
  readonly image: Image
  readonly known: Known | undefined
  /** Names this run to the block loops. */
  readonly run: string
}) {
  const { directory: repository } = yield* Repository
  const blocks = yield* Blocks
  const store = yield* ChunkStore
  const progress = yield* Progress
  const { image, known, run } = options
  const map = ChunkMap.empty(image.size, image.chunkSize)
  const folders = new Set<string>()
  const open: Array<number> = []
  for (let index = 0; index < ChunkMap.count(image); index++) {
    if (known?.same[index] === 1) ChunkMap.setIds(map, index, ChunkMap.idBytesAt(known.map, index))
    else if (!ChunkMap.isHole(image, index)) open.push(index)
  }
  const refuse = ([first]: ReadonlyArray<Protocol.BadChunk>) =>
    first === undefined ? Effect.void : new NotConvertible({
      chunk: StoredId.nameOf(first.id),
      offset: first.index * image.chunkSize,
      why: first.why
    })

  yield* store.prepare
  // each block is read twice: to store it, and to compare
  yield* progress.start("upgrading", 2 * open.reduce((sum, index) => sum + ChunkMap.chunkLength(image, index), 0))
  yield* forEachBatch(image, open, (batch) =>
    Effect.gen(function*() {
      const stored = yield* blocks.convert({ ...heldBy(image, batch), repository, run })
      yield* refuse(stored.bad)
      batch.indexes.forEach((index, at) =>
        ChunkMap.setIds(map, index, stored.ids.subarray(at * ChunkId.BYTES, (at + 1) * ChunkId.BYTES))
      )
      for (const folder of stored.folders) folders.add(folder)
      yield* progress.advance(bytesOf(batch))
    }))
  yield* store.sync([...folders])
  yield* forEachBatch(image, open, (batch) =>
    Effect.gen(function*() {
      const confirmed = yield* blocks.confirm({
        ...heldBy(image, batch),
        repository,
        others: idsOf(map, batch.indexes)
      })
      yield* refuse(confirmed.different)
      yield* progress.advance(bytesOf(batch))
    }))
  return map
})
