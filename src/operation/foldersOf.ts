import * as ChunkId from "../domain/ChunkId.ts"
import * as ChunkMap from "../domain/ChunkMap.ts"

/** The folders of `chunks` that hold what a map names, by name. */
export const foldersOf = (map: ChunkMap.ChunkMap): ReadonlyArray<string> => {
  const folders = new Set<number>()
  for (let index = 0; index < ChunkMap.count(map); index++) {
    if (!ChunkMap.isHole(map, index)) folders.add(map.ids[index * ChunkId.BYTES] ?? 0)
  }
  return Array.from(folders, (first) => first.toString(16).padStart(2, "0"))
}
