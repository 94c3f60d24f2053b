/**
 * One chunk's bytes to one zstd frame and back (RFC 8878), synchronous for the worker threads.
 */
import * as Zlib from "node:zlib"

/** zstd compression level when the configuration names none. */
export const DEFAULT_LEVEL = 1

/** The room a frame may take beyond its content: incompressible blocks grow a little. */
const FRAME_OVERHEAD = 64 * 1024

/** No valid frame of `contentLength` bytes is longer than this; a longer file is damaged and is not read. */
export const maxFrameLength = (contentLength: number): number => contentLength + FRAME_OVERHEAD

/** A zstd frame with the content size in its header. Levels as zstd counts them, 1 to 22. */
export const compress = (content: Uint8Array, level: number): Uint8Array =>
  Zlib.zstdCompressSync(content, {
    params: { [Zlib.constants.ZSTD_c_compressionLevel]: level },
    pledgedSrcSize: content.byteLength,
    // one output buffer that surely suffices: zlib would collect 64 KiB pieces and copy them together
    chunkSize: maxFrameLength(content.byteLength)
  })

/**
 * The content of a frame, or `undefined` when it is no valid frame, is followed by anything, or would give more than
 * `limit` bytes: a decompression bomb costs at most `limit` bytes of memory.
 */
export const decompress = (frame: Uint8Array, limit: number): Uint8Array | undefined => {
  try {
    const { buffer, engine } = decompressWithInfo(frame, {
      // zlib refuses a limit of 0, and an empty chunk does not exist
      maxOutputLength: Math.max(1, limit),
      // one byte more than can come: the whole content in one buffer and one call
      chunkSize: Math.max(64, limit + 1),
      info: true
    })
    return engine.bytesWritten === frame.byteLength ? buffer : undefined
  } catch {
    return undefined
  }
}

/** The types do not know that `info` changes the result; `bytesWritten` counts the input that was used. */
const decompressWithInfo = Zlib.zstdDecompressSync as unknown as (
  frame: Uint8Array,
  options: Zlib.ZstdOptions
) => { readonly buffer: Buffer; readonly engine: { readonly bytesWritten: number } }
