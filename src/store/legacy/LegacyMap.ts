/**
 * The chunk map of a revision that backy 2.5 wrote: one JSON object `{"mapping": {"0": "<32 hex>", …}, "size": N}`.
 *
 * It is scanned as bytes: an image of 10 TiB has 2.6 million entries, which as an object of strings would take seconds
 * and a gigabyte. Strict, because what a misread map does not name is purged.
 */
import * as Either from "effect/Either"
import { CHUNK_SIZE, ID_LENGTH, idAt, type LegacyChunkId } from "./LegacyChunk.ts"
import { LegacyMapInvalid, scan, type Scanned } from "./LegacyMapText.ts"

export { LegacyMapInvalid }

/** Which chunks make up an image. */
export interface LegacyMap {
  /** Bytes of the image. */
  readonly size: number
  /**
   * 16 bytes a chunk, in order; all zero where the map names none: that part of the image is lost, it is no hole. (The
   * empty content hashes to all zero as well, and holds no part of an image either.)
   */
  readonly ids: Uint8Array
  /**
   * Ids that are named behind the image's end, packed in the same way. They hold none of its content (2.5 leaves one
   * where an image shrinks to a multiple of the chunk size), but 2.5 gives a revision up when one of them is gone.
   */
  readonly beyond: Uint8Array
}

/** No map file is longer than this, in bytes: 80 TiB of image. Do not read a longer one. */
export const MAX_FILE_LENGTH = 1024 * 1024 * 1024

/** How many chunks may be missing before the size counts as nonsense: a few bytes must not claim memory at will. */
const MAX_MISSING = 1024 * 1024

/** Chunks of the image, missing ones included. */
export const count = (map: LegacyMap): number => map.ids.length / ID_LENGTH

/** Bytes of the image that chunk `index` stands for; its content may be longer and is then cut. */
export const lengthAt = (map: LegacyMap, index: number): number => Math.min(CHUNK_SIZE, map.size - index * CHUNK_SIZE)

/** The 16 bytes of the chunk's id (a view), all zero where it is missing. */
export const idBytesAt = (map: LegacyMap, index: number): Uint8Array =>
  map.ids.subarray(index * ID_LENGTH, (index + 1) * ID_LENGTH)

/** The id of chunk `index`, or `undefined` where the map names none. */
export const chunkAt = (map: LegacyMap, index: number): LegacyChunkId | undefined =>
  index < 0 || index >= count(map) || isZero(map.ids, index * ID_LENGTH) ? undefined : idAt(map.ids, index * ID_LENGTH)

/** Every id that the map names, each once, also those behind the image's end: what purge has to keep. */
export const distinctIds = function*(map: LegacyMap): Iterable<LegacyChunkId> {
  const seen = new Set<string>()
  for (const packed of [map.ids, map.beyond]) {
    for (let at = 0; at < packed.length; at += ID_LENGTH) {
      if (isZero(packed, at)) continue
      const id = idAt(packed, at)
      if (seen.has(id)) continue
      seen.add(id)
      yield id
    }
  }
}

const isZero = (packed: Uint8Array, at: number): boolean => {
  for (let i = 0; i < ID_LENGTH; i++) if (packed[at + i] !== 0) return false
  return true
}

/**
 * Reads a map file. Anything but a map as 2.5 writes it is refused; never throws, whatever the bytes. The memory that it
 * takes is bounded by the length of the file.
 */
export const decode = (bytes: Uint8Array): Either.Either<LegacyMap, LegacyMapInvalid> =>
  bytes.length > MAX_FILE_LENGTH
    ? refuse(`it has ${bytes.length} bytes, more than any map`)
    : Either.flatMap(scan(bytes), assemble)

const refuse = (problem: string) => Either.left(new LegacyMapInvalid({ problem }))

/** Puts entries at their places. They are not trusted to be in order, complete, unique, or inside the image. */
const assemble = ({ entries, ids: named, keys, size }: Scanned): Either.Either<LegacyMap, LegacyMapInvalid> => {
  const chunks = Math.ceil(size / CHUNK_SIZE)
  if (chunks > entries + MAX_MISSING) return refuse(`a size of ${size} bytes is absurd for ${entries} chunks`)
  const ids = new Uint8Array(chunks * ID_LENGTH)
  const beyond = new Uint8Array(keys.reduce((sum, key) => key < chunks ? sum : sum + ID_LENGTH, 0))
  let end = 0
  for (let entry = 0; entry < entries; entry++) {
    const id = named.subarray(entry * ID_LENGTH, (entry + 1) * ID_LENGTH)
    const key = keys[entry] ?? 0
    if (key >= chunks) {
      beyond.set(id, end)
      end += ID_LENGTH
    } else if (isZero(ids, key * ID_LENGTH)) {
      ids.set(id, key * ID_LENGTH)
    } else {
      return refuse(`it names chunk ${key} twice`)
    }
  }
  return Either.right({ size, ids, beyond })
}
