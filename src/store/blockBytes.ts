/** Small questions about blocks and packed ids. */
import { DIGEST_LENGTH, toHex } from "../platform/hash.ts"

/** The id of a hole in hexadecimal digits. */
export const HOLE = "0".repeat(2 * DIGEST_LENGTH)

/** Length of a block in bytes: the last one is as long as the image's rest. */
export const blockLength = (image: { readonly size: number; readonly chunkSize: number }, index: number): number =>
  Math.min(image.chunkSize, image.size - index * image.chunkSize)

const ZEROS = Buffer.alloc(64 * 1024)

/** Whether all bytes are zero; gives up at the first piece that is not. */
export const isZero = (bytes: Uint8Array): boolean => {
  if (bytes.byteLength > 0 && bytes[0] !== 0) return false
  for (let at = 0; at < bytes.byteLength; at += ZEROS.byteLength) {
    const piece = bytes.subarray(at, at + ZEROS.byteLength)
    if (
      Buffer.compare(piece, piece.byteLength === ZEROS.byteLength ? ZEROS : ZEROS.subarray(0, piece.byteLength)) !== 0
    ) {
      return false
    }
  }
  return true
}

/** The id at a position of a packed list, `undefined` for a hole. */
export const idAt = (ids: Uint8Array, at: number): Uint8Array | undefined => {
  const id = ids.subarray(at * DIGEST_LENGTH, (at + 1) * DIGEST_LENGTH)
  return isZero(id) ? undefined : id
}

/** The same in hexadecimal digits, `null` for a hole. */
export const hexAt = (ids: Uint8Array, at: number): string | null => {
  const id = idAt(ids, at)
  return id === undefined ? null : toHex(id)
}
