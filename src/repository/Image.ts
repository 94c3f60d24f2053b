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
import * as Hash from "../platform/hash.ts"
import { type IoError, isMissing } from "../platform/IoError.ts"
import * as LegacyChunk from "../store/legacy/LegacyChunk.ts"
import * as LegacyMap from "../store/legacy/LegacyMap.ts"
import * as StoredId from "../store/storedId.ts"
import { MapUnusable } from "./RepositoryError.ts"

/**
 * The blocks of a revision. The ids of a `chunked-v3` revision are those of its map; others are packed as
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
  /** The map beside an image; of a `chunked-v3` revision, one that has not taken its place yet. */
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

/** BLAKE3 of a map file, as `map_digest` in the revision says it. */
export const digestOf = (bytes: Uint8Array): string => Hash.toHex(Hash.load().hash(bytes))

const missing = (id: RevisionId, path: string) => new MapUnusable({ id, path, reason: "it is missing" })

const readBytes = (
  id: RevisionId,
  path: string,
  limit = MAX_MAP_BYTES
): Effect.Effect<Uint8Array, MapUnusable | IoError, Ports> =>
  Effect.catchIf(Durable.readSmall(path, limit), isMissing, () => Effect.fail(missing(id, path)))

const decode = (id: RevisionId, path: string, bytes: Uint8Array): Either.Either<Image, MapUnusable> =>
  Either.mapLeft(ChunkMap.decode(bytes), (invalid) => new MapUnusable({ id, path, reason: invalid.message }))

const decodeLegacy = (id: RevisionId, path: string, bytes: Uint8Array): Either.Either<Image, MapUnusable> =>
  Either.mapBoth(LegacyMap.decode(bytes), {
    onLeft: (invalid) => new MapUnusable({ id, path, reason: invalid.message }),
    onRight: (map) => ({ size: map.size, chunkSize: LegacyChunk.CHUNK_SIZE, ids: StoredId.fromLegacy(map.ids) })
  })

