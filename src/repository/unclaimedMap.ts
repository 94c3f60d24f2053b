/** The chunk map of a revision whose metadata cannot be read. */
import type * as FileSystem from "@effect/platform/FileSystem"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import type * as ChunkMap from "../domain/ChunkMap.ts"
import type { RevisionId } from "../domain/RevisionId.ts"
import type { BlockFile } from "../platform/BlockFile.ts"
import { type IoError, isMissing } from "../platform/IoError.ts"
import * as Image from "./Image.ts"
import * as MapFile from "./mapFile.ts"

/**
 * What the whole map says that lies beside or in the place of a revision of ours; none when there is no such map. Its
 * own digest is all that speaks for it.
 */
export const read = (
  directory: string,
  id: RevisionId
): Effect.Effect<Option.Option<ChunkMap.ChunkMap>, IoError, FileSystem.FileSystem | BlockFile> =>
  Effect.gen(function*() {
    const { main, map } = Image.placesOf(directory, id)
    for (const path of [map, main]) {
      // an image is no map, and need not be read to its end to see that
      const begin = yield* Effect.catchIf(Image.beginOf(path), isMissing, () => Effect.succeed(new Uint8Array(0)))
      if (!MapFile.isBegun(begin)) continue
      const bytes = yield* Effect.either(Image.readBytes(id, path))
      if (Either.isLeft(bytes) && bytes.left._tag === "IoError") return yield* bytes.left
      const decoded = Either.flatMap(bytes, (whole) => Image.decode(id, path, whole))
      if (Either.isRight(decoded)) return Option.some(decoded.right)
    }
    return Option.none()
  })
