/**
 * The chunk map of one revision: which chunk holds which part of the image. In memory one packed byte array, 32 bytes
 * a chunk and all zero for a hole; the lines on disk are written and read by `ChunkMapText`.
 */
import * as ChunkId from "./ChunkId.ts"
import type { Extent } from "./Extent.ts"
import { between, normalise } from "./Extent.ts"
import * as IdSet from "./IdSet.ts"

export { ChunkMapInvalid, decode, encode, firstLine } from "./ChunkMapText.ts"

/** The chunk size of everything that backy writes: 4 MiB, the size of an RBD object. */
export const CHUNK_SIZE = 4_194_304

/** An image of `size` bytes, cut into chunks of `chunkSize`; the last one is as long as the rest. */
export interface ChunkMap {
  readonly size: number
  readonly chunkSize: number
  /** 32 bytes a chunk; 32 zero bytes are a hole, a chunk that reads as zeros and is not stored. */
  readonly ids: Uint8Array
}

/** What is needed to know where chunks begin and end. */
export type Shape = Pick<ChunkMap, "size" | "chunkSize">

/** How many chunks an image of `size` bytes has. */
export const chunkCount = (size: number, chunkSize: number = CHUNK_SIZE): number => Math.ceil(size / chunkSize)

/** The map of an image of `size` zero bytes. */
export const empty = (size: number, chunkSize: number = CHUNK_SIZE): ChunkMap => ({
  size,
  chunkSize,
  ids: new Uint8Array(chunkCount(size, chunkSize) * ChunkId.BYTES)
})

/** How many chunks the map has, holes included. */
export const count = (map: ChunkMap): number => map.ids.length / ChunkId.BYTES

/** How many bytes of the image chunk `index` holds; 0 behind the end. */
export const chunkLength = (shape: Shape, index: number): number =>
  Math.max(0, Math.min(shape.chunkSize, shape.size - index * shape.chunkSize))

/** The packed id of chunk `index`: a view into the map, all zero for a hole. */
export const idBytesAt = (map: ChunkMap, index: number): Uint8Array =>
  map.ids.subarray(index * ChunkId.BYTES, (index + 1) * ChunkId.BYTES)

/** Whether chunk `index` is all zeros and therefore not stored. */
export const isHole = (map: ChunkMap, index: number): boolean => {
  const stop = (index + 1) * ChunkId.BYTES
  for (let i = index * ChunkId.BYTES; i < stop; i++) if (map.ids[i] !== 0) return false
  return true
}

/** The id of chunk `index`, or undefined for a hole and behind the end. */
export const idAt = (map: ChunkMap, index: number): ChunkId.ChunkId | undefined =>
  index < 0 || index >= count(map) || isHole(map, index) ? undefined : ChunkId.fromBytes(idBytesAt(map, index))

/** Writes packed ids into a map **under construction**, beginning at chunk `firstIndex`. */
export const setIds = (map: ChunkMap, firstIndex: number, ids: Uint8Array): void =>
  map.ids.set(ids, firstIndex * ChunkId.BYTES)

const sameId = (a: ChunkMap, b: ChunkMap, index: number): boolean => {
  const stop = (index + 1) * ChunkId.BYTES
  for (let i = index * ChunkId.BYTES; i < stop; i++) if (a.ids[i] !== b.ids[i]) return false
  return true
}

/**
 * The map for the same image at another size. Ids are carried over; a chunk that exists in both but has another length
 * now (at most one: the last of the shorter image) holds other bytes, so it is a hole in `map` and listed in `remake`.
 * Chunks behind the old end are holes, which is what they read as.
 */
export const resized = (map: ChunkMap, newSize: number): { readonly map: ChunkMap; readonly remake: Array<number> } => {
  const target = empty(newSize, map.chunkSize)
  target.ids.set(map.ids.subarray(0, target.ids.length))
  const last = Math.min(count(map), count(target)) - 1
  if (last < 0 || chunkLength(map, last) === chunkLength(target, last)) return { map: target, remake: [] }
  idBytesAt(target, last).fill(0)
  return { map: target, remake: [last] }
}

/**
 * The byte ranges in which the images may differ, as far as the maps tell: chunks with different ids, and what only the
 * longer image has. Maps with different chunk sizes cannot be compared and differ everywhere.
 */
export const diff = (a: ChunkMap, b: ChunkMap): ReadonlyArray<Extent> => {
  const longest = Math.max(a.size, b.size)
  if (a.chunkSize !== b.chunkSize) return normalise([between(0, longest)])
  const common = Math.min(count(a), count(b))
  const changed: Array<Extent> = [between(Math.min(a.size, b.size), longest)]
  for (let index = 0; index < common; index++) {
    if (sameId(a, b, index)) continue
    const start = index * a.chunkSize
    changed.push(between(start, Math.min(start + a.chunkSize, longest)))
  }
  return normalise(changed)
}

/** Every chunk that the map names, each once, in the order of the image; made one by one as they are asked for. */
export function* distinctIds(map: ChunkMap): Generator<ChunkId.ChunkId> {
  const seen = IdSet.make()
  for (let index = 0; index < count(map); index++) {
    if (seen.add(map.ids, index * ChunkId.BYTES)) yield ChunkId.fromBytes(idBytesAt(map, index))
  }
}
