/**
 * The name of a chunk: the BLAKE3-256 hash of its uncompressed bytes, as 64 lower-case hex digits.
 */
import * as Schema from "effect/Schema"

/** How many bytes a packed id takes. */
export const BYTES = 32

/** Decodes the name of a chunk; anything but 64 lower-case hex digits is refused. */
export const ChunkId = Schema.String.pipe(
  Schema.pattern(/^[0-9a-f]{64}$/),
  Schema.brand("ChunkId")
).annotations({
  identifier: "ChunkId",
  message: () => ({ message: "expected the name of a chunk: 64 lower-case hex digits", override: true })
})
export type ChunkId = typeof ChunkId.Type

/** Whether the value is the name of a chunk. */
export const is: (value: unknown) => value is ChunkId = Schema.is(ChunkId)

const hexOfByte: ReadonlyArray<string> = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"))

/** The id that 32 packed bytes spell. Other lengths are a bug of the caller and throw a RangeError. */
export const fromBytes = (bytes: Uint8Array): ChunkId => {
  if (bytes.length !== BYTES) throw new RangeError(`a chunk id has ${BYTES} bytes, not ${bytes.length}`)
  let text = ""
  for (let i = 0; i < BYTES; i++) text += hexOfByte[bytes[i]!]!
  // Two hex digits for each of 32 bytes: what the schema demands holds by construction, and this runs once a chunk.
  return text as ChunkId
}

/** The 32 packed bytes of an id, freshly allocated. */
export const toBytes = (id: ChunkId): Uint8Array => {
  const bytes = new Uint8Array(BYTES)
  for (let i = 0; i < BYTES; i++) bytes[i] = Number.parseInt(id.slice(2 * i, 2 * i + 2), 16)
  return bytes
}

/** Where a chunk lies, relative to its repository: `chunks/ab/ab34….chunk.zst`. */
export const relativePath = (id: ChunkId): string => `chunks/${id.slice(0, 2)}/${id}.chunk.zst`
