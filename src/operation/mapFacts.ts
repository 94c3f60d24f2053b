/** What maps tell of images. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as ChunkMap from "../domain/ChunkMap.ts"
import type { Revision } from "../domain/Revision.ts"
import type { Image } from "../repository/Image.ts"
import { Repository } from "../repository/Repository.ts"

/** What of a revision cannot be read says nothing of the source. */
export const imageOf = (revision: Revision): Effect.Effect<Option.Option<Image>, never, Repository> =>
  Effect.flatMap(Repository, ({ readMap }) => Effect.option(readMap(revision)))

/** Bytes of a revision's image, if that is known: the ancestor wrote no size into its revisions. */
export const sizeOf = (revision: Revision) =>
  revision.size === undefined
    ? Effect.map(imageOf(revision), Option.map(({ size }) => size))
    : Effect.succeedSome(revision.size)

/** Whether anything but zeros is in an image. */
export const hasData = (map: ChunkMap.ChunkMap): boolean => {
  for (let index = 0; index < ChunkMap.count(map); index++) if (!ChunkMap.isHole(map, index)) return true
  return false
}
