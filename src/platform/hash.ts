/**
 * BLAKE3-256, the hash that names chunks and map files (https://github.com/BLAKE3-team/BLAKE3-specs).
 *
 * Synchronous and free of Effect, because worker threads call it in their hot loops.
 */
import { blake3 as portableBlake3 } from "@noble/hashes/blake3.js"
import { createRequire } from "node:module"

/** Bytes of a digest. */
export const DIGEST_LENGTH = 32

/** Which implementation hashes: `native` runs at several GB/s, `portable` at some 50 MB/s. */
export type HashKind = "native" | "portable"

/** A BLAKE3-256 function: 32 bytes for any input. */
export type Hash = (bytes: Uint8Array) => Uint8Array

/** The same for input that comes in pieces: `digest` ends it. */
export interface Hasher {
  readonly update: (bytes: Uint8Array) => void
  readonly digest: () => Uint8Array
}

/** The pure JavaScript implementation: the fallback where no native build exists, and the oracle of the tests. */
export const portable: Hash = (bytes) => portableBlake3(bytes)

/** What is used of the package, with the types it documents. It is CommonJS around a native addon. */
interface Native {
  readonly blake3: Hash
  readonly Blake3Hasher: new() => {
    readonly update: (bytes: Uint8Array) => unknown
    readonly digestBuffer: () => Uint8Array
  }
}

const requireNative = (): Native | undefined => {
  try {
    return createRequire(import.meta.url)("@napi-rs/blake-hash") as Native
  } catch {
    return undefined
  }
}

/** The native implementation, or `undefined` where this platform has no build of it. */
export const loadNative = (): Hash | undefined => requireNative()?.blake3

/** Any hash for input in pieces: they are kept until the end. */
export const collecting = (hash: Hash) => (): Hasher => {
  const pieces: Array<Uint8Array> = []
  return {
    update: (bytes) => {
      pieces.push(Uint8Array.from(bytes))
    },
    digest: () => hash(Buffer.concat(pieces))
  }
}

/** An implementation of BLAKE3. */
export interface Implementation {
  readonly kind: HashKind
  readonly hash: Hash
  /** The same hash for input in pieces. */
  readonly hasher: () => Hasher
}

/** The fallback, whole. */
export const portably: Implementation = {
  kind: "portable",
  hash: portable,
  hasher: () => portableBlake3.create()
}

let loaded: Implementation | undefined

/** The fastest implementation at hand; looked for once, which costs more than to hash a small file. */
export const load = (): Implementation => {
  if (loaded === undefined) {
    const native = requireNative()
    loaded = native === undefined ? portably : {
      kind: "native",
      hash: native.blake3,
      hasher: () => {
        const hasher = new native.Blake3Hasher()
        return { update: (bytes) => hasher.update(bytes), digest: () => hasher.digestBuffer() }
      }
    }
  }
  return loaded
}

/** Lower-case hexadecimal digits of a digest. */
export const toHex = (digest: Uint8Array): string =>
  Buffer.from(digest.buffer, digest.byteOffset, digest.byteLength).toString("hex")
