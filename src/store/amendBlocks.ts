/** What the loops do with a target that already holds something: only what differs is written. */
import type { Descriptor } from "../platform/Disk.ts"
import { toHex } from "../platform/hash.ts"
import { blockLength, hexAt, isZero } from "./blockBytes.ts"
import type * as Protocol from "./BlockProtocol.ts"
import { type Bench, onOpened } from "./blockSource.ts"
import * as ChunkFile from "./chunkFile.ts"
import { readChecked, type ReadChunk } from "./readBlocks.ts"
import { release } from "./release.ts"
import * as StoredId from "./storedId.ts"

/** Of a block that differs, pieces of so many bytes are compared: what kernels and file systems write at a time. */
const PIECE = 4096

/** What the target holds at a place; behind the end of a file, zeros. Good until the next call. */
const readTarget = (
  { buffers, tools: { disk } }: Bench,
  target: Descriptor,
  position: number,
  length: number
): Uint8Array => {
  const data = disk.nextData(target, position)
  if (data === undefined || data.offset >= position + length) return buffers.zeros(length)
  const block = buffers.block(length)
  block.fill(0, ChunkFile.readFully(disk, target, block, position))
  return block
}

/** The parts in which two contents of one length differ, from a byte on. */
const differences = (
  wanted: Uint8Array,
  present: Uint8Array,
  from: number
): ReadonlyArray<readonly [from: number, to: number]> => {
  const found: Array<readonly [number, number]> = []
  let start: number | undefined
  for (let at = from; at < wanted.byteLength;) {
    const end = Math.min(wanted.byteLength, (Math.floor(at / PIECE) + 1) * PIECE)
    const isEqual = Buffer.compare(wanted.subarray(at, end), present.subarray(at, end)) === 0
    if (!isEqual) start ??= at
    else if (start !== undefined) {
      found.push([start, at])
      start = undefined
    }
    at = end
  }
  if (start !== undefined) found.push([start, wanted.byteLength])
  return found
}

/** Whether an id is the hash of the block's bytes. */
const isHash = (hex: string): boolean =>
  !StoredId.isLost(hex) && !StoredId.isUnknown(hex) && StoredId.legacyName(hex) === undefined

/** Writes what differs. A block that hashes to what is wanted needs no chunk. */
export const amend = (bench: Bench, request: Protocol.Amend): Protocol.Amended => {
  const { buffers, tools: { disk, hash } } = bench
  const differing: Array<number> = []
  const bad: Array<Protocol.BadChunk> = []
  let written = 0
  let cleared = 0

  const amendBlock = (target: Descriptor, index: number, hex: string | null): void => {
    const length = blockLength(request, index)
    const position = index * request.chunkSize
    const from = Math.max(0, request.keep - position)
    if (from >= length) return
    const present = readTarget(bench, target, position, length)
    if (hex === null ? isZero(present.subarray(from)) : from === 0 && isHash(hex) && toHex(hash(present)) === hex) {
      return
    }
    const chunk: ReadChunk = hex === null
      ? { content: buffers.zeros(length), shared: true }
      : readChecked(bench, request, index, hex)
    if ("bad" in chunk) bad.push(chunk.bad)
    if ("bad" in chunk && request.lost === "keep") return
    const wanted = "bad" in chunk ? buffers.zeros(length) : chunk.content
    const parts = differences(wanted, present, from)
    const bytes = parts.reduce((sum, [start, end]) => sum + end - start, 0)
    const isCleared = bytes > 0 && (hex === null || "bad" in chunk) && request.zeros === "punch" &&
      (request.dryRun || disk.punch(target, position + from, length - from))
    if (!request.dryRun && !isCleared) {
      for (const [start, end] of parts) {
        ChunkFile.writeFully(disk, target, wanted.subarray(start, end), position + start, request.target.path)
      }
    }
    if (bytes > 0) differing.push(index)
    if (isCleared) cleared += bytes
    else written += bytes
    if ("content" in chunk && !chunk.shared) release(chunk.content)
  }

  onOpened(request.target, (target) => {
    request.indexes.forEach((index, at) => amendBlock(target, index, hexAt(request.ids, at)))
  })
  return { differing, written, cleared, bad }
}
