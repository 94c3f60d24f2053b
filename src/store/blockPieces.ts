/**
 * Reading a block of the source where the whole of it is not needed: in pieces that stay in the processor's cache. The
 * kernel copies into such a buffer several times as fast as into one of a block's length, and what is done with the
 * piece finds it there.
 */
import type { Descriptor, Opened } from "../platform/Disk.ts"
import { blockLength, isZero } from "./blockBytes.ts"
import type * as Protocol from "./BlockProtocol.ts"
import { type Bench, SourceEnded } from "./blockSource.ts"
import * as ChunkFile from "./chunkFile.ts"

/** Bytes of a piece: half of a usual second-level cache. */
export const PIECE = 256 * 1024

type Request = Protocol.Blocks & { readonly source: Opened }

/** Reads a part of the source. Throws `SourceEnded`. */
const readPart = ({ tools }: Bench, request: Request, source: Descriptor, buffer: Buffer, position: number): Buffer => {
  const count = ChunkFile.readFully(tools.disk, source, buffer, position)
  if (count < buffer.byteLength) throw new SourceEnded(request.source.path, position + count)
  return buffer
}

/**
 * What a block of the source holds: nothing but zeros, the content that hashes to `digest`, or something else, which
 * also is the answer where looking at it in pieces would gain nothing. Without `digest` the first byte that is not zero
 * ends it. Throws `SourceEnded`.
 */
export const glance = (
  bench: Bench,
  request: Request,
  source: Descriptor,
  index: number,
  digest: Uint8Array | undefined
): "zeros" | "same" | "other" => {
  const { buffers, tools } = bench
  const length = blockLength(request, index)
  if (length <= tools.piece) return "other"
  let hasher: ReturnType<typeof tools.hasher> | undefined
  for (let at = 0; at < length; at += tools.piece) {
    const buffer = buffers.piece(Math.min(tools.piece, length - at))
    const part = readPart(bench, request, source, buffer, index * request.chunkSize + at)
    if (hasher === undefined) {
      if (isZero(part)) continue
      if (digest === undefined) return "other"
      hasher = tools.hasher()
      const zeros = buffers.zeros(tools.piece)
      for (let fed = 0; fed < at; fed += zeros.byteLength) hasher.update(zeros)
    }
    hasher.update(part)
  }
  if (hasher === undefined || digest === undefined) return "zeros"
  return Buffer.compare(hasher.digest(), digest) === 0 ? "same" : "other"
}

/**
 * Reads a block of the source and compares it with what it should be, `undefined` for zeros. Returns nothing when it is
 * equal, else the block as this one reading found it, in a buffer that is used again. Throws `SourceEnded`.
 */
export const readDiffering = (
  bench: Bench,
  request: Request,
  source: Descriptor,
  index: number,
  expected: Uint8Array | undefined
): Uint8Array | undefined => {
  const { buffers, tools } = bench
  const length = blockLength(request, index)
  const position = index * request.chunkSize
  for (let at = 0; at < length; at += tools.piece) {
    const part = readPart(bench, request, source, buffers.piece(Math.min(tools.piece, length - at)), position + at)
    const end = at + part.byteLength
    if (expected === undefined ? isZero(part) : Buffer.compare(part, expected.subarray(at, end)) === 0) continue
    const block = buffers.block(length)
    if (expected === undefined) block.fill(0, 0, at)
    else block.set(expected.subarray(0, at))
    block.set(part, at)
    readPart(bench, request, source, block.subarray(end), position + end)
    return block
  }
  return undefined
}
