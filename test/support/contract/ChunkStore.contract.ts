/** What every layer of `ChunkStore` must do: the map in memory, and files over simulated and real disks. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { ChunkId } from "../../../src/domain/ChunkId.ts"
import * as Id from "../../../src/domain/ChunkId.ts"
import { portable } from "../../../src/platform/hash.ts"
import { ChunkStore, fileName } from "../../../src/store/ChunkStore.ts"

const content = (byte: number, length = 1000): Uint8Array => new Uint8Array(length).fill(byte)
const idOf = (bytes: Uint8Array): ChunkId => Id.fromBytes(portable(bytes))
const folderOf = (id: ChunkId): string => id.slice(0, 2)

/** Runs the suite. `use` gives the test an empty store. */
export const chunkStoreContract = (
  name: string,
  use: <E>(test: Effect.Effect<void, E, ChunkStore>) => Effect.Effect<void, E>
): void => {
  const inStore = <E>(test: (store: ChunkStore["Type"]) => Effect.Effect<void, E>) =>
    use(Effect.flatMap(ChunkStore, (store) => Effect.zipRight(Effect.orDie(store.prepare), test(store))))

  /** All chunks, sorted. */
  const all = (store: ChunkStore["Type"]) =>
    Effect.map(
      Effect.flatMap(store.folders, Effect.forEach((folder) => store.list(folder))),
      (folders) => folders.flatMap(({ chunks }) => chunks).sort()
    )

  describe(`ChunkStore: ${name}`, () => {
    it.effect("is empty at first, and can be prepared again", () =>
      inStore((store) =>
        Effect.gen(function*() {
          yield* store.prepare
          assert.deepStrictEqual(yield* all(store), [])
          assert.deepStrictEqual(yield* store.list("00"), { chunks: [], legacy: [], leftovers: [], unknown: [] })
        })
      ))

    it.effect("gives back what was put under the hash of its content", () =>
      inStore((store) =>
        Effect.gen(function*() {
          for (const bytes of [content(1), content(2, 1), content(3, 100_000)]) {
            const id = yield* store.put(bytes)
            assert.strictEqual(id, idOf(bytes))
            assert.deepStrictEqual(Uint8Array.from(yield* store.get(id, bytes.length)), bytes)
          }
        })
      ))

    it.effect("lists chunks in the folder that begins their name", () =>
      inStore((store) =>
        Effect.gen(function*() {
          const ids = yield* Effect.forEach([1, 2, 3, 4, 5], (byte) => store.put(content(byte)))
          assert.deepStrictEqual(yield* all(store), [...ids].sort())
          const folders = yield* store.folders
          assert.deepStrictEqual(folders, [...new Set(ids.map(folderOf))].sort())
          for (const id of ids) assert.include((yield* store.list(folderOf(id))).chunks, id)
        })
      ))

    it.effect("stores content once, however often it is put", () =>
      inStore((store) =>
        Effect.gen(function*() {
          const id = yield* store.put(content(1))
          assert.strictEqual(yield* store.put(content(1)), id)
          assert.deepStrictEqual(yield* all(store), [id])
        })
      ))

    it.effect("says that a chunk is missing", () =>
      inStore((store) =>
        Effect.gen(function*() {
          const id = idOf(content(9))
          const error = yield* Effect.flip(store.get(id, 1000))
          assert.strictEqual(error.state, "missing")
          assert.strictEqual(error.message, `chunk ${id} is missing`)
        })
      ))

    it.effect("refuses a chunk that is not as long as its place requires", () =>
      inStore((store) =>
        Effect.gen(function*() {
          const id = yield* store.put(content(1))
          for (const length of [1, 999, 1001]) {
            assert.strictEqual((yield* Effect.flip(store.get(id, length))).state, "damaged", `${length}`)
          }
        })
      ))

    it.effect("removes chunks by file name, and does not mind what is not there", () =>
      inStore((store) =>
        Effect.gen(function*() {
          const one = yield* store.put(content(1))
          const two = yield* store.put(content(2))
          yield* store.remove(folderOf(one), [fileName(one), fileName(idOf(content(9)))])
          assert.deepStrictEqual(yield* all(store), [two])
          yield* store.remove("00", ["nothing"])
          assert.strictEqual((yield* Effect.flip(store.get(one, 1000))).state, "missing")
        })
      ))

    it.effect("stores again what was removed between two puts", () =>
      inStore((store) =>
        Effect.gen(function*() {
          const id = yield* store.put(content(1))
          yield* store.remove(folderOf(id), [fileName(id)])
          yield* store.put(content(1))
          assert.deepStrictEqual(Uint8Array.from(yield* store.get(id, 1000)), content(1))
        })
      ))

    it.effect("tells the size of files, and counts nothing for those that are not there", () =>
      inStore((store) =>
        Effect.gen(function*() {
          const id = yield* store.put(content(1))
          const size = yield* store.sizeOf(folderOf(id), [fileName(id)])
          assert.isAbove(size, 0)
          assert.strictEqual(yield* store.sizeOf(folderOf(id), [fileName(idOf(content(9)))]), 0)
          assert.strictEqual(yield* store.sizeOf("00", []), 0)
          assert.strictEqual(yield* store.remove(folderOf(id), [fileName(idOf(content(9))), fileName(id)]), size)
          assert.strictEqual(yield* store.remove(folderOf(id), [fileName(id)]), 0)
        })
      ))

    it.effect("syncs folders", () =>
      inStore((store) =>
        Effect.gen(function*() {
          const id = yield* store.put(content(1))
          yield* store.sync([])
          yield* store.sync([folderOf(id)])
        })
      ))

    it.effect("does not give its memory away: what a caller does to the bytes changes nothing", () =>
      inStore((store) =>
        Effect.gen(function*() {
          const bytes = content(1)
          const id = yield* store.put(bytes)
          bytes.fill(7)
          const read = yield* store.get(id, 1000)
          read.fill(8)
          assert.deepStrictEqual(Uint8Array.from(yield* store.get(id, 1000)), content(1))
        })
      ))
  })
}
