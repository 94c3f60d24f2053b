/** What every `Rbd` promises: the real cluster, and the twin. */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as Rbd from "../../../src/platform/Rbd.ts"

/** An image service, and the means to do to its images what a VM does. */
export interface RbdFixture {
  readonly layer: Layer.Layer<Rbd.Rbd>
  readonly pool: string
  /** A name that no other image has. */
  readonly fresh: () => string
  readonly objectSize: number
  readonly create: (image: string, size: number) => Promise<void>
  readonly write: (image: string, offset: number, bytes: Uint8Array) => Promise<void>
  readonly resize: (image: string, size: number) => Promise<void>
  readonly setProtected: (image: string, snapshot: string, isProtected: boolean) => Promise<void>
}

/** The bytes of a snapshot, made from those of another and a diff. */
const applied = (base: Uint8Array, image: Rbd.ImageName, request: Rbd.DiffRequest) =>
  Effect.gen(function*() {
    const rbd = yield* Rbd.Rbd
    let content = base
    yield* Stream.runForEach(rbd.diff(image, request), (event) =>
      Effect.sync(() => {
        switch (event._tag) {
          case "Header":
            content = new Uint8Array(event.size)
            content.set(base.subarray(0, event.size))
            break
          case "Write":
            content.set(event.bytes, event.offset)
            break
          case "Zero":
            content.fill(0, event.offset, event.offset + event.length)
        }
      }))
    return content
  })

/** All bytes of a snapshot, read at offsets. */
const contentOf = (image: Rbd.ImageName, snapshot: string) =>
  Effect.scoped(Effect.gen(function*() {
    const rbd = yield* Rbd.Rbd
    const found = (yield* rbd.snapshots(image)).find(({ name }) => name === snapshot)
    const reader = yield* rbd.open(image, snapshot)
    return yield* reader.read(0, found?.size ?? 0)
  }))

const equal = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b) === 0

