/**
 * The end of a chunk file that says that the file is what was written under its name, without decoding it: a skippable
 * zstd frame, which every decoder passes over, with BLAKE3(the name's 64 digits ‖ the data frame). Pure.
 *
 * A chunk may have none. One that does not match proves nothing but that it does not match: then the chunk is decoded
 * and hashed like any other.
 */
import { DIGEST_LENGTH, type Hash } from "../platform/hash.ts"

/** The magic number of a skippable frame, 0x184D2A5B, and the length of its content, both little-endian. */
const HEADER = Uint8Array.of(0x5b, 0x2a, 0x4d, 0x18, DIGEST_LENGTH, 0, 0, 0)

/** Bytes of a trailer. */
export const LENGTH = HEADER.length + DIGEST_LENGTH

/** A file in its two parts, as views of its bytes. */
export interface Parts {
  readonly frame: Uint8Array
  readonly trailer: Uint8Array
}

const digestOf = (hash: Hash, hex: string, frame: Uint8Array): Uint8Array => {
  const bytes = new Uint8Array(hex.length + frame.length)
  bytes.set(new TextEncoder().encode(hex))
  bytes.set(frame, hex.length)
  return hash(bytes)
}

/** The trailer of the chunk of this name whose content is in this frame. */
export const encode = (hash: Hash, hex: string, frame: Uint8Array): Uint8Array => {
  const trailer = new Uint8Array(LENGTH)
  trailer.set(HEADER)
  trailer.set(digestOf(hash, hex, frame), HEADER.length)
  return trailer
}

/**
 * The two parts of a file whose last bytes look like a trailer; `undefined` for any other. A frame of incompressible
 * content ends with the last bytes of the content, which are a guest's: only a frame that takes exactly the rest of the
 * file makes of these bytes a trailer.
 */
export const split = (file: Uint8Array): Parts | undefined => {
  const at = file.length - LENGTH
  if (at < 0 || !HEADER.every((byte, index) => file[at + index] === byte)) return undefined
  return { frame: file.subarray(0, at), trailer: file.subarray(at) }
}

/** Whether the trailer is the one that was written with this frame under this name. */
export const matches = (hash: Hash, hex: string, { frame, trailer }: Parts): boolean =>
  Buffer.compare(digestOf(hash, hex, frame), trailer.subarray(HEADER.length)) === 0
