import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Stream from "effect/Stream"
import * as ChunkMap from "../../src/domain/ChunkMap.ts"
import { MAX_OPEN, merge } from "../../src/operation/merge.ts"
import { portable, toHex } from "../../src/platform/hash.ts"
import type { Change } from "../../src/source/Source.ts"

const CHUNK = 512
const CHUNKS = 40

/** Chunks in memory, and what was asked of them. */
const makeStore = () => {
  const chunks = new Map<string, Uint8Array>()
  const asked = { loads: 0, keeps: 0 }
  const keep = (content: Uint8Array) => {
    const id = portable(content)
    chunks.set(toHex(id), Uint8Array.from(content))
    return id
  }
  const contentOf = (map: ChunkMap.ChunkMap, index: number) =>
    chunks.get(ChunkMap.idAt(map, index) ?? "") ?? new Uint8Array(ChunkMap.chunkLength(map, index))
  return {
    asked,
    contentOf,
    image: (map: ChunkMap.ChunkMap) =>
      Uint8Array.from(Buffer.concat(Array.from({ length: ChunkMap.count(map) }, (_, index) => contentOf(map, index)))),
    mapOf: (image: Uint8Array) => {
      const map = ChunkMap.empty(image.length, CHUNK)
      for (let index = 0; index < ChunkMap.count(map); index++) {
        const content = image.subarray(index * CHUNK, (index + 1) * CHUNK)
        if (content.some((byte) => byte !== 0)) ChunkMap.setIds(map, index, keep(content))
      }
      return map
    },
    run: (
      map: ChunkMap.ChunkMap,
      changes: Iterable<Change>,
      // some take longer than others, so that they end in another order than they began
      pause: (index: number) => Effect.Effect<unknown> = (index) =>
        Effect.yieldNow().pipe(Effect.repeatN(index * 7 % 11))
    ) =>
      merge({
        map,
        changes: Stream.rechunk(Stream.fromIterable(changes), 1),
        known: new Map(),
        load: (index) =>
          Effect.sync(() => {
            asked.loads++
            return contentOf(map, index)
          }),
        keep: (index, content) =>
          Effect.map(Effect.zipRight(pause(index), Effect.void), () => {
            asked.keeps++
            assert.isTrue(content.some((byte) => byte !== 0), "all zeros are not kept")
            return keep(content)
          }),
        parallelism: 4
      })
  }
}

const SIZE = CHUNKS * CHUNK - 100

const change: FastCheck.Arbitrary<Change> = FastCheck.record({
  offset: FastCheck.integer({ min: 0, max: SIZE - 1 }),
  length: FastCheck.oneof(FastCheck.integer({ min: 1, max: 50 }), FastCheck.integer({ min: 1, max: 5 * CHUNK })),
  byte: FastCheck.integer({ min: 0, max: 3 }),
  zero: FastCheck.boolean()
}).map(({ byte, length: wanted, offset, zero }): Change => {
  const length = Math.min(wanted, SIZE - offset)
  return zero ? { _tag: "Zero", offset, length } : { _tag: "Write", offset, bytes: new Uint8Array(length).fill(byte) }
})

