/** A chunk map as a file: its lines, and the digest of them as the last one. */
import * as Data from "effect/Data"
import * as Either from "effect/Either"
import * as ChunkMap from "../domain/ChunkMap.ts"
import * as DigestLine from "../platform/digestLine.ts"
import * as Hash from "../platform/hash.ts"
import * as Alpha from "./alphaFormat.ts"

/** The file is not what was written, whatever its lines say. Nothing may be purged on its account. */
export class MapUnsealed extends Data.TaggedError("MapUnsealed")<{ readonly reason: string }> {
  override get message() {
    return this.reason
  }
}

const WORD = "digest "

/** The bytes of a map's file. */
export const encode = (map: ChunkMap.ChunkMap): Uint8Array => DigestLine.seal(WORD, ChunkMap.encode(map))

/** BLAKE3 of a whole file, as `map_digest` in the revision says it. */
export const digestOf = (bytes: Uint8Array): string => Hash.toHex(Hash.load().hash(bytes))

const begin = new TextEncoder().encode(`${ChunkMap.firstLine(4)}\n`)

/** Whether a file begins as a map of ours does. A guest can write the same to its disk. */
export const isBegun = (bytes: Uint8Array): boolean => Buffer.compare(bytes.subarray(0, begin.length), begin) === 0

/** Reads the bytes of a map's file; its last line must be the digest of all others. */
export const decode = (bytes: Uint8Array): Either.Either<ChunkMap.ChunkMap, ChunkMap.ChunkMapInvalid | MapUnsealed> => {
  if (Alpha.isMap(bytes)) return Either.left(new MapUnsealed({ reason: Alpha.REASON }))
  // what is no map at all is told as such
  if (!isBegun(bytes)) return ChunkMap.decode(bytes)
  const opened = DigestLine.open(WORD, bytes)
  switch (opened._tag) {
    case "Whole":
      return ChunkMap.decode(opened.body)
    case "Wrong":
      return Either.left(new MapUnsealed({ reason: opened.reason }))
    case "Absent":
      return Either.left(new MapUnsealed({ reason: DigestLine.ABSENT }))
  }
}
