/**
 * Which chunks the files of a revision name: what purge has to keep. The files count, whatever the metadata say of them:
 * these may be damaged.
 */
import type * as FileSystem from "@effect/platform/FileSystem"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { Revision } from "../domain/Revision.ts"
import type { RevisionId } from "../domain/RevisionId.ts"
import type { BlockFile } from "../platform/BlockFile.ts"
import * as Files from "../platform/Files.ts"
import type { IoError } from "../platform/IoError.ts"
import * as LegacyMap from "../store/legacy/LegacyMap.ts"
import * as StoredId from "../store/storedId.ts"
import * as Alpha from "./alphaFormat.ts"
import * as Image from "./Image.ts"
import * as MapFile from "./mapFile.ts"
import { MapUnusable } from "./RepositoryError.ts"

/** Packed ids of 32 bytes, holes among them. */
export interface References {
  readonly ids: ReadonlyArray<Uint8Array>
  /** Those of chunks of backy 2.5. */
  readonly legacy: ReadonlyArray<Uint8Array>
  /** Why it is unknown which chunks of backy 2.5 are needed, if it is: what says so may be a guest's disk as well. */
  readonly doubt?: string
}

type Ports = FileSystem.FileSystem | BlockFile

const NOTHING: References = { ids: [], legacy: [] }

const both = (a: References, b: References): References => ({
  ids: [...a.ids, ...b.ids],
  legacy: [...a.legacy, ...b.legacy],
  ...(a.doubt ?? b.doubt) === undefined ? {} : { doubt: a.doubt ?? b.doubt ?? "" }
})

/**
 * What the files of a revision name. The metadata may be unreadable (`undefined`). Fails with `MapUnusable` when it
 * cannot be known.
 */
export const references = (
  directory: string,
  chunkSize: number,
  id: RevisionId,
  revision: Revision | undefined
): Effect.Effect<References, MapUnusable | IoError, Ports> =>
  Effect.gen(function*() {
    // a map that reads well but is not the one that was written names the wrong chunks
    if (revision?.backendType === "chunked-v4" && revision.isComplete) {
      return { ids: [(yield* Image.read(directory, chunkSize, revision)).ids], legacy: [] }
    }
    const places = Image.placesOf(directory, id)
    const beside = yield* besideOf(id, places, revision)
    const isImage = revision?.isImage === true || (revision === undefined && beside !== undefined) ||
      (yield* Files.exists(places.old))
    return both(beside ?? NOTHING, yield* mainOf(id, places.main, isImage))
  })

/** The map beside an image or a map that is to be replaced. Without metadata it may be the one that counts. */
const besideOf = Effect.fnUntraced(function*(id: RevisionId, { map }: Image.Places, revision: Revision | undefined) {
  if (!(yield* Files.exists(map))) return undefined
  const read = yield* Effect.either(Effect.flatMap(Image.readBytes(id, map), (bytes) => Image.decode(id, map, bytes)))
  if (Either.isRight(read)) return { ids: [read.right.ids], legacy: [] } satisfies References
  return revision === undefined ? yield* read.left : NOTHING
})

/** What is in the place of the map or the image. An image may begin with anything. */
const mainOf = Effect.fnUntraced(function*(id: RevisionId, path: string, isImage: boolean) {
  if (!(yield* Files.exists(path))) return NOTHING
  const begin = yield* Image.beginOf(path)
  const isLegacy = Image.beginsAsLegacyMap(begin)
  if (isImage && !isLegacy && !MapFile.isBegun(begin) && !Alpha.isMap(begin)) return NOTHING
  const named = yield* Effect.either(
    Effect.flatMap(Image.readBytes(id, path), (bytes) => isLegacy ? legacyIn(id, path, bytes) : ownIn(id, path, bytes))
  )
  if (Either.isRight(named)) return named.right
  if (!isImage) return yield* named.left
  return isLegacy
    ? { ...NOTHING, doubt: `${path} begins as a chunk map of backy 2.5 and cannot be read as one` } satisfies References
    : NOTHING
})

const ownIn = (id: RevisionId, path: string, bytes: Uint8Array): Either.Either<References, MapUnusable> =>
  Either.map(Image.decode(id, path, bytes), ({ ids }) => ({ ids: [ids], legacy: [] }))

const legacyIn = (id: RevisionId, path: string, bytes: Uint8Array): Either.Either<References, MapUnusable> =>
  Either.mapBoth(LegacyMap.decode(bytes), {
    onLeft: (invalid) => new MapUnusable({ id, path, reason: invalid.message }),
    onRight: (map) => ({ ids: [], legacy: [StoredId.fromLegacy(map.ids), StoredId.fromLegacy(map.beyond)] })
  })
