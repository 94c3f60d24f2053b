import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import * as Finished from "../../src/operation/Finished.ts"
import { restoreImage } from "../../src/operation/restoreImage.ts"
import { toHex } from "../../src/platform/hash.ts"
import { type ImageName, Rbd, RbdError } from "../../src/platform/Rbd.ts"
import { Repository } from "../../src/repository/Repository.ts"
import { pathOf } from "../../src/store/chunkFile.ts"
import * as CephWorld from "../support/CephWorld.ts"
import * as Machine from "../support/Machine.ts"
import { onCeph, restoreToCeph } from "../support/rbdScenarios.ts"
import * as Scenarios from "../support/scenarios.ts"
import * as Surroundings from "../support/Surroundings.ts"
import * as World from "../support/World.ts"

const { CHUNK } = World
const { IMAGE } = CephWorld

/** A backup on the next day: the order of revisions is that of their dates. */
const backup = Effect.zipRight(TestClock.adjust("1 day"), World.backup())

const restoreTo = (image: string, revision = "latest") =>
  restoreImage({ revision, image: { pool: "rbd", image }, salvage: false, wait: Duration.zero })

/** What lies in the pool besides the image of the VM. */
const besides = (world: ReturnType<typeof CephWorld.make>) => world.ceph.imageNames().filter((name) => name !== IMAGE)

/** Collects warnings. */
const warnings = (into: Array<string>) =>
  Logger.replace(
    Logger.defaultLogger,
    Logger.make(({ logLevel, message }) => {
      if (logLevel.label === "WARN") into.push(String(message))
    })
  )

/** What only the calls of one run do. */
const changed =
  (change: (rbd: Rbd["Type"]) => Partial<Rbd["Type"]>) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R | Rbd> =>
    Effect.flatMap(Rbd, (rbd) => Effect.provideService(effect, Rbd, { ...rbd, ...change(rbd) }))

const failed = (code: string) => (what: ImageName) =>
  new RbdError({ operation: "rename", what: what.image, code, detail: "as told" })

describe("restoring to an RBD image", () => {
  it.effect("makes an image with the bytes of the revision, and overwrites none", () => {
    const world = CephWorld.make({ size: 10 * CHUNK + 5 })
    return world.run(Effect.gen(function*() {
      world.ceph.write(IMAGE, 3 * CHUNK, new Uint8Array(CHUNK + 9).fill(4))
      yield* backup
      yield* restoreTo("copy")
      assert.deepStrictEqual(world.ceph.content("rbd/copy"), world.ceph.content(IMAGE))
      world.ceph.write("rbd/copy", 0, Uint8Array.of(1))
      assert.match((yield* Effect.flip(restoreTo("copy"))).message, /there is an image of that name/)
      assert.strictEqual(world.ceph.content("rbd/copy")?.[0], 1)
      assert.deepStrictEqual(besides(world), ["rbd/copy"])
    }))
  })

  it.effect("leaves nothing when a chunk is lost", () => {
    const world = CephWorld.make()
    return world.run(Effect.gen(function*() {
      world.ceph.write(IMAGE, 0, new Uint8Array(5).fill(4))
      const { revision } = yield* backup
      const map = yield* (yield* Repository).readMap(revision)
      world.memory.disk.unlink(pathOf(World.REPOSITORY, toHex(map.ids.subarray(0, 32))))
      assert.match((yield* Effect.flip(restoreTo("copy"))).message, /cannot be restored whole/)
      assert.deepStrictEqual(besides(world), [])
    }))
  })

  it.effect("may have the longest name that there is", () => {
    const world = CephWorld.make()
    return world.run(Effect.gen(function*() {
      yield* backup
      const name = "n".repeat(255)
      yield* restoreTo(name)
      assert.deepStrictEqual(besides(world), [`rbd/${name}`])
    }))
  })

  it.effect("names what cannot be removed", () => {
    const world = CephWorld.make()
    const said: Array<string> = []
    return world.run(Effect.gen(function*() {
      yield* backup
      const error = yield* restoreTo("copy").pipe(
        changed(() => ({ renameImage: failed("EIO"), removeImage: failed("EPERM") })),
        Effect.provide(warnings(said)),
        Effect.flip
      )
      assert.propertyVal(error, "code", "EIO")
      const [left] = besides(world)
      assert.match(left ?? "", /^rbd\/\.backy-[0-9a-f]{8}-[0-9a-z]{12}$/)
      assert.isTrue(said.some((line) => line.startsWith(`a part of the image is left as ${left}: `)), said.join("\n"))
    }))
  })

  it.effect("ends well when it got its name, although Ceph did not say so in time", () => {
    const world = CephWorld.make()
    return world.run(Effect.gen(function*() {
      yield* backup
      yield* restoreTo("copy").pipe(
        changed((rbd) => ({
          renameImage: (image, name) => Effect.zipRight(rbd.renameImage(image, name), failed("ETIMEDOUT")(image))
        }))
      )
      assert.deepStrictEqual(besides(world), ["rbd/copy"])
    }))
  })

  it.effect("removes nothing that has got its name when it is ended at that moment", () => {
    const world = CephWorld.make()
    return world.run(Effect.gen(function*() {
      yield* backup
      const renamed = yield* Deferred.make<void>()
      const finished = Finished.make()
      const restoring = yield* Effect.fork(
        restoreTo("copy").pipe(
          Effect.provideService(Finished.Finished, finished),
          changed((rbd) => ({
            renameImage: (image, name) =>
              rbd.renameImage(image, name).pipe(
                Effect.zipRight(Deferred.succeed(renamed, undefined)),
                Effect.zipRight(Effect.never)
              )
          }))
        )
      )
      yield* Deferred.await(renamed)
      assert.isUndefined(finished.outcome())
      yield* Fiber.interrupt(restoring)
      assert.deepStrictEqual(world.ceph.content("rbd/copy"), world.ceph.content(IMAGE))
      assert.deepStrictEqual(besides(world), ["rbd/copy"])
      // whoever ended it is told that it did its work
      assert.strictEqual(finished.outcome(), "done")
    }))
  })

  it.effect("removes no image that has two names, as an interrupted rename leaves it", () => {
    const world = CephWorld.make()
    return world.run(Effect.gen(function*() {
      yield* backup
      let other: ImageName | undefined
      yield* restoreTo("copy").pipe(
        changed((rbd) => ({
          renameImage: (image, name) =>
            Effect.zipRight(
              rbd.renameImage(image, name),
              Effect.sync(() => {
                other = image
                world.ceph.addName(`rbd/${name}`, `rbd/${image.image}`)
              })
            )
        }))
      )
      assert.deepStrictEqual(besides(world), [`rbd/${other?.image}`, "rbd/copy"])
      assert.deepStrictEqual(world.ceph.content("rbd/copy"), world.ceph.content(IMAGE))
    }))
  })
})

