/**
 * What a revision of any age holds, in one packed form of 32 bytes a block, so that all operations and the hot loops
 * treat them alike: the BLAKE3 of a block, 32 zero bytes for a hole, or an id of a legacy chunk with a mark behind it.
 *
 * Free of Effect: worker threads use it. Only ids of the first two kinds are ever written to a map.
 */

/** Bytes of a packed id. */
const BYTES = 32

/** Bytes of a legacy chunk's id in it. */
const LEGACY_BYTES = 16

/** Behind the 16 bytes of a legacy id. A BLAKE3 hash that ends like this will not be met. */
const LEGACY = new TextEncoder().encode("lzo of backy 2.5")
/** Instead of an id: the legacy map names no chunk, so this part of the image is lost. */
const LOST = new TextEncoder().encode("no chunk here at all, it is lost")
/** Instead of an id: the block lies in an image of which no hashes are known. */
const UNKNOWN = new TextEncoder().encode("it is in the image, hash not kept")

const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex")

const LEGACY_HEX = hexOf(LEGACY)
const LOST_HEX = hexOf(LOST.subarray(0, BYTES))
const UNKNOWN_HEX = hexOf(UNKNOWN.subarray(0, BYTES))

const writeLegacy = (target: Uint8Array, at: number, id: Uint8Array): void => {
  target.set(id, at * BYTES)
  target.set(LEGACY, at * BYTES + LEGACY_BYTES)
}

const isZero = (bytes: Uint8Array, from: number, length: number): boolean => {
  for (let at = from; at < from + length; at++) if (bytes[at] !== 0) return false
  return true
}

/** Packed legacy ids (16 bytes each) as packed ids; all zero, which a legacy map does not name, as lost. */
export const fromLegacy = (legacy: Uint8Array): Uint8Array => {
  const count = legacy.length / LEGACY_BYTES
  const ids = new Uint8Array(count * BYTES)
  for (let at = 0; at < count; at++) {
    if (isZero(legacy, at * LEGACY_BYTES, LEGACY_BYTES)) ids.set(LOST.subarray(0, BYTES), at * BYTES)
    else writeLegacy(ids, at, legacy.subarray(at * LEGACY_BYTES, (at + 1) * LEGACY_BYTES))
  }
  return ids
}

/** Says of a block that it lies in the image, and nothing about its content. */
export const setUnknown = (ids: Uint8Array, at: number): void => ids.set(UNKNOWN.subarray(0, BYTES), at * BYTES)

/** The packed id of a legacy chunk by its 32 hexadecimal digits. */
export const ofLegacyName = (name: string): Uint8Array => {
  const id = new Uint8Array(BYTES)
  writeLegacy(id, 0, Buffer.from(name, "hex"))
  return id
}

/** The name of the legacy chunk that an id in 64 hexadecimal digits stands for, if it does. */
export const legacyName = (hex: string): string | undefined =>
  hex.endsWith(LEGACY_HEX) && hex.length === 2 * BYTES ? hex.slice(0, 2 * LEGACY_BYTES) : undefined

/** Whether nothing is known of where this block's content could be. */
export const isLost = (hex: string): boolean => hex === LOST_HEX

/** Whether the content of the block is whatever the image has. */
export const isUnknown = (hex: string): boolean => hex === UNKNOWN_HEX

/** The id as people know it: the name of its chunk. */
export const nameOf = (hex: string): string => {
  if (isLost(hex)) return "-"
  if (isUnknown(hex)) return "?"
  return legacyName(hex) ?? hex
}
