/**
 * The chunk map as it lies on disk: text that a shell can read, scanned and written byte by byte, because the map of
 * 10 TiB has 2.6 million lines and must not become 2.6 million strings. Without the last line of the file, its digest:
 * `repository/mapFile.ts` has that.
 */
import * as Data from "effect/Data"
import * as Either from "effect/Either"
import { BYTES } from "./ChunkId.ts"
import type { ChunkMap } from "./ChunkMap.ts"

/** The bytes are no chunk map. What it names is unknown, so nothing may be purged on its account. */
export class ChunkMapInvalid extends Data.TaggedError("ChunkMapInvalid")<{
  readonly line: number
  readonly reason: string
}> {
  override get message() {
    return `the chunk map is damaged in line ${this.line}: ${this.reason}`
  }
}

/** A chunk of another size than ours is readable up to this many bytes; one chunk must fit in memory several times. */
const MAX_CHUNK_SIZE = 64 * 1024 * 1024

const NEWLINE = 0x0a
const DASH = 0x2d
const LINE_BYTES = 2 * BYTES + 1
/** No header line is longer; a file of something else must not be searched to its end for a newline. */
const MAX_HEADER_BYTES = 64
const HEADER_LINES = 3

const digitOfNibble = new TextEncoder().encode("0123456789abcdef")
const NOT_HEX = 0xff
const nibbleOfDigit = new Uint8Array(256).fill(NOT_HEX)
digitOfNibble.forEach((digit, nibble) => nibbleOfDigit[digit] = nibble)

/** Versions of the format that can be read: 4, and 3, which only alphas of 3.0 wrote. */
export type Version = 3 | 4

/** The first line of a map. */
export const firstLine = (version: Version): string => `backy-map ${version}`

/** The lines of a map. */
export const encode = (map: ChunkMap, version: Version = 4): Uint8Array => {
  const header = new TextEncoder().encode(`${firstLine(version)}\nsize ${map.size}\nchunk-size ${map.chunkSize}\n`)
  const { ids } = map
  const bytes = new Uint8Array(header.length + (ids.length / BYTES) * LINE_BYTES)
  bytes.set(header)
  let at = header.length
  for (let id = 0; id < ids.length; id += BYTES) {
    const start = at
    let any = 0
    for (let i = id; i < id + BYTES; i++) {
      const byte = ids[i]!
      any |= byte
      bytes[at++] = digitOfNibble[byte >> 4]!
      bytes[at++] = digitOfNibble[byte & 15]!
    }
    if (any === 0) {
      at = start
      bytes[at++] = DASH
    }
    bytes[at++] = NEWLINE
  }
  return bytes.subarray(0, at)
}

/**
 * Reads the lines of a map. Strict: what `encode` would not write is refused, since a map is only worth its digest if there is
 * one way to write it. Allocates at most 16 times the bytes given, whatever size they claim.
 */
export const decode = (bytes: Uint8Array, version: Version = 4): Either.Either<ChunkMap, ChunkMapInvalid> => {
  const headers = readHeaders(bytes, version)
  if (headers instanceof ChunkMapInvalid) return Either.left(headers)
  const { at, chunkSize, size } = headers
  const count = Math.ceil(size / chunkSize)
  if (bytes.length - at < 2 * count) {
    return invalid(countLines(bytes), `an image of ${size} bytes has ${count} chunks, but the file ends before`)
  }
  const ids = new Uint8Array(count * BYTES)
  const problem = readIds(bytes, at, ids)
  return problem === undefined ? Either.right({ size, chunkSize, ids }) : Either.left(problem)
}

