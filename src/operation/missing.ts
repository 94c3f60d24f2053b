import * as Effect from "effect/Effect"
import * as ChunkId from "../domain/ChunkId.ts"
import * as ChunkMap from "../domain/ChunkMap.ts"
import * as IdSet from "../domain/IdSet.ts"
import { ChunkStore } from "../store/ChunkStore.ts"

/** Indexes whose chunk has no file: the names are listed once, no file is looked at. */
export const missingIndexes = Effect.fnUntraced(function*(map: ChunkMap.ChunkMap) {
  const store = yield* ChunkStore
  const present = IdSet.make()
  for (const folder of yield* store.folders) {
    for (const id of (yield* store.list(folder)).chunks) present.add(ChunkId.toBytes(id), 0)
  }
  const missing: Array<number> = []
  for (let index = 0; index < ChunkMap.count(map); index++) {
    if (!ChunkMap.isHole(map, index) && !present.has(map.ids, index * ChunkId.BYTES)) missing.push(index)
  }
  return missing
})
