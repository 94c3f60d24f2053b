/** Whether a block device holds anything. */
import * as Effect from "effect/Effect"
import type { OpenFile } from "../platform/BlockFile.ts"
import { Devices } from "../platform/Devices.ts"

/** Bytes at each end, where file systems, partition tables and volumes have their headers. */
const ENDS = 16 * 1024 * 1024

/** Places between the ends, and bytes of each. */
const SAMPLES = 64
const SAMPLE = 4096

/** Bytes read at a time. */
const PIECE = 1024 * 1024

/** Where to look: both ends, and samples at equal distances. All of a device that is not much larger. */
function* placesIn(size: number): Generator<readonly [offset: number, length: number]> {
  const head = Math.min(ENDS, size)
  const tail = Math.max(head, size - ENDS)
  for (const [from, to] of [[0, head], [tail, size]] as const) {
    for (let at = from; at < to; at += PIECE) yield [at, Math.min(PIECE, to - at)]
  }
  for (let sample = 0; sample < SAMPLES; sample++) {
    const at = head + Math.floor((tail - head) * (sample + 0.5) / SAMPLES / SAMPLE) * SAMPLE
    if (at < tail) yield [at, Math.min(SAMPLE, tail - at)]
  }
}

/**
 * What an open block device holds, in words; `undefined` when it counts as empty: nobody knows what is on it, and it is
 * zeros wherever one looks, which is at its ends and at samples between them.
 */
export const contentOf = Effect.fn("contentOf")(function*(device: OpenFile, size: number) {
  const signature = yield* (yield* Devices).signature(device)
  if (signature !== undefined) return `it holds ${signature}`
  const buffer = Buffer.alloc(PIECE)
  for (const [offset, length] of placesIn(size)) {
    const piece = buffer.subarray(0, length)
    const count = yield* device.readAt(piece, offset)
    const at = piece.subarray(0, count).findIndex((byte) => byte !== 0)
    if (at !== -1) return `it holds data at byte ${offset + at}`
  }
  return undefined
})
