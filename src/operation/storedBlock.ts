import * as Effect from "effect/Effect"
import type { ChunkMap } from "../domain/ChunkMap.ts"
import { Repository } from "../repository/Repository.ts"
import { Blocks } from "../store/Blocks.ts"
import { idsOf } from "./batch.ts"

/**
 * The content of one stored chunk of a map, checked against its hash, and what is wrong with it if anything is. Fails
 * with `IoError`.
 */
export const storedBlock = Effect.fnUntraced(function*(map: ChunkMap, index: number) {
  const { directory } = yield* Repository
  const blocks = yield* Blocks
  return yield* blocks.read({
    repository: directory,
    size: map.size,
    chunkSize: map.chunkSize,
    indexes: [index],
    ids: idsOf(map, [index])
  })
})
