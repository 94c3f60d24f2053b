import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as ChunkMap from "../domain/ChunkMap.ts"
import type { Revision } from "../domain/Revision.ts"
import * as Trust from "../domain/Trust.ts"
import { now } from "../repository/now.ts"
import { Repository } from "../repository/Repository.ts"
import type * as Protocol from "../store/BlockProtocol.ts"

const sameAt = (a: ChunkMap.ChunkMap, b: ChunkMap.ChunkMap, index: number): boolean =>
  a.chunkSize === b.chunkSize && index < ChunkMap.count(a) && index < ChunkMap.count(b) &&
  Buffer.compare(ChunkMap.idBytesAt(a, index), ChunkMap.idBytesAt(b, index)) === 0

/**
 * After a difference between an increment and its source: the base, and the older revisions which have at a differing
 * place what the base has there, are distrusted for good. Somewhere between them a change was not told, and nobody
 * knows where; so the next backup is a full one. Needs the lock of a backup.
 */
export const distrustLine = Effect.fn("distrustLine")(function*(
  complete: ReadonlyArray<Revision>,
  base:
    | {
      readonly revision: Revision
      readonly map: ChunkMap.ChunkMap
      /** What the base holds in its own format, where the map was made of that. */
      readonly held?: ChunkMap.ChunkMap
    }
    | undefined,
  map: ChunkMap.ChunkMap,
  differences: ReadonlyArray<Protocol.Difference>
) {
  if (base === undefined) return
  const repository = yield* Repository
  const at = yield* now
  let open = differences.map(({ index }) => index).filter((index) => index < ChunkMap.count(base.map))
  const upToBase = complete.slice(0, complete.findIndex(({ id }) => id === base.revision.id) + 1)
  for (const revision of upToBase.toReversed()) {
    const isBase = revision.id === base.revision.id
    const own = isBase ? Either.right(base.map) : yield* Effect.either(repository.readMap(revision))
    if (Either.isLeft(own)) continue
    const held = base.held ?? base.map
    open = open.filter((index) => sameAt(base.map, own.right, index) || sameAt(held, own.right, index))
    // the base is not built on again, whatever it has there: the changes since it are what cannot be relied on
    if (open.length === 0 && !isBase) break
    const chunks = open.flatMap((index) => ChunkMap.idAt(map, index) ?? [])
    yield* repository.publish(Trust.distrust(revision, { reason: "source-mismatch", at, chunks }))
    yield* Effect.logWarning(`revision ${revision.id} is distrusted: it does not have what its source had`)
  }
})
