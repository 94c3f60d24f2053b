/**
 * Version 3 of the format, which only alphas of 3.0 wrote: metadata and maps without digests of their own. `upgrade`
 * converts it, everything else refuses it.
 */
import * as Either from "effect/Either"
import * as ChunkMap from "../domain/ChunkMap.ts"
import * as Revision from "../domain/Revision.ts"
import * as Hash from "../platform/hash.ts"

/** What everything but `upgrade` says of it. */
export const REASON =
  "it is of version 3 of the format, which only alphas of backy 3.0 wrote; backy upgrade converts it"

/** What a `.rev` file of an alpha says, in the words of version 4; `map_digest` is that of the map of version 3. */
export const revision = (text: string): Revision.Revision | undefined => {
  const isChunked = /^backend_type: chunked-v3$/m.test(text)
  const parsed = Revision.parseYaml(isChunked ? text.replace(/^backend_type: chunked-v3$/m, CHUNKED) : text)
  if (Either.isLeft(parsed)) return undefined
  const { backendType, isComplete, mapDigest } = parsed.right
  // only the line above can have made it so
  if (!isChunked && backendType.endsWith("-v4")) return undefined
  if (isChunked) return isComplete === (mapDigest !== undefined) ? parsed.right : undefined
  return backendType === "cowfile" && mapDigest !== undefined
    ? Revision.update(parsed.right, { backendType: "cowfile-v4" })
    : parsed.right
}

const CHUNKED = "backend_type: chunked-v4"

const begin = new TextEncoder().encode(`${ChunkMap.firstLine(3)}\n`)

/** Whether a file begins as a map of an alpha does. */
export const isMap = (bytes: Uint8Array): boolean => Buffer.compare(bytes.subarray(0, begin.length), begin) === 0

/** Whether the map is the one of which an alpha noted this digest. */
export const isOf = (map: ChunkMap.ChunkMap, digest: string): boolean =>
  Hash.toHex(Hash.load().hash(ChunkMap.encode(map, 3))) === digest