/** Fills `ids` from the lines that begin at `at`; answers what is wrong with them, if anything is. */
const readIds = (bytes: Uint8Array, start: number, ids: Uint8Array): ChunkMapInvalid | undefined => {
  let at = start
  for (let id = 0; id < ids.length; id += BYTES) {
    if (bytes[at] === DASH && bytes[at + 1] === NEWLINE) {
      at += 2
      continue
    }
    let seen = 0
    let any = 0
    // Behind the end of the bytes reads are undefined, which no table entry answers: `| NOT_HEX` makes that an error.
    for (let i = 0; i < BYTES; i++) {
      const high = nibbleOfDigit[bytes[at++]!] ?? NOT_HEX
      const low = nibbleOfDigit[bytes[at++]!] ?? NOT_HEX
      seen |= high | low
      any |= ids[id + i] = high << 4 | low
    }
    if (seen > 15 || any === 0 || bytes[at++] !== NEWLINE) return describeLine(bytes, start, id / BYTES)
  }
  if (at === bytes.length) return undefined
  const count = ids.length / BYTES
  return new ChunkMapInvalid({
    line: HEADER_LINES + count + 1,
    reason: `there is more behind the ${count} chunks that the image has`
  })
}

/** The slow second look at a line that is known to be wrong, for the sentence. */
const describeLine = (bytes: Uint8Array, start: number, index: number): ChunkMapInvalid => {
  let at = start
  for (let i = 0; i < index; i++) at = bytes.indexOf(NEWLINE, at) + 1
  const line = HEADER_LINES + index + 1
  const stop = bytes.indexOf(NEWLINE, at)
  if (at >= bytes.length) return new ChunkMapInvalid({ line, reason: `the file ends after ${index} chunks` })
  if (stop < 0) return new ChunkMapInvalid({ line, reason: "the file ends within a line" })
  const digits = bytes.subarray(at, stop)
  const isZeros = digits.length === 2 * BYTES && digits.every((digit) => digit === 0x30)
  const reason = isZeros ? "an all-zero chunk is written as \"-\"" : "expected 64 lower-case hex digits or \"-\""
  return new ChunkMapInvalid({ line, reason })
}

interface Headers {
  readonly at: number
  readonly size: number
  readonly chunkSize: number
}

const readHeaders = (bytes: Uint8Array, expected: Version): Headers | ChunkMapInvalid => {
  const lines: Array<string> = []
  let at = 0
  while (lines.length < HEADER_LINES) {
    const stop = bytes.subarray(at, at + MAX_HEADER_BYTES).indexOf(NEWLINE)
    // A first line that never ends is a file of another kind; the sentence about its first line says so.
    const text = stop < 0 ? "" : String.fromCharCode(...bytes.subarray(at, at + stop))
    lines.push(text)
    at += stop + 1
    if (stop < 0) break
  }
  const [version = "", size = "", chunkSize = ""] = lines
  if (version !== firstLine(expected)) {
    return new ChunkMapInvalid({ line: 1, reason: `expected "${firstLine(expected)}"` })
  }
  const imageBytes = numberBehind("size ", size)
  if (imageBytes === undefined) {
    return new ChunkMapInvalid({ line: 2, reason: "expected \"size\" and the image's size in bytes, below 2^53" })
  }
  const chunkBytes = numberBehind("chunk-size ", chunkSize)
  if (chunkBytes === undefined || chunkBytes === 0 || chunkBytes % 512 !== 0 || chunkBytes > MAX_CHUNK_SIZE) {
    return new ChunkMapInvalid({
      line: 3,
      reason: `expected "chunk-size" and a multiple of 512 up to ${MAX_CHUNK_SIZE}`
    })
  }
  return { at, size: imageBytes, chunkSize: chunkBytes }
}

/** The number behind `key` if the line is nothing else, written the one way that `encode` writes it. */
const numberBehind = (key: string, line: string): number | undefined => {
  if (!line.startsWith(key) || !/^(0|[1-9][0-9]{0,15})$/.test(line.slice(key.length))) return undefined
  const value = Number(line.slice(key.length))
  return Number.isSafeInteger(value) ? value : undefined
}

const countLines = (bytes: Uint8Array): number => bytes.reduce((lines, byte) => byte === NEWLINE ? lines + 1 : lines, 1)

const invalid = (line: number, reason: string) => Either.left(new ChunkMapInvalid({ line, reason }))
