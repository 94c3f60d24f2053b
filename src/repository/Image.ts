/**
 * What a revision holds, of whatever kind it is: current chunks, chunks of backy 2.5, or an image file. Operations work
 * with this alone and need not know the kinds.
 */
import type * as FileSystem from "@effect/platform/FileSystem"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as ChunkMap from "../domain/ChunkMap.ts"
import * as Extent from "../domain/Extent.ts"
import type { Revision } from "../domain/Revision.ts"
import type { RevisionId } from "../domain/RevisionId.ts"
import * as BlockFile from "../platform/BlockFile.ts"
import * as Durable from "../platform/Durable.ts"
import * as Files from "../platform/Files.ts"
import { type IoError, isMissing } from "../platform/IoError.ts"
import * as LegacyChunk from "../store/legacy/LegacyChunk.ts"
import * as LegacyMap from "../store/legacy/LegacyMap.ts"
import * as StoredId from "../store/storedId.ts"
import * as MapFile from "./mapFile.ts"
import { MapUnusable } from "./RepositoryError.ts"

/**
 * The blocks of a revision. The ids of a revision of ours are those of its map; others are packed as
 * `store/storedId.ts` says, and never get into a map.
 */
export interface Image extends ChunkMap.ChunkMap {
  /** The file that holds the blocks themselves. */
  readonly path?: string
}

/** A 100 TiB image's map. */
const MAX_MAP_BYTES = 2 ** 31

type Ports = FileSystem.FileSystem | BlockFile.BlockFile

/** Where the parts of a revision lie, besides its metadata. */
export interface Places {
  /** The map, or the image of a `cowfile` revision. */
  readonly main: string
  /** The map beside an image; of a `chunked-v4` revision, one that has not taken its place yet. */
  readonly map: string
  /** The image that an upgrade of backy 2.5 was converting. */
  readonly old: string
}

/** The parts of a revision in a directory. */
export const placesOf = (directory: string, id: RevisionId): Places => ({
  main: `${directory}/${id}`,
  map: `${directory}/${id}.map`,
  old: `${directory}/${id}.old`
})

/** The id in the name of a part, if it is one. */
export const idText = (name: string): string => name.replace(/\.(map|old)$/, "")

const missing = (id: RevisionId, path: string) => new MapUnusable({ id, path, reason: "it is missing" })

/** All of a map's file; `MapUnusable` when there is none. */
export const readBytes = (
  id: RevisionId,
  path: string,
  limit = MAX_MAP_BYTES
): Effect.Effect<Uint8Array, MapUnusable | IoError, Ports> =>
  Effect.catchIf(Durable.readSmall(path, limit), isMissing, () => Effect.fail(missing(id, path)))

/** A map of ours in a file. */
export const decode = (
  id: RevisionId,
  path: string,
  bytes: Uint8Array
): Either.Either<ChunkMap.ChunkMap, MapUnusable> =>
  Either.mapLeft(MapFile.decode(bytes), (invalid) => new MapUnusable({ id, path, reason: invalid.message }))

const decodeLegacy = (id: RevisionId, path: string, bytes: Uint8Array): Either.Either<Image, MapUnusable> =>
  Either.mapBoth(LegacyMap.decode(bytes), {
    onLeft: (invalid) => new MapUnusable({ id, path, reason: invalid.message }),
    onRight: (map) => ({ size: map.size, chunkSize: LegacyChunk.CHUNK_SIZE, ids: StoredId.fromLegacy(map.ids) })
  })

/** A map of ours that must be the one which the revision's metadata means. */
const readOwn = Effect.fnUntraced(function*(revision: Revision, path: string) {
  const unusable = (reason: string) => new MapUnusable({ id: revision.id, path, reason })
  const bytes = yield* readBytes(revision.id, path)
  const map = yield* decode(revision.id, path, bytes)
  // a revision without them is broken, and is not read; a check that lacks its reference has failed all the same
  if (revision.mapDigest === undefined || revision.mapDigest !== MapFile.digestOf(bytes)) {
    return yield* unusable("it is not the one that the revision was made with (its digest differs)")
  }
  if (revision.size === undefined || revision.size !== map.size) {
    return yield* unusable(`it is of an image of ${map.size} bytes, the revision of one of ${revision.size}`)
  }
  return map
})

/** An upgrade that was interrupted after its commit has left the map beside what it replaces. */
const readChunked = Effect.fnUntraced(function*(revision: Revision, { main, map }: Places) {
  if (yield* Files.exists(map)) {
    const upgraded = yield* Effect.either(readOwn(revision, map))
    if (Either.isRight(upgraded)) return upgraded.right
  }
  return yield* readOwn(revision, main)
})

