/** Reading blocks of a source, and the buffers that a thread uses again and again. */
import type { Descriptor, Opened } from "../platform/Disk.ts"
import { blockLength } from "./blockBytes.ts"
import type * as Protocol from "./BlockProtocol.ts"
import * as ChunkFile from "./chunkFile.ts"

/** The source ended before a block that its size had promised. */
export class SourceEnded extends Error {
  readonly path: string
  readonly position: number
  constructor(path: string, position: number) {
    super(`${path} ends at byte ${position}`)
    this.path = path
    this.position = position
  }
}

/** What every loop of a thread works with. */
export interface Bench {
  readonly tools: ChunkFile.Tools
  readonly buffers: Buffers
}

/** Runs `use` on a file that somebody else opened, and keeps open. What its calls throw names its path. */
export const onOpened = <A>({ descriptor, path }: Opened, use: (descriptor: Descriptor) => A): A => {
  try {
    return use(descriptor)
  } catch (cause) {
    throw cause instanceof Error && "syscall" in cause && !("path" in cause) ? Object.assign(cause, { path }) : cause
  }
}

/** A block of the source, in a buffer that the next call uses again. Throws `SourceEnded`. */
export const readBlock = (
  { buffers, tools }: Bench,
  request: Protocol.Blocks & { readonly source: Opened },
  source: Descriptor,
  index: number
): Uint8Array => {
  const position = index * request.chunkSize
  const block = buffers.block(blockLength(request, index))
  const count = ChunkFile.readFully(tools.disk, source, block, position)
  if (count < block.byteLength) throw new SourceEnded(request.source.path, position + count)
  return block
}

/** Buffers that are used again: each kind lives until it is asked for the next time. */
export interface Buffers {
  /** For blocks of a source. */
  readonly block: (length: number) => Buffer
  /** For pieces of them. */
  readonly piece: (length: number) => Buffer
  /** For blocks of an image, beside those of a source. */
  readonly held: (length: number) => Buffer
  /** Nothing but zeros. */
  readonly zeros: (length: number) => Buffer
}

/** A buffer that grows to the longest length it was asked for. */
const growing = (allocate: (length: number) => Buffer) => {
  let buffer = allocate(0)
  return (length: number): Buffer => {
    if (buffer.byteLength < length) buffer = allocate(length)
    return buffer.subarray(0, length)
  }
}

/** One thread's buffers. */
export const makeBuffers = (): Buffers => ({
  block: growing((length) => Buffer.allocUnsafeSlow(length)),
  piece: growing((length) => Buffer.allocUnsafeSlow(length)),
  held: growing((length) => Buffer.allocUnsafeSlow(length)),
  zeros: growing((length) => Buffer.alloc(length))
})
