/** A revision as a read-only disk. */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as ChunkMap from "../../domain/ChunkMap.ts"
import type { Revision } from "../../domain/Revision.ts"
import { type Allocation, type Export, Fault, type Piece } from "../../nbd/Export.ts"
import type { Image } from "../../repository/Image.ts"
import type { BadChunk } from "../../store/BlockProtocol.ts"
import * as StoredId from "../../store/storedId.ts"
import type { ChunkCache } from "./ChunkCache.ts"

/** What a revision is called where somebody chooses among several. */
export const describe = (revision: Revision): string =>
  `${DateTime.formatIso(revision.timestamp).slice(0, 19)}Z ${revision.tags.join(",")}`.trimEnd()

/** How many chunks beginning at `index`, at most up to `end`, are holes like the first of them, or data like it. */
const runLength = (image: Image, index: number, end: number): number => {
  const isHole = ChunkMap.isHole(image, index)
  let next = index + 1
  while (next < end && ChunkMap.isHole(image, next) === isHole) next++
  return next - index
}

const allocations = (image: Image, offset: number, length: number, most: number): ReadonlyArray<Allocation> => {
  const { chunkSize } = image
  const end = offset + length
  const last = Math.ceil(end / chunkSize)
  const found: Array<Allocation> = []
  for (let at = offset; at < end && found.length < most;) {
    const index = Math.floor(at / chunkSize)
    const stop = Math.min(end, (index + runLength(image, index, last)) * chunkSize)
    found.push({ length: stop - at, data: !ChunkMap.isHole(image, index) })
    at = stop
  }
  return found
}

/**
 * A revision's image. Every chunk is checked before any of it is given; what touches a bad one fails with EIO, and
 * `report` is told of it each time.
 */
export const make = (options: {
  readonly revision: Revision
  readonly image: Image
  readonly repository: string
  readonly cache: ChunkCache
  readonly report: (bad: BadChunk, image: Image) => Effect.Effect<void>
}): Export => {
  const { cache, image, report, repository, revision } = options
  const { chunkSize } = image
  const served = { id: revision.id, image, repository }

  const faultOf = (bad: BadChunk) =>
    Effect.zipRight(
      report(bad, image),
      new Fault({
        code: "EIO",
        reason: `chunk ${StoredId.nameOf(bad.id)} of revision ${revision.id} ${bad.why}`,
        offset: bad.index * chunkSize
      })
    )

  const piece = (index: number, from: number, length: number): Effect.Effect<Piece, Fault> =>
    ChunkMap.isHole(image, index)
      ? Effect.succeed({ length, bytes: undefined })
      : cache.get(served, index).pipe(
        Effect.map((bytes) => ({ length, bytes: bytes.subarray(from, from + length) })),
        Effect.catchAll(faultOf)
      )

  return {
    name: revision.id,
    description: describe(revision),
    size: image.size,
    unit: chunkSize,
    writer: undefined,
    allocations: (offset, length, most) => allocations(image, offset, length, most),
    read: (offset, length) => {
      const first = Math.floor(offset / chunkSize)
      const end = offset + length
      const last = Math.floor((end - 1) / chunkSize)
      const of = (index: number) => {
        const from = Math.max(offset, index * chunkSize)
        return piece(index, from - index * chunkSize, Math.min(end, (index + 1) * chunkSize) - from)
      }
      if (first === last) return Effect.map(of(first), (only) => [only])
      return Effect.forEach(Array.from({ length: last - first + 1 }, (_, at) => first + at), of, {
        concurrency: "unbounded"
      })
    }
  }
}
