/**
 * Blocks that lie in an image file, each at its place: reading them checked, and bringing a new image up to date. Over
 * the synchronous `Disk`, for the hot loops.
 */
import type { Descriptor } from "../platform/Disk.ts"
import { DIGEST_LENGTH, toHex } from "../platform/hash.ts"
import type * as Protocol from "./BlockProtocol.ts"
import { type Found, isMissing, readFully, type Tools, withFile, writeFully } from "./chunkFile.ts"
import * as StoredId from "./storedId.ts"

/**
 * Reads a block of an image into `buffer`, whose length is the block's. `hex` says what it should hash to; all zeros, that
 * it should be a hole; unknown, that whatever is there is right. An unreadable file throws.
 */
export const read = (
  { disk, hash }: Pick<Tools, "disk" | "hash">,
  request: { readonly image: string; readonly chunkSize: number },
  index: number,
  hex: string,
  buffer: Uint8Array,
  isZero: (bytes: Uint8Array) => boolean
): Found => {
  let descriptor: Descriptor
  try {
    descriptor = disk.open(request.image, { access: "read" })
  } catch (cause) {
    if (isMissing(cause)) return { state: "missing" }
    throw cause
  }
  return withFile(disk, descriptor, (descriptor): Found => {
    const count = readFully(disk, descriptor, buffer, index * request.chunkSize)
    const raw = buffer.subarray(0, count)
    if (count < buffer.byteLength) return { state: "damaged", why: `is cut off after ${count} bytes`, raw }
    if (StoredId.isUnknown(hex)) return { state: "good", content: buffer }
    if (/^0+$/.test(hex)) {
      return isZero(buffer)
        ? { state: "good", content: buffer }
        : { state: "damaged", why: "is not zeros, as the map says", raw }
    }
    return toHex(hash(buffer)) === hex
      ? { state: "good", content: buffer }
      : { state: "damaged", why: "does not hash to what the map says", raw }
  })
}

/** Writes a block anew, and syncs it. */
export const write = ({ disk }: Pick<Tools, "disk">, image: string, block: Uint8Array, position: number): void =>
  withFile(disk, disk.open(image, { access: "write" }), (descriptor) => {
    writeFully(disk, descriptor, block, position)
    disk.datasync(descriptor)
    disk.dropCache(descriptor, position, block.byteLength)
  })

/** Writes what differs from the base. Nothing is synced: the caller holds the target open. */
export const fill = (
  { disk, hash }: Pick<Tools, "disk" | "hash">,
  request: Protocol.Fill,
  target: Descriptor,
  next: (index: number) => Uint8Array,
  isZero: (bytes: Uint8Array) => boolean
): Protocol.Stored => {
  const ids = new Uint8Array(request.indexes.length * DIGEST_LENGTH)
  const totals = { holes: 0, unchanged: 0, found: 0, written: 0, writtenBytes: 0, storedBytes: 0 }
  /** The base has no hashes: its bytes are compared. */
  const hasBytes = (base: Uint8Array, block: Uint8Array, position: number): boolean => {
    if (!StoredId.isUnknown(toHex(base))) return false
    const present = Buffer.allocUnsafeSlow(block.byteLength)
    return readFully(disk, target, present, position) === block.byteLength && Buffer.compare(present, block) === 0
  }
  request.indexes.forEach((index, at) => {
    const block = next(index)
    const position = index * request.chunkSize
    const base = request.base.subarray(at * DIGEST_LENGTH, (at + 1) * DIGEST_LENGTH)
    const baseIsHole = isZero(base)
    if (isZero(block)) {
      totals.holes++
      if (!baseIsHole && !disk.punch(target, position, block.byteLength)) writeFully(disk, target, block, position)
      return
    }
    const digest = hash(block)
    ids.set(digest, at * DIGEST_LENGTH)
    if (Buffer.compare(base, digest) === 0 || (!baseIsHole && hasBytes(base, block, position))) {
      totals.unchanged++
      return
    }
    writeFully(disk, target, block, position)
    totals.written++
    totals.writtenBytes += block.byteLength
    totals.storedBytes += block.byteLength
  })

  return { ids, ...totals, folders: [] }
}
