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

/** The pure JavaScript implementation: the fallback where no native build exists, and the oracle of the tests. */
export const portable: Hash = (bytes) => portableBlake3(bytes)

/** The native implementation, or `undefined` where this platform has no build of it. */
export const loadNative = (): Hash | undefined => {
  try {
    // The package is CommonJS around a native addon; only its one function is used, with the type it documents.
    const native = createRequire(import.meta.url)("@napi-rs/blake-hash") as { readonly blake3: Hash }
    return native.blake3
  } catch {
    return undefined
  }
}

let loaded: { readonly kind: HashKind; readonly hash: Hash } | undefined

/** The fastest implementation at hand and its kind; looked for once, which costs more than to hash a small file. */
export const load = (): { readonly kind: HashKind; readonly hash: Hash } => {
  if (loaded === undefined) {
    const native = loadNative()
    loaded = native === undefined ? { kind: "portable", hash: portable } : { kind: "native", hash: native }
  }
  return loaded
}

/** Lower-case hexadecimal digits of a digest. */
export const toHex = (digest: Uint8Array): string =>
  Buffer.from(digest.buffer, digest.byteOffset, digest.byteLength).toString("hex")