export const rbdContract = (name: string, make: () => RbdFixture): void => {
  describe(`Rbd: ${name}`, () => {
    const fixture = make()
    const { objectSize: object, pool } = fixture
    const bytes = (length: number, value: number) => new Uint8Array(length).fill(value)

    /** A test on an image of three objects and a bit. */
    const onImage = (
      title: string,
      test: (image: Rbd.ImageName, rbd: Rbd.Rbd["Type"]) => Effect.Effect<void, unknown, Rbd.Rbd>
    ) =>
      it.live(title, () =>
        Effect.gen(function*() {
          const image = { pool, image: fixture.fresh() }
          yield* Effect.promise(() => fixture.create(image.image, 3 * object + 512))
          yield* test(image, yield* Rbd.Rbd)
        }).pipe(Effect.provide(fixture.layer)))
    const write = (image: Rbd.ImageName, offset: number, content: Uint8Array) =>
      Effect.promise(() => fixture.write(image.image, offset, content))
    const resize = (image: Rbd.ImageName, size: number) => Effect.promise(() => fixture.resize(image.image, size))

    onImage("tells an image's size, and which of image and pool is not there", (image, rbd) =>
      Effect.gen(function*() {
        const { id, ...info } = yield* rbd.info(image)
        assert.match(id, /^[0-9a-f]+$/)
        assert.deepStrictEqual(info, { size: 3 * object + 512, indexInvalid: false })
        yield* rbd.checkReadable(image)
        for (
          const [missing, code] of [
            [{ pool, image: "nope" }, "ENOENT"],
            [{ pool: "nopool", image: image.image }, "ENOPOOL"]
          ] as const
        ) {
          assert.strictEqual((yield* Effect.flip(rbd.info(missing))).code, code)
          assert.strictEqual((yield* Effect.flip(rbd.snapshots(missing))).code, code)
        }
        assert.strictEqual((yield* Effect.flip(rbd.removeSnapshot(image, "nope"))).code, "ENOENT")
        const diff = rbd.diff(image, { from: undefined, to: "nope", wholeObject: false })
        assert.propertyVal(yield* Effect.flip(Stream.runDrain(diff)), "code", "ENOENT")
        assert.propertyVal(yield* Effect.flip(Effect.scoped(rbd.open(image, "nope"))), "_tag", "RbdError")
      }))

    onImage(
      "makes, lists and removes snapshots, but not twice, and not protected ones",
      (image, rbd) =>
        Effect.gen(function*() {
          assert.deepStrictEqual(yield* rbd.snapshots(image), [])
          yield* rbd.createSnapshot(image, "a")
          yield* resize(image, object)
          yield* rbd.createSnapshot(image, "b")
          const [a, b] = yield* rbd.snapshots(image)
          assert.deepInclude(a, { name: "a", size: 3 * object + 512, isProtected: false })
          assert.deepInclude(b, { name: "b", size: object, isProtected: false })
          assert.isAbove(b?.id ?? 0, a?.id ?? 0)
          assert.strictEqual((yield* Effect.flip(rbd.createSnapshot(image, "a"))).code, "EEXIST")
          yield* Effect.promise(() => fixture.setProtected(image.image, "a", true))
          assert.strictEqual((yield* rbd.snapshots(image))[0]?.isProtected, true)
          assert.strictEqual((yield* Effect.flip(rbd.removeSnapshot(image, "a"))).code, "EBUSY")
          yield* Effect.promise(() => fixture.setProtected(image.image, "a", false))
          yield* rbd.removeSnapshot(image, "a")
          assert.deepStrictEqual((yield* rbd.snapshots(image)).map(({ name }) => name), ["b"])
        })
    )

    onImage(
      "tells in a diff what changed, in both ways, through growing and shrinking",
      (image, rbd) =>
        Effect.gen(function*() {
          yield* write(image, 100, bytes(object + 7, 1))
          yield* rbd.createSnapshot(image, "1")
          yield* write(image, 2 * object + 3, bytes(object, 2))
          yield* write(image, 512, bytes(1024, 0))
          yield* rbd.createSnapshot(image, "2")
          yield* resize(image, object + 512)
          yield* rbd.createSnapshot(image, "3")
          yield* resize(image, 4 * object)
          yield* write(image, 3 * object, bytes(10, 3))
          yield* rbd.createSnapshot(image, "4")
          let before: { readonly name: string | undefined; readonly content: Uint8Array } = {
            name: undefined,
            content: new Uint8Array(0)
          }
          for (const name of ["1", "2", "3", "4"]) {
            const content = yield* contentOf(image, name)
            for (const wholeObject of [false, true]) {
              const made = yield* applied(before.content, image, { from: before.name, to: name, wholeObject })
              assert.isTrue(equal(made, content), `${before.name} to ${name}, whole objects: ${wholeObject}`)
            }
            before = { name, content }
          }
        })
    )

    onImage("has the defect for which whole objects are not always asked for", (image, rbd) =>
      Effect.gen(function*() {
        yield* write(image, 0, bytes(3 * object, 1))
        yield* rbd.createSnapshot(image, "large")
        yield* resize(image, object)
        yield* rbd.createSnapshot(image, "small")
        yield* resize(image, 3 * object)
        yield* rbd.createSnapshot(image, "regrown")
        const start = yield* contentOf(image, "large")
        const end = yield* contentOf(image, "regrown")
        const diff = (wholeObject: boolean) => applied(start, image, { from: "large", to: "regrown", wholeObject })
        assert.isTrue(equal(yield* diff(false), end))
        assert.isFalse(equal(yield* diff(true), end))
      }))

    onImage(
      "reads a snapshot at any offset while the image changes, and several at once",
      (image, rbd) =>
        Effect.scoped(Effect.gen(function*() {
          yield* write(image, object - 10, bytes(20, 9))
          yield* rbd.createSnapshot(image, "a")
          yield* write(image, object - 10, bytes(20, 8))
          yield* rbd.createSnapshot(image, "b")
          const a = yield* rbd.open(image, "a")
          const b = yield* rbd.open(image, "b")
          const [first, second] = yield* Effect.all([a.read(object - 11, 22), b.read(object - 11, 22)], {
            concurrency: "unbounded"
          })
          assert.deepStrictEqual([...first], [0, ...bytes(20, 9), 0])
          assert.deepStrictEqual([...second], [0, ...bytes(20, 8), 0])
          assert.strictEqual((yield* a.read(3 * object, 512)).length, 512)
          assert.strictEqual((yield* a.read(0, 0)).length, 0)
          assert.propertyVal(yield* Effect.flip(a.read(3 * object, 1024)), "_tag", "RbdError")
        }))
    )

    onImage("makes an image of a stream, never over another one", (_, rbd) =>
      Effect.gen(function*() {
        const image = { pool, image: fixture.fresh() }
        const content = bytes(object + 1000, 5)
        yield* rbd.importImage(image, Stream.make(content.subarray(0, 99), content.subarray(99)))
        yield* rbd.createSnapshot(image, "a")
        assert.isTrue(equal(yield* contentOf(image, "a"), content))
        assert.strictEqual((yield* Effect.flip(rbd.importImage(image, Stream.make(content)))).code, "EEXIST")
        const partial = { pool, image: fixture.fresh() }
        const broken = Stream.concat(Stream.make(content), Stream.fail("the chunk is missing" as const))
        assert.strictEqual(yield* Effect.flip(rbd.importImage(partial, broken)), "the chunk is missing")
        yield* Rbd.removePartial(partial)
        assert.strictEqual((yield* Effect.flip(rbd.info(partial))).code, "ENOENT")
      }))

    onImage(
      "renames an image, never over another one, finds it by its id, and removes it",
      (image, rbd) =>
        Effect.gen(function*() {
          const other = fixture.fresh()
          yield* Effect.promise(() => fixture.create(other, object))
          assert.strictEqual((yield* Effect.flip(rbd.renameImage(image, other))).code, "EEXIST")
          const next = fixture.fresh()
          const before = yield* rbd.info(image)
          yield* rbd.createSnapshot(image, "a")
          yield* rbd.renameImage(image, next)
          assert.strictEqual((yield* Effect.flip(rbd.info(image))).code, "ENOENT")
          assert.deepStrictEqual(yield* rbd.info({ pool, image: next }), before)
          yield* rbd.removeSnapshotById({ pool }, before.id, "a")
          assert.deepStrictEqual(yield* rbd.snapshots({ pool, image: next }), [])
          assert.strictEqual((yield* Effect.flip(rbd.removeSnapshotById({ pool }, before.id, "a"))).code, "ENOENT")
          assert.strictEqual((yield* Effect.flip(rbd.removeSnapshotById({ pool }, "1234nope", "a"))).code, "ENOENT")
          yield* rbd.removeImage({ pool, image: next })
          assert.strictEqual((yield* Effect.flip(rbd.info({ pool, image: next }))).code, "ENOENT")
        })
    )

    onImage(
      "lists the images of a pool, and removes none that somebody has open",
      (image, rbd) =>
        Effect.gen(function*() {
          const names = yield* rbd.images({ pool })
          assert.include(names, image.image)
          assert.notInclude(names, "nope")
          assert.strictEqual((yield* Effect.flip(rbd.images({ pool: "nopool" }))).code, "ENOPOOL")
          assert.deepStrictEqual(yield* rbd.watchers(image), [])
          assert.strictEqual((yield* Effect.flip(rbd.watchers({ pool, image: "nope" }))).code, "ENOENT")
          const made = { pool, image: `.${fixture.fresh()}` }
          const half = yield* Deferred.make<void>()
          const goOn = yield* Deferred.make<void>()
          const rest = Stream.fromEffect(Effect.as(
            Effect.zipRight(Deferred.succeed(half, undefined), Deferred.await(goOn)),
            bytes(object, 2)
          ))
          const importing = yield* Effect.fork(
            rbd.importImage(made, Stream.concat(Stream.make(bytes(2 * object, 1)), rest))
          )
          yield* Deferred.await(half)
          // the program may still be about to begin
          const watched = yield* rbd.watchers(made).pipe(
            Effect.filterOrFail((found) => found.length > 0),
            Effect.retry({ schedule: Schedule.spaced("50 millis"), times: 200 })
          )
          assert.strictEqual(watched.length, 1)
          assert.include(yield* rbd.images({ pool }), made.image)
          assert.strictEqual((yield* Effect.flip(rbd.removeImage(made))).code, "EBUSY")
          yield* Deferred.succeed(goOn, undefined)
          yield* Fiber.join(importing)
          assert.deepStrictEqual(yield* rbd.watchers(made), [])
          assert.strictEqual((yield* rbd.info(made)).size, 3 * object)
          yield* rbd.removeImage(made)
          assert.notInclude(yield* rbd.images({ pool }), made.image)
        })
    )

    onImage("takes no name for an option, nor for more than a name", (image, rbd) =>
      Effect.gen(function*() {
        for (const odd of ["-f", "--help", "", "a@b", "a/b", "a\nb", "x".repeat(300)]) {
          const failures = [
            rbd.info({ pool: odd, image: "i" }),
            rbd.info({ pool, image: odd }),
            rbd.createSnapshot(image, odd),
            rbd.removeSnapshot(image, odd),
            rbd.removeSnapshotById({ pool }, odd, "a"),
            rbd.removeSnapshotById({ pool }, "10", odd),
            Stream.runDrain(rbd.diff(image, { from: odd, to: "a", wholeObject: false })),
            Stream.runDrain(rbd.diff(image, { from: undefined, to: odd, wholeObject: false })),
            Effect.scoped(rbd.open(image, odd)),
            rbd.importImage({ pool, image: odd }, Stream.empty),
            rbd.renameImage(image, odd),
            rbd.images({ pool: odd }),
            rbd.watchers({ pool, image: odd }),
            rbd.removeImage({ pool, image: odd })
          ]
          for (const failure of failures) assert.propertyVal(yield* Effect.flip(failure), "code", "EINVAL", odd)
        }
      }))

    onImage("takes names with spaces, commas, quotes and what a shell would like", (_, rbd) =>
      Effect.gen(function*() {
        const image = { pool, image: `${fixture.fresh()} a,b=c;$(x) 'd' "e" *\\:ä` }
        yield* rbd.importImage(image, Stream.make(bytes(10, 1)))
        yield* rbd.createSnapshot(image, "s, $(y) ä")
        assert.deepStrictEqual([...yield* contentOf(image, "s, $(y) ä")], [...bytes(10, 1)])
        const diff = yield* applied(new Uint8Array(0), image, { from: undefined, to: "s, $(y) ä", wholeObject: false })
        assert.deepStrictEqual([...diff], [...bytes(10, 1)])
      }))
  })
}