describe("a restore to an RBD image whose fibers give way at any of their steps", () => {
  it("ends well", () => {
    const machine = Machine.make()
    const { memory, options } = Scenarios.prepare(machine, {
      name: "one revision in Ceph",
      outside: () => Surroundings.make({ objectSize: Machine.BLOCK }),
      prepare: (bench) => {
        bench.image("abc")
        bench.run(onCeph(Scenarios.backup))
      },
      operation: restoreToCeph
    })
    for (let seed = 1; seed <= 30; seed++) {
      const exit = machine.run(memory.clone(), restoreToCeph, { ...options, seed, yields: 0.03 })
      assert.strictEqual(tagOf(exit), "success", `seed ${seed}`)
    }
  })
})

/** Runs a restore that stops before and after every call of Ceph, and at each piece of the image. */
const start = Effect.fnUntraced(function*(image: string, revision: string) {
  const arrived = yield* Queue.unbounded<void>()
  const go = yield* Queue.unbounded<void>()
  const pass = Effect.zipRight(Queue.offer(arrived, undefined), Queue.take(go))
  const around = <A, E, R>(call: Effect.Effect<A, E, R>) =>
    pass.pipe(Effect.zipRight(Effect.exit(call)), Effect.zipLeft(pass), Effect.flatten)
  // nobody waits for it, so that it can stay where it is for good, as after kill -9
  const fiber = yield* Effect.forkDaemon(
    restoreTo(image, revision).pipe(
      changed((rbd) => ({
        info: (name) => around(rbd.info(name)),
        images: (pool) => around(rbd.images(pool)),
        watchers: (name) => around(rbd.watchers(name)),
        importImage: (name, content) => around(rbd.importImage(name, Stream.tap(content, () => pass))),
        renameImage: (name, next) => around(rbd.renameImage(name, next)),
        removeImage: (name) => around(rbd.removeImage(name))
      })),
      Effect.provide(warnings([]))
    )
  )
  let stands = false
  /** Waits until it stands at the next moment, or has ended. */
  const stand = Effect.suspend(() =>
    stands ? Effect.succeed(true) : Effect.raceFirst(
      Effect.as(Queue.take(arrived), true),
      Effect.as(Fiber.await(fiber), false)
    )
  ).pipe(Effect.tap((there) => Effect.sync(() => void (stands = there))))
  /** Passes so many moments, or as many as there are; returns how many. */
  const advance = Effect.fnUntraced(function*(moments: number) {
    for (let passed = 0; passed < moments; passed++) {
      if (!(yield* stand)) return passed
      stands = false
      yield* Queue.offer(go, undefined)
    }
    yield* stand
    return moments
  })
  return { advance, finish: Effect.zipRight(advance(LONG), Fiber.await(fiber)) }
})