/** The first bytes of a file. */
export const beginOf = (path: string): Effect.Effect<Uint8Array, IoError, Ports> =>
  Effect.flatMap(BlockFile.BlockFile, (files) =>
    files.withFile(path, { access: "read" }, (file) => {
      const begin = new Uint8Array(16)
      return Effect.map(file.readAt(begin, 0), (count) => begin.subarray(0, count))
    }))

/** Whether a file begins as a map of backy 2.5 does. */
export const beginsAsLegacyMap = (bytes: Uint8Array): boolean => bytes[0] === 0x7b && bytes[1] === 0x22

/** An image without hashes: where the file has data, whatever it has there is right. */
const readPlain = (path: string, chunkSize: number): Effect.Effect<Image, IoError, Ports> =>
  Effect.flatMap(
    BlockFile.BlockFile,
    (files) =>
      files.withFile(path, { access: "read" }, (file) =>
        Effect.gen(function*() {
          const { size } = yield* file.stat
          const image = { ...ChunkMap.empty(size, chunkSize), path }
          const extents = yield* file.dataExtents(0, size)
          for (const index of Extent.chunkIndexes(extents, chunkSize)) StoredId.setUnknown(image.ids, index)
          return image
        }))
  )

/** An image file of ours is an image whatever it begins with: its first bytes are the guest's. */
const readCow = Effect.fnUntraced(function*(revision: Revision, { main, map }: Places) {
  if (!(yield* Files.exists(main))) return yield* missing(revision.id, main)
  return { ...(yield* readOwn(revision, map)), path: main } satisfies Image
})

const readLegacyCow = Effect.fnUntraced(function*({ id }: Revision, { main, old }: Places, chunkSize: number) {
  const path = (yield* Files.exists(old)) ? old : main
  if (!(yield* Files.exists(path))) return yield* missing(id, path)
  // 2.5 was interrupted when it had converted the image, but not said so in the metadata yet
  if (path === main && beginsAsLegacyMap(yield* beginOf(path))) {
    const converted = yield* Effect.either(
      Effect.flatMap(readBytes(id, path), (bytes) => decodeLegacy(id, path, bytes))
    )
    if (Either.isRight(converted)) return converted.right
  }
  return yield* readPlain(path, chunkSize)
})

/** The map of a `chunked` revision of backy 2.5. */
const readLegacyChunked = ({ id }: Revision, { main }: Places) =>
  Effect.flatMap(readBytes(id, main, LegacyMap.MAX_FILE_LENGTH), (bytes) => decodeLegacy(id, main, bytes))

/** What a revision holds. Fails with `MapUnusable` when that cannot be known, or is not what was written. */
export const read = (
  directory: string,
  chunkSize: number,
  revision: Revision
): Effect.Effect<Image, MapUnusable | IoError, Ports> =>
  Effect.suspend((): Effect.Effect<Image, MapUnusable | IoError, Ports> => {
    const places = placesOf(directory, revision.id)
    switch (revision.backendType) {
      case "chunked-v4":
        return readChunked(revision, places)
      case "cowfile-v4":
        return readCow(revision, places)
      case "chunked":
        return readLegacyChunked(revision, places)
      case "cowfile":
        return readLegacyCow(revision, places, chunkSize)
    }
  })

/**
 * Ends what an interrupted upgrade has left: of a committed one the new map takes the place of the old map or image,
 * of another one it is removed. Needs the lock of a backup. Tells whether there was anything to do.
 */
export const settle = (directory: string, revision: Revision): Effect.Effect<boolean, MapUnusable | IoError, Ports> =>
  Effect.gen(function*() {
    const { main, map, old } = placesOf(directory, revision.id)
    // the map of our own image belongs where it is
    if (!revision.isComplete || revision.backendType === "cowfile-v4") return false
    if (revision.isLegacy) return yield* Files.removeIfPresent(map)
    const isBeside = yield* Files.exists(map)
    if (!isBeside && !(yield* Files.exists(old))) return false
    if (!isBeside || Either.isLeft(yield* Effect.either(readOwn(revision, map)))) {
      yield* readOwn(revision, main)
      yield* Files.removeIfPresent(old)
      yield* Files.removeIfPresent(map)
      return true
    }
    yield* Files.rename(map, main)
    yield* Durable.syncDirectory(directory)
    yield* Files.removeIfPresent(old)
    return true
  })
