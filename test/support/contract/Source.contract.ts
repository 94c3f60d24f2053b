/** What every source that can be read at a path must do. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Extent from "../../../src/domain/Extent.ts"
import { fromRandom } from "../../../src/domain/RevisionId.ts"
import type { Disk } from "../../../src/platform/Disk.ts"
import { Source, type SourceChanged, type SourceNotReady } from "../../../src/source/Source.ts"
import { bytesOf } from "../diskFiles.ts"
import { readableSnapshot } from "../readableSnapshot.ts"

/** An image that a test may change, and where it can be read. */
export interface Image {
  readonly disk: Disk
  /** Makes the image hold these bytes; they are as long as `bytes` was. */
  readonly write: (bytes: Uint8Array) => void
  /** Makes it another length, or says that this image has a fixed one. */
  readonly resize: ((size: number) => void) | undefined
  /** Whether the source learns of a write that changes no size. */
  readonly noticesWrites: boolean
}

const revision = fromRandom(new Uint8Array(16))

/** Runs the suite. `use` gives the test a source of an image with these bytes. */
export const sourceContract = (
  name: string,
  use: <E>(bytes: Uint8Array, test: (image: Image) => Effect.Effect<void, E, Source>) => Effect.Effect<void, E>
): void => {
  const SIZE = 64 * 1024
  const bytes = new Uint8Array(SIZE).map((_, index) => index >= 16_384 && index < 32_768 ? index % 251 + 1 : 0)

  const inSnapshot = <E>(
    image: Uint8Array,
    test: (
      image: Image,
      snapshot: Effect.Effect.Success<ReturnType<typeof readableSnapshot>>
    ) => Effect.Effect<void, E | SourceChanged | SourceNotReady>
  ) =>
    use(image, (place) =>
      Effect.scoped(Effect.gen(function*() {
        const source = yield* Source
        yield* source.check
        yield* test(place, yield* readableSnapshot(source, revision))
      })))

  describe(`Source: ${name}`, () => {
    it.effect("has the size and the bytes of the image", () =>
      inSnapshot(bytes, ({ disk }, { content, size }) =>
        Effect.sync(() => {
          assert.strictEqual(size, SIZE)
          assert.isTrue(Buffer.compare(bytesOf(disk, content.path), bytes) === 0)
        })))

    it.effect("tells of all data where it may be, within the image", () =>
      inSnapshot(bytes, (_, { content }) =>
        Effect.gen(function*() {
          const extents = yield* content.dataExtents
          assert.isTrue(Extent.covers(extents, { offset: 16_384, length: 16_384 }))
          assert.deepStrictEqual(Extent.clip(extents, SIZE), Extent.normalise(extents))
        })))

    it.effect("is content as long as nobody touches the image", () =>
      inSnapshot(bytes, ({ disk }, { content }) =>
        Effect.gen(function*() {
          bytesOf(disk, content.path)
          yield* content.dataExtents
          yield* content.unchanged
        })))

    it.effect("tells of data that came after the snapshot", () =>
      inSnapshot(bytes, (image, { content }) =>
        Effect.gen(function*() {
          yield* content.dataExtents
          const more = Uint8Array.from(bytes).fill(1, 49_152, 49_153)
          image.write(more)
          assert.isTrue(Extent.covers(yield* content.dataExtents, { offset: 49_152, length: 1 }))
          if (!image.noticesWrites) return
          const error = yield* Effect.flip(content.unchanged)
          assert.strictEqual(error._tag, "SourceChanged")
          assert.include(error.message, "changed while it was read: it was written to")
        })))

    it.effect("tells of another size", () =>
      inSnapshot(bytes, (image, { content }) =>
        Effect.gen(function*() {
          if (image.resize === undefined) return
          image.resize(SIZE + 1)
          assert.include((yield* Effect.flip(content.unchanged)).message, `from ${SIZE} to ${SIZE + 1} bytes`)
          image.resize(10)
          assert.include((yield* Effect.flip(content.unchanged)).message, `from ${SIZE} to 10 bytes`)
        })))

    it.effect("may be empty where images can be", () =>
      use(new Uint8Array(0), (image) =>
        Effect.scoped(Effect.gen(function*() {
          if (image.resize === undefined) return
          const { content, size } = yield* readableSnapshot(yield* Source, revision)
          assert.strictEqual(size, 0)
          assert.deepStrictEqual(yield* content.dataExtents, [])
          yield* content.unchanged
        }))))
  })
}