describe("merging changes", () => {
  it.effect.prop("makes of a base what the changes say, in whatever order and of whatever length they come", [
    FastCheck.array(FastCheck.integer({ min: 0, max: 2 }), { minLength: CHUNKS, maxLength: CHUNKS }),
    FastCheck.array(change, { maxLength: 80 })
  ], ([fill, changes]) => {
    const expected = new Uint8Array(SIZE)
    fill.forEach((byte, index) => expected.fill(byte, index * CHUNK, (index + 1) * CHUNK))
    const store = makeStore()
    const map = store.mapOf(expected)
    const before = ChunkMap.encode(map)
    for (const one of changes) {
      if (one._tag === "Zero") expected.fill(0, one.offset, one.offset + one.length)
      else expected.set(one.bytes, one.offset)
    }
    return Effect.map(store.run(map, changes), (touched) => {
      assert.isTrue(Buffer.compare(store.image(map), expected) === 0)
      const unchanged = ChunkMap.decode(before)
      assert.strictEqual(unchanged._tag, "Right")
      for (let index = 0; unchanged._tag === "Right" && index < CHUNKS; index++) {
        if (touched.has(index)) continue
        assert.strictEqual(ChunkMap.idAt(map, index), ChunkMap.idAt(unchanged.right, index))
      }
    })
  }, { fastCheck: { numRuns: 40 } })

  it.effect("does not read what is overwritten, though it comes in pieces", () =>
    Effect.gen(function*() {
      const store = makeStore()
      const map = store.mapOf(new Uint8Array(SIZE).fill(1))
      const pieces = Array.from({ length: SIZE / 4 }, (_, at): Change => ({
        _tag: "Write",
        offset: at * 4,
        bytes: new Uint8Array(4).fill(2)
      }))
      yield* store.run(map, pieces)
      assert.deepStrictEqual(store.asked, { loads: 0, keeps: CHUNKS })
    }))

  it.effect("reads on while chunks are being stored", () =>
    Effect.gen(function*() {
      const store = makeStore()
      const map = store.mapOf(new Uint8Array(SIZE))
      const later = yield* Deferred.make<void>()
      function* changes(): Generator<Change> {
        for (let index = 0; index < MAX_OPEN + 4; index++) {
          // the first chunk waits for the last
          if (index === MAX_OPEN + 3) Deferred.unsafeDone(later, Effect.void)
          yield { _tag: "Write", offset: index * CHUNK, bytes: new Uint8Array(CHUNK).fill(index + 1) }
        }
      }
      yield* store.run(map, changes(), () => Deferred.await(later))
      for (let index = 0; index < MAX_OPEN + 4; index++) assert.strictEqual(store.contentOf(map, index)[0], index + 1)
    }))

  it.effect("ends when a chunk cannot be stored, and leaves nobody at work", () =>
    Effect.gen(function*() {
      const store = makeStore()
      const map = store.mapOf(new Uint8Array(SIZE))
      let atWork = 0
      const changes = Array.from({ length: CHUNKS - 1 }, (_, index): Change => ({
        _tag: "Write",
        offset: index * CHUNK,
        bytes: new Uint8Array(CHUNK).fill(1)
      }))
      const exit = yield* Effect.exit(store.run(map, changes, (index) =>
        Effect.acquireUseRelease(
          Effect.sync(() => atWork++),
          () => index === 2 ? Effect.dieMessage("no room") : Effect.never,
          () => Effect.sync(() => atWork--)
        )))
      assert.match(String(exit), /no room/)
      assert.strictEqual(atWork, 0)
    }))

  it.effect("makes holes of zeros without touching the store", () =>
    Effect.gen(function*() {
      const store = makeStore()
      const map = store.mapOf(new Uint8Array(SIZE).fill(1))
      yield* store.run(map, [{ _tag: "Zero", offset: 0, length: SIZE }])
      assert.deepStrictEqual(store.asked, { loads: 0, keeps: 0 })
      assert.deepStrictEqual([...ChunkMap.distinctIds(map)], [])
    }))

  it.effect("patches a chunk that it let go again from its new content", () =>
    Effect.gen(function*() {
      const store = makeStore()
      const map = store.mapOf(new Uint8Array(SIZE).fill(1))
      const round = (byte: number, at: number) =>
        Array.from({ length: MAX_OPEN + 4 }, (_, index): Change => ({
          _tag: "Write",
          offset: index * CHUNK + at,
          bytes: Uint8Array.of(byte)
        }))
      yield* store.run(map, [...round(7, 0), ...round(8, 1)])
      const image = store.image(map)
      for (let index = 0; index < MAX_OPEN + 4; index++) {
        assert.deepStrictEqual([...image.subarray(index * CHUNK, index * CHUNK + 3)], [7, 8, 1])
      }
    }))

  it.effect("takes in the next changes while chunks are being stored", () =>
    Effect.gen(function*() {
      const map = ChunkMap.empty(SIZE, CHUNK)
      const arrived = yield* Deferred.make<void>()
      const changes = Stream.range(0, MAX_OPEN + 1).pipe(
        Stream.rechunk(1),
        Stream.tap((index) => index === MAX_OPEN + 1 ? Deferred.succeed(arrived, undefined) : Effect.void),
        Stream.map((index): Change => ({ _tag: "Write", offset: index * CHUNK, bytes: Uint8Array.of(1) }))
      )
      // who stored one chunk after the other before reading on would wait here for ever
      const keep = (_: number, content: Uint8Array) => Effect.as(Deferred.await(arrived), portable(content))
      const load = () => Effect.succeed(new Uint8Array(CHUNK))
      const touched = yield* merge({ map, changes, known: new Map(), load, keep, parallelism: 2 })
      assert.strictEqual(touched.size, MAX_OPEN + 2)
      assert.isFalse(ChunkMap.isHole(map, MAX_OPEN + 1))
    }))

  it.effect("stores a chunk that is whole while the next change has not come yet", () =>
    Effect.gen(function*() {
      const map = ChunkMap.empty(SIZE, CHUNK)
      const stored: Array<number> = []
      const first = yield* Deferred.make<void>()
      const half = (index: number, part: 0 | 1): Change => ({
        _tag: "Write",
        offset: index * CHUNK + part * CHUNK / 2,
        bytes: new Uint8Array(CHUNK / 2).fill(index + 1)
      })
      // an export that gives no more before the first chunk has been stored
      const changes = Stream.concat(
        Stream.make(half(0, 0), half(1, 0), half(1, 1)),
        Stream.fromEffect(Effect.as(Deferred.await(first), half(0, 1)))
      ).pipe(Stream.rechunk(1))
      const keep = (index: number, content: Uint8Array) => {
        stored.push(index)
        return Effect.as(Deferred.succeed(first, undefined), portable(content))
      }
      const load = () => Effect.dieMessage("nothing is stored")
      yield* merge({ map, changes, known: new Map(), load, keep, parallelism: 2 })
      assert.deepStrictEqual(stored, [1, 0])
    }))

  it.effect("fails when a chunk cannot be stored, and reads no further", () =>
    Effect.gen(function*() {
      const map = ChunkMap.empty(SIZE, CHUNK)
      let read = 0
      const changes = Stream.range(0, CHUNKS - 1).pipe(
        Stream.rechunk(1),
        Stream.map((index): Change => {
          read++
          return { _tag: "Write", offset: index * CHUNK, bytes: Uint8Array.of(1) }
        })
      )
      const keep = () => Effect.fail("no space left")
      const load = () => Effect.succeed(new Uint8Array(CHUNK))
      const error = yield* Effect.flip(merge({ map, changes, known: new Map(), load, keep, parallelism: 2 }))
      assert.strictEqual(error, "no space left")
      assert.isBelow(read, CHUNKS)
    }))
})
