/**
 * One chunk as backy 2.5 stored it: `chunks/ab/<32 hex digits>.chunk.lzo`, LZO1X behind a 5-byte header, named by the
 * MurmurHash3 x64 128 of its content. Read only: what is written today is zstd and BLAKE3.
 */
import * as Brand from "effect/Brand"
import * as Data from "effect/Data"
import * as Either from "effect/Either"
import * as Lzo from "./lzo.ts"
import { murmur3 } from "./murmur3.ts"

/** The name of a legacy chunk: 32 lower-case hexadecimal digits. */
export type LegacyChunkId = string & Brand.Brand<"LegacyChunkId">

const brand = Brand.nominal<LegacyChunkId>()

/** Bytes of image that a chunk stands for; only the last one of an image may be shorter. */
export const CHUNK_SIZE = 4 * 1024 * 1024

/** Bytes of a packed id. */
export const ID_LENGTH = 16

/** No chunk file is longer than this, in bytes: LZO1X needs at most 8 bytes for 7. Do not read a longer one. */
export const MAX_FILE_LENGTH = 5 * 1024 * 1024

const SUFFIX = ".chunk.lzo"

/** The id in a chunk's file name (without folders), or `undefined` for any other file. */
export const idOf = (fileName: string): LegacyChunkId | undefined =>
  /^[0-9a-f]{32}\.chunk\.lzo$/.test(fileName) ? brand(fileName.slice(0, 32)) : undefined

/** The id that lies packed at `at` in `bytes`. */
export const idAt = (bytes: Uint8Array, at: number): LegacyChunkId =>
  brand(Buffer.from(bytes.buffer, bytes.byteOffset + at, ID_LENGTH).toString("hex"))

/** Where a chunk lies below the repository's directory. */
export const relativePath = (id: LegacyChunkId): string => `chunks/${id.slice(0, 2)}/${id}${SUFFIX}`

/** Where it lies in a store of version 1, one that has no `chunks/store` file. */
export const relativePathV1 = (id: LegacyChunkId): string => `chunks/${id.slice(0, 2)}/${id.slice(2, 4)}/${id}${SUFFIX}`

/** The id of a content. */
export const hash = (content: Uint8Array): LegacyChunkId => idAt(murmur3(content), 0)

/** A chunk file that does not hold the content which its name promises. */
export class LegacyChunkInvalid extends Data.TaggedError("LegacyChunkInvalid")<{
  readonly id: LegacyChunkId
  /** The compressed bytes are damaged, or they are sound and hold another content. */
  readonly reason: Lzo.LzoFault | "wrong-content"
  readonly detail: string
}> {
  override get message() {
    return `legacy chunk ${this.id} is damaged: ${this.detail}`
  }
}

/**
 * The content of a chunk file, checked against its name.
 *
 * It may be longer than the image needs: where an image shrank, 2.5 kept the stale rest of its last chunk. It may be
 * shorter than `CHUNK_SIZE` at an image's end. Both are for the caller to judge, who knows the image's size.
 *
 * `limit` (default `CHUNK_SIZE`) bounds the content in bytes, and so the memory. With `scratch` of at least that
 * length nothing is allocated, and the content is a view of it. Never throws, whatever the bytes.
 */
export const decode = (
  id: LegacyChunkId,
  file: Uint8Array,
  options?: { readonly limit?: number; readonly scratch?: Uint8Array }
): Either.Either<Uint8Array, LegacyChunkInvalid> => {
  const content = Lzo.decode(file, options?.limit ?? CHUNK_SIZE, options?.scratch)
  if (Either.isLeft(content)) {
    const { fault, message } = content.left
    return Either.left(new LegacyChunkInvalid({ id, reason: fault, detail: message }))
  }
  const found = hash(content.right)
  return found === id
    ? Either.right(content.right)
    : Either.left(
      new LegacyChunkInvalid({ id, reason: "wrong-content", detail: `its content hashes to ${found}` })
    )
}
