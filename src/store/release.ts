/** Smaller buffers may share the memory of Node's pool with others, and are not worth the trouble. */
const LARGE = 256 * 1024

/** Whether a buffer has memory of its own: then it can be given back, or away to another thread. */
export const hasOwnMemory = (bytes: Uint8Array): boolean =>
  bytes.buffer instanceof ArrayBuffer && bytes.buffer.byteLength >= LARGE

/** The memory of a buffer that is all there is in it, to be moved to another thread; of others nothing, they are copied. */
export const movable = (bytes: Uint8Array): Array<ArrayBuffer> =>
  bytes.buffer instanceof ArrayBuffer && hasOwnMemory(bytes) && bytes.buffer.byteLength === bytes.byteLength
    ? [bytes.buffer]
    : []

/**
 * Gives the memory of a large buffer back at once. V8 lets tens of megabytes of dead buffers pile up in every thread
 * before it collects them, since they lie outside of its heap. The buffer must have been allocated for this one use, as
 * zlib's results are, and nobody may look at it afterwards.
 */
export const release = (bytes: Uint8Array): void => {
  if (bytes.buffer instanceof ArrayBuffer && bytes.buffer.byteLength >= LARGE && !bytes.buffer.detached) {
    bytes.buffer.transfer(0)
  }
}
