/**
 * The note at the beginning of a target that is neither what it was nor what it shall be. It takes the first sector, so
 * that nobody boots such a mixture or finds partitions on it, and `head -n 1` tells what it is.
 */
import * as Effect from "effect/Effect"
import type { OpenFile } from "../platform/BlockFile.ts"

/** Bytes of a note: a sector is written as a whole, or not at all. */
const LENGTH = 512

const BEGIN = "backy: a delta restore to this has not ended; revision "
const END =
  ". It is a mixture of old and new.\nRun the same command again: it completes it. So does a restore without --delta.\n"

/** How many bytes of an image of `size` bytes the note takes. */
export const lengthIn = (size: number): number => Math.min(LENGTH, size)

/** Writes the note, durably. */
export const write = (file: OpenFile, size: number, revision: string) => {
  const note = new Uint8Array(lengthIn(size))
  new TextEncoder().encodeInto(`${BEGIN}${revision}${END}`, note)
  return Effect.zipRight(file.writeAt(note, 0), file.sync)
}

/** The revision that a note names; `undefined` where there is none. */
export const find = (file: OpenFile) =>
  Effect.gen(function*() {
    const bytes = new Uint8Array(LENGTH)
    const text = new TextDecoder().decode(bytes.subarray(0, yield* file.readAt(bytes, 0)))
    return text.startsWith(BEGIN) ? /^[0-9A-Za-z]+/.exec(text.slice(BEGIN.length))?.[0] : undefined
  })
