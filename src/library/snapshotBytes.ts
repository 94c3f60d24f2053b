/** A snapshot as bytes, held to what `Source.ts` promises of it. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Extent from "../domain/Extent.ts"
import { BlockFile } from "../platform/BlockFile.ts"
import type { Change, Snapshot } from "../source/Source.ts"

/** In pieces of how many bytes samples are read. */
const PIECE = 64 * 1024

/** What two readings of a snapshot gave, or in what it is none. */
export interface Readings {
  readonly first: Uint8Array
  readonly second: Uint8Array
}

const lengthOf = (change: Change): number => change._tag === "Write" ? change.bytes.length : change.length

/** Applies changes to an image of zeros. Fails with a sentence when one lies outside of it. */
const applied = <E>(size: number, changes: Stream.Stream<Change, E>): Effect.Effect<Uint8Array, E | string> =>
  Effect.suspend(() => {
    const image = new Uint8Array(size)
    return Effect.as(
      Stream.runForEach(changes, (change) => {
        const length = lengthOf(change)
        const { offset } = change
        if (
          ![offset, length].every((number) => Number.isSafeInteger(number) && number >= 0) || offset + length > size
        ) {
          return Effect.fail(`a change of ${length} bytes at ${offset} lies outside of an image of ${size} bytes`)
        }
        if (change._tag === "Write") image.set(change.bytes, offset)
        else image.fill(0, offset, offset + length)
        return Effect.void
      }),
      image
    )
  })

/** Reads all of a snapshot twice, in the ways that it offers. Fails with a sentence, or as the source does. */
export const read = ({ content, size }: Snapshot) =>
  Effect.gen(function*() {
    if (content._tag === "Readable") {
      const file = yield* (yield* BlockFile).open(content.path, { access: "read", follow: true })
      const extents = yield* content.dataExtents
      const image = new Uint8Array(size)
      const count = yield* file.readAt(image, 0)
      if (count !== size) return yield* Effect.fail(`its size is ${size} bytes, and ${count} can be read`)
      const lost = image.findIndex((byte, offset) => byte !== 0 && !Extent.covers(extents, { offset, length: 1 }))
      if (lost >= 0) return yield* Effect.fail(`byte ${lost} holds data, and no data extent has it`)
      yield* content.unchanged
      return { first: image, second: image } satisfies Readings
    }
    const { base, changes } = yield* content.since([])
    if (base !== undefined) return yield* Effect.fail("it compares with a revision that was not offered")
    const first = yield* applied(size, changes)
    if (content.second._tag === "Again") {
      return { first, second: yield* applied(size, content.second.changes) } satisfies Readings
    }
    const second = new Uint8Array(size)
    for (let offset = 0; offset < size; offset += PIECE) {
      const length = Math.min(PIECE, size - offset)
      const bytes = yield* content.second.read(offset, length)
      if (bytes.length !== length) return yield* Effect.fail(`a sample of ${length} bytes has ${bytes.length}`)
      second.set(bytes, offset)
    }
    return { first, second } satisfies Readings
  })
