/** Cutting the work on an image into the batches that `Blocks` takes. */
import * as Effect from "effect/Effect"
import * as ChunkId from "../domain/ChunkId.ts"
import type { ChunkMap } from "../domain/ChunkMap.ts"
import * as Maps from "../domain/ChunkMap.ts"
import type { Image } from "../repository/Image.ts"
import { Blocks } from "../store/Blocks.ts"

/** Blocks a batch: enough that a thread is busy for a while, few enough that an interrupt is answered soon. */
const BATCH = 8

/** One batch: the fields that all requests to `Blocks` share, without the repository. */
export interface Batch {
  readonly size: number
  readonly chunkSize: number
  readonly indexes: ReadonlyArray<number>
}

/** The batches over some chunk indexes of an image. Lazy: a 100 TiB image has millions. */
export function* batches(shape: Maps.Shape, indexes: Iterable<number>, length = BATCH): Generator<Batch> {
  let next: Array<number> = []
  for (const index of indexes) {
    next.push(index)
    if (next.length === length) {
      yield { size: shape.size, chunkSize: shape.chunkSize, indexes: next }
      next = []
    }
  }
  if (next.length > 0) yield { size: shape.size, chunkSize: shape.chunkSize, indexes: next }
}

/**
 * Runs `work` on each batch, as many at once as `Blocks` can use. Stops at the first failure. (Not `Effect.forEach`:
 * it would make all batches of the image before the first is done.)
 */
export const forEachBatch = <E, R>(
  shape: Maps.Shape,
  indexes: Iterable<number>,
  work: (batch: Batch) => Effect.Effect<void, E, R>
): Effect.Effect<void, E, R | Blocks> =>
  Effect.flatMap(Blocks, ({ parallelism }) => {
    const waiting = batches(shape, indexes)
    const lane: Effect.Effect<void, E, R> = Effect.suspend(() => {
      const next = waiting.next()
      return next.done === true ? Effect.void : Effect.zipRight(work(next.value), lane)
    })
    return Effect.all(Array.from({ length: parallelism }, () => lane), { concurrency: "unbounded", discard: true })
  })

/** The packed ids of some chunks, in the order of `indexes`. */
export const idsOf = (map: ChunkMap, indexes: ReadonlyArray<number>): Uint8Array => {
  const ids = new Uint8Array(indexes.length * ChunkId.BYTES)
  indexes.forEach((index, at) => ids.set(Maps.idBytesAt(map, index), at * ChunkId.BYTES))
  return ids
}

/** What a batch of a revision's blocks is to `Blocks`, whatever kind the revision is of. */
export const heldBy = (image: Image, batch: Batch) => ({
  ...batch,
  ids: idsOf(image, batch.indexes),
  ...(image.path === undefined ? {} : { image: image.path })
})

/** How many bytes of the image some chunks hold. */
export const bytesOf = (batch: Batch): number =>
  batch.indexes.reduce((sum, index) => sum + Maps.chunkLength(batch, index), 0)
