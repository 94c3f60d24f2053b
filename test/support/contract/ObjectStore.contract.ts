/** What every `ObjectStore` promises: the one in memory, and S3 as a Ceph object gateway speaks it. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { compareKeys } from "../../../src/remote/keyOrder.ts"
import { ObjectStore } from "../../../src/remote/ObjectStore.ts"

/** A bucket, and a prefix of keys in it that nobody else uses. */
export interface ObjectStoreFixture {
  readonly layer: Layer.Layer<ObjectStore>
  readonly prefix: string
  /** Whether the bucket keeps versions. */
  readonly versioned: boolean
  /** Whether it honours conditions of writes, so that of several writers at once one wins. */
  readonly atomic: boolean
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

export const objectStoreContract = (title: string, fixture: () => ObjectStoreFixture): void => {
  describe(`ObjectStore: ${title}`, () => {
    const { atomic, layer, prefix, versioned } = fixture()
    const key = (path: string) => `${prefix}/${path}`
    const provided = Effect.provide(layer)
    const keysBelow = (path: string, options?: { readonly shallow?: boolean }) =>
      Effect.flatMap(
        ObjectStore,
        (store) =>
          Effect.map(Stream.runCollect(store.list(key(path), options)), (chunk) =>
            Array.from(chunk, (one) => one.key.slice(prefix.length + 1)))
      )

    it.live("gives back what was put, replaces it and removes it", () =>
      Effect.gen(function*() {
        const store = yield* ObjectStore
        for (const content of [bytes("first"), bytes(""), new Uint8Array(3_000_000).map((_, at) => at * 7 + at >> 8)]) {
          const { etag } = yield* store.put(key("a"), content)
          const fetched = yield* store.get(key("a"), { limit: 4_000_000 })
          assert.strictEqual(Buffer.compare(fetched.content, content), 0)
          assert.deepStrictEqual([fetched.etag, fetched.size], [etag, content.byteLength])
          const { etag: seen, size } = yield* store.head(key("a"))
          assert.deepStrictEqual([seen, size], [etag, content.byteLength])
        }
        yield* store.delete(key("a"))
        assert.strictEqual((yield* Effect.flip(store.head(key("a"))))._tag, "ObjectMissing")
      }).pipe(provided))

    it.live("knows no missing object, and removes one without complaint", () =>
      Effect.gen(function*() {
        const store = yield* ObjectStore
        const error = yield* Effect.flip(store.get(key("nothing"), { limit: 10 }))
        assert.strictEqual(error._tag, "ObjectMissing")
        assert.strictEqual(error.message, `${store.name}/${key("nothing")} is not there`)
        yield* store.delete(key("nothing"))
        assert.deepStrictEqual(yield* keysBelow("nothing"), [])
      }).pipe(provided))

    it.live("creates an object once", () =>
      Effect.gen(function*() {
        const store = yield* ObjectStore
        for (const path of ["absent-1", "absent-2"]) {
          yield* store.putIfAbsent(key(path), bytes("one"))
          const error = yield* Effect.flip(store.putIfAbsent(key(path), bytes("two")))
          assert.strictEqual(error._tag === "ObjectConflict" && error.condition, "absent")
          assert.strictEqual(error.message, `${store.name}/${key(path)} is there already`)
          assert.strictEqual(Buffer.compare((yield* store.get(key(path), { limit: 9 })).content, bytes("one")), 0)
          yield* store.delete(key(path))
          yield* store.putIfAbsent(key(path), bytes("three"))
        }
      }).pipe(provided))

    if (atomic) {
      it.live("creates an object once, also for several at once", () =>
        Effect.gen(function*() {
          const store = yield* ObjectStore
          for (let round = 0; round < 5; round++) {
            const results = yield* Effect.forEach(
              [0, 1, 2, 3, 4, 5],
              (writer) => Effect.either(store.putIfAbsent(key(`once-${round}`), bytes(`of ${writer}`))),
              { concurrency: "unbounded" }
            )
            const winners = results.flatMap((result, writer) => Either.isRight(result) ? [writer] : [])
            assert.lengthOf(winners, 1)
            const { content } = yield* store.get(key(`once-${round}`), { limit: 100 })
            assert.strictEqual(new TextDecoder().decode(content), `of ${winners[0]}`)
            for (const result of results) {
              if (Either.isLeft(result)) assert.strictEqual(result.left._tag, "ObjectConflict")
            }
          }
        }).pipe(provided))
    }

    it.live("replaces only what is still the same", () =>
      Effect.gen(function*() {
        const store = yield* ObjectStore
        const first = yield* store.put(key("match"), bytes("one"))
        const second = yield* store.putIfMatch(key("match"), bytes("two"), first.etag)
        assert.notStrictEqual(second.etag, first.etag)
        const late = yield* Effect.flip(store.putIfMatch(key("match"), bytes("three"), first.etag))
        assert.deepStrictEqual(late._tag === "ObjectConflict" && late.condition, "unchanged")
        const gone = yield* Effect.flip(store.putIfMatch(key("match-none"), bytes("three"), first.etag))
        assert.strictEqual(gone._tag, "ObjectConflict")
        assert.strictEqual(Buffer.compare((yield* store.get(key("match"), { limit: 9 })).content, bytes("two")), 0)
      }).pipe(provided))

    it.live("reads a part, and tells how long the whole is", () =>
      Effect.gen(function*() {
        const store = yield* ObjectStore
        yield* store.put(key("part"), bytes("0123456789"))
        const part = (offset: number, length: number) =>
          Effect.map(
            store.get(key("part"), { limit: 10, range: { offset, length } }),
            ({ content, size }) => `${new TextDecoder().decode(content)} of ${size}`
          )
        assert.strictEqual(yield* part(0, 1), "0 of 10")
        assert.strictEqual(yield* part(3, 4), "3456 of 10")
        assert.strictEqual(yield* part(8, 100), "89 of 10")
        const error = yield* Effect.flip(part(10, 1))
        assert.strictEqual(error._tag === "ObjectStoreError" && error.reason, "unexpected")
      }).pipe(provided))

    it.live("takes no more memory than it may", () =>
      Effect.gen(function*() {
        const store = yield* ObjectStore
        yield* store.put(key("large"), new Uint8Array(1000))
        const error = yield* Effect.flip(store.get(key("large"), { limit: 999 }))
        assert.strictEqual(error._tag === "ObjectStoreError" && error.reason, "too-large")
        assert.strictEqual((yield* store.get(key("large"), { limit: 1000 })).size, 1000)
      }).pipe(provided))

    it.live("lists all keys below a prefix in the order of their bytes, whatever characters are in them", () =>
      Effect.gen(function*() {
        const store = yield* ObjectStore
        const odd = ["a b", "a+b", "a%41", "ä", "a&<\"'b", "b/c", "b/d/e", "b.c", "～", "𝄞", "z!*()~=?#;:@$,"]
        for (const path of odd) yield* store.put(key(`list/${path}`), bytes(path))
        const sorted = odd.map((path) => `list/${path}`).sort(compareKeys)
        assert.deepStrictEqual(yield* keysBelow("list/"), sorted)
        assert.deepStrictEqual(yield* keysBelow("list/b"), ["list/b.c", "list/b/c", "list/b/d/e"])
        assert.deepStrictEqual(
          yield* keysBelow("list/", { shallow: true }),
          sorted.filter((path) => path.split("/").length === 2)
        )
        const [listed] = yield* Stream.runCollect(store.list(key("list/b.c")))
        const { etag } = yield* store.head(key("list/b.c"))
        assert.deepStrictEqual([listed?.etag, listed?.size], [etag, 3])
        for (const path of odd) {
          const { content } = yield* store.get(key(`list/${path}`), { limit: 100 })
          assert.strictEqual(new TextDecoder().decode(content), path)
        }
      }).pipe(provided))

    it.live("lists more than a page", () =>
      Effect.gen(function*() {
        const store = yield* ObjectStore
        const paths = Array.from({ length: 16 }, (_, at) => `many/${String(at).padStart(5, "0")}`)
        yield* Effect.forEach(paths, (path) => store.put(key(path), bytes("x")), { concurrency: 16, discard: true })
        assert.deepStrictEqual(yield* keysBelow("many/"), paths)
        const some = yield* Stream.runCollect(Stream.take(store.list(key("many/")), 3))
        assert.lengthOf([...some], 3)
      }).pipe(provided))

    it.live("refuses names that could become others on their way", () =>
      Effect.gen(function*() {
        const store = yield* ObjectStore
        for (const bad of ["", "a//b", "a/../b", "./a", "a/", "/a", "a\nb", "\ud800", "a".repeat(1025)]) {
          const error = yield* Effect.flip(store.put(bad, bytes("x")))
          assert.strictEqual(error.reason, "unexpected")
          const read = yield* Effect.flip(store.get(bad, { limit: 1 }))
          assert.strictEqual(read._tag, "ObjectStoreError")
        }
      }).pipe(provided))

    if (versioned) {
      it.live("keeps older versions readable after they were replaced and removed", () =>
        Effect.gen(function*() {
          const store = yield* ObjectStore
          const first = yield* store.put(key("versions"), bytes("one"))
          const second = yield* store.put(key("versions"), bytes("two"))
          yield* store.delete(key("versions"))
          assert.strictEqual((yield* Effect.flip(store.head(key("versions"))))._tag, "ObjectMissing")
          for (const [{ version = "" }, text] of [[first, "one"], [second, "two"]] as const) {
            const { content } = yield* store.get(key("versions"), { limit: 9, version })
            assert.strictEqual(new TextDecoder().decode(content), text)
          }
        }).pipe(provided))
    }
  })
}
