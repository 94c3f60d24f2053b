/** The maps of revisions that an alpha of 3.0 made. */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as ChunkMap from "../domain/ChunkMap.ts"
import type { Revision } from "../domain/Revision.ts"
import * as Alpha from "./alphaFormat.ts"
import * as Image from "./Image.ts"
import * as MapFile from "./mapFile.ts"
import { MapUnusable } from "./RepositoryError.ts"

/** A map that an alpha wrote, or what an upgrade that was interrupted before its commit has made of it. */
const decode = (bytes: Uint8Array): ChunkMap.ChunkMap | undefined =>
  Either.getOrUndefined(Alpha.isMap(bytes) ? ChunkMap.decode(bytes, 3) : MapFile.decode(bytes))

/** The map whose digest the alpha noted. Fails with `MapUnusable` when there is none. */
export const readMap = Effect.fnUntraced(function*(directory: string, { backendType, id, mapDigest }: Revision) {
  const { main, map } = Image.placesOf(directory, id)
  const places = backendType === "cowfile-v4" ? [map] : [map, main]
  for (const place of places) {
    const bytes = yield* Effect.either(Image.readBytes(id, place))
    if (Either.isLeft(bytes)) {
      if (bytes.left._tag === "MapUnusable") continue
      return yield* bytes.left
    }
    const found = decode(bytes.right)
    if (found !== undefined && mapDigest !== undefined && Alpha.isOf(found, mapDigest)) return found
  }
  return yield* new MapUnusable({
    id,
    path: places.at(-1) ?? main,
    reason: "it is not the one that the revision was made with, or it is missing"
  })
})