/** More moments than any restore has. */
const LONG = 1000

/** Two revisions that have nothing in common, of different sizes. */
const twoRevisions = Effect.fnUntraced(function*({ ceph }: ReturnType<typeof CephWorld.make>) {
  ceph.write(IMAGE, 0, new Uint8Array(3 * CHUNK).fill(1))
  yield* backup
  const first = Uint8Array.from(ceph.content(IMAGE) ?? [])
  ceph.resize(IMAGE, 4 * CHUNK + 512)
  ceph.write(IMAGE, 0, new Uint8Array(4 * CHUNK).fill(2))
  yield* backup
  return { first, latest: Uint8Array.from(ceph.content(IMAGE) ?? []) }
})

const tagOf = (exit: Exit.Exit<unknown, unknown>): string =>
  Exit.isSuccess(exit)
    ? "success"
    : Option.match(Cause.failureOption(exit.cause), {
      onNone: () => Cause.pretty(exit.cause),
      onSome: (error) => Predicate.hasProperty(error, "_tag") ? String(error._tag) : String(error)
    })

describe("two restores to one RBD image", () => {
  it.effect("at every pair of moments: one wins, the other is told why not, and nothing is mixed or left", () => {
    const world = CephWorld.make({ size: 3 * CHUNK })
    return world.run(Effect.gen(function*() {
      const images = yield* twoRevisions(world)
      const length = yield* Effect.flatMap(start("alone", "latest"), ({ advance }) => advance(LONG))
      assert.isAbove(length, 15)
      assert.isBelow(length, 60)
      const told = new Map<string, number>()
      for (let i = 0; i <= length; i++) {
        for (let j = 0; j <= length; j++) {
          const name = `copy-${i}-${j}`
          const one = yield* start(name, "first")
          yield* one.advance(i)
          const other = yield* start(name, "latest")
          yield* other.advance(j)
          const [a, b] = [tagOf(yield* one.finish), tagOf(yield* other.finish)]
          const what = `moments ${i} and ${j}: ${a}, ${b}`
          assert.sameMembers([a, b], ["success", "TargetRefused"], what)
          told.set(a, (told.get(a) ?? 0) + 1)
          const whole = a === "success" ? images.first : images.latest
          assert.strictEqual(Buffer.compare(world.ceph.content(`rbd/${name}`) ?? new Uint8Array(0), whole), 0, what)
          assert.deepStrictEqual(besides(world), [`rbd/${name}`, "rbd/alone"].sort(), what)
          world.ceph.remove(`rbd/${name}`)
        }
      }
      assert.isAbove(Math.min(told.get("success") ?? 0, told.get("TargetRefused") ?? 0), length)
    }))
  }, 120_000)
})

describe("a restore to an RBD image after one that was killed", () => {
  it.effect("ends well at whatever moment it was, and leaves nothing of it", () => {
    const world = CephWorld.make({ size: 3 * CHUNK })
    return world.run(Effect.gen(function*() {
      const images = yield* twoRevisions(world)
      const length = yield* Effect.flatMap(start("alone", "latest"), ({ advance }) => advance(LONG))
      const seen = { inUse: 0, idle: 0, published: 0 }
      for (let i = 0; i <= length; i++) {
        const name = `copy-${i}`
        yield* Effect.flatMap(start(name, "first"), ({ advance }) => advance(i))
        const left = besides(world).filter((found) => found.startsWith("rbd/.backy-"))
        const said: Array<string> = []
        const again = Effect.provide(restoreTo(name), warnings(said))
        const inUse = left.filter((found) => world.ceph.isWatched(found))
        if (inUse.length > 0) {
          seen.inUse++
          const { message } = yield* Effect.flip(again)
          assert.include(message, `another restore to it writes ${inUse[0]}, or was killed less than a minute ago`)
          // Ceph has noticed
          for (const found of inUse) world.ceph.setWatched(found, false)
        }
        if (world.ceph.content(`rbd/${name}`) !== undefined) {
          seen.published++
          assert.match((yield* Effect.flip(again)).message, /there is an image of that name/)
          assert.deepStrictEqual(world.ceph.content(`rbd/${name}`), images.first, `moment ${i}`)
        } else {
          yield* again
          assert.deepStrictEqual(world.ceph.content(`rbd/${name}`), images.latest, `moment ${i}`)
          for (const found of left) {
            seen.idle++
            assert.isTrue(said.some((line) => line.startsWith(`${found} was left by an earlier restore`)))
          }
        }
        assert.deepStrictEqual(besides(world), [`rbd/${name}`, "rbd/alone"].sort(), `moment ${i}`)
        world.ceph.remove(`rbd/${name}`)
      }
      for (const [what, count] of Object.entries(seen)) assert.isAbove(count, 0, what)
    }))
  })
})