/** A map of the current format that must be the one which the revision's metadata means. */
const readOwn = Effect.fnUntraced(function*(revision: Revision, path: string) {
  const unusable = (reason: string) => new MapUnusable({ id: revision.id, path, reason })
  const bytes = yield* readBytes(revision.id, path)
  const map = yield* decode(revision.id, path, bytes)
  if (revision.mapDigest !== undefined && revision.mapDigest !== digestOf(bytes)) {
    return yield* unusable("it was changed since it was written (its digest differs)")
  }
  if (revision.size !== undefined && revision.size !== map.size) {
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

/** The first bytes of a map of backy 2.5, which no sane disk image begins with. */
const beginsLikeLegacyMap = (path: string): Effect.Effect<boolean, IoError, Ports> =>
  Effect.flatMap(BlockFile.BlockFile, (files) =>
    files.withFile(path, { access: "read" }, (file) => {
      const begin = new Uint8Array(2)
      return Effect.map(file.readAt(begin, 0), () => begin[0] === 0x7b && begin[1] === 0x22)
    }))

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

const readCow = Effect.fnUntraced(function*(revision: Revision, places: Places, chunkSize: number) {
  const { id } = revision
  const path = (yield* Files.exists(places.old)) ? places.old : places.main
  if (!(yield* Files.exists(path))) return yield* missing(id, path)
  // 2.5 was interrupted when it had converted the image, but not said so in the metadata yet
  if (path === places.main && (yield* beginsLikeLegacyMap(path))) {
    const converted = yield* Effect.either(
      Effect.flatMap(readBytes(id, path), (bytes) => decodeLegacy(id, path, bytes))
    )
    if (Either.isRight(converted)) return converted.right
  }
  if (revision.mapDigest === undefined) return yield* readPlain(path, chunkSize)
  return { ...(yield* readOwn(revision, places.map)), path } satisfies Image
})

/** What a revision holds. Fails with `MapUnusable` when that cannot be known, or is not what was written. */
export const read = (
  directory: string,
  chunkSize: number,
  revision: Revision
): Effect.Effect<Image, MapUnusable | IoError, Ports> =>
  Effect.suspend((): Effect.Effect<Image, MapUnusable | IoError, Ports> => {
    const { id } = revision
    const places = placesOf(directory, id)
    switch (revision.backendType) {
      case "chunked-v3":
        return readChunked(revision, places)
      case "chunked":
        return Effect.flatMap(
          readBytes(id, places.main, LegacyMap.MAX_FILE_LENGTH),
          (bytes) => decodeLegacy(id, places.main, bytes)
        )
      case "cowfile":
        return readCow(revision, places, chunkSize)
    }
  })

/**
 * Ends what an interrupted upgrade has left: of a committed one the new map takes the place of the old map or image,
 * of another one it is removed. Needs the lock of a backup. Tells whether there was anything to do.
 */
export const settle = (directory: string, revision: Revision): Effect.Effect<boolean, MapUnusable | IoError, Ports> =>
  Effect.gen(function*() {
    const { main, map, old } = placesOf(directory, revision.id)
    const isImage = revision.backendType === "cowfile"
    // the map of our own image belongs where it is
    if (!revision.isComplete || (isImage && revision.mapDigest !== undefined)) return false
    if (!(yield* Files.exists(map))) {
      return revision.backendType === "chunked-v3" && (yield* Files.removeIfPresent(old))
    }
    if (revision.backendType !== "chunked-v3") return yield* Files.removeIfPresent(map)
    if (Either.isLeft(yield* Effect.either(readOwn(revision, map)))) {
      yield* readOwn(revision, main)
      return yield* Files.removeIfPresent(map)
    }
    yield* Files.rename(map, main)
    yield* Durable.syncDirectory(directory)
    yield* Files.removeIfPresent(old)
    return true
  })

/**
 * The packed ids of all chunks that the files of a revision name, holes among them: what purge has to keep. The metadata
 * may be unreadable (`undefined`). Fails with `MapUnusable` when the ids cannot be known.
 */
export const references = (
  directory: string,
  id: RevisionId,
  revision: Revision | undefined
): Effect.Effect<ReadonlyArray<Uint8Array>, MapUnusable | IoError, Ports> =>
  Effect.gen(function*() {
    const places = placesOf(directory, id)
    const { main, map, old } = places
    // a map that reads well but is not the one that was written names the wrong chunks
    if (revision?.backendType === "chunked-v3" && revision.isComplete) {
      return [(yield* readChunked(revision, places)).ids]
    }
    const packed: Array<Uint8Array> = []
    if (yield* Files.exists(map)) {
      const beside = yield* Effect.either(Effect.flatMap(readBytes(id, map), (bytes) => decode(id, map, bytes)))
      if (Either.isRight(beside)) packed.push(beside.right.ids)
    }
    const isImage = revision?.backendType === "cowfile" || (yield* Files.exists(old))
    if (isImage && (!(yield* Files.exists(main)) || !(yield* beginsLikeLegacyMap(main)))) return packed
    const named = yield* Effect.either(Effect.flatMap(readBytes(id, main), (bytes) => idsIn(id, main, bytes)))
    if (Either.isRight(named)) packed.push(...named.right)
    // an image may begin with anything
    else if (!isImage) return yield* named.left
    return packed
  })

const idsIn = (
  id: RevisionId,
  path: string,
  bytes: Uint8Array
): Either.Either<ReadonlyArray<Uint8Array>, MapUnusable> =>
  bytes[0] === 0x7b
    ? Either.mapBoth(LegacyMap.decode(bytes), {
      onLeft: (invalid) => new MapUnusable({ id, path, reason: invalid.message }),
      onRight: (map) => [StoredId.fromLegacy(map.ids), StoredId.fromLegacy(map.beyond)]
    })
    : Either.map(decode(id, path, bytes), ({ ids }) => [ids])
