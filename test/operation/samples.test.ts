import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import type { Revision } from "../../src/domain/Revision.ts"
import { verify } from "../../src/operation/verify.ts"
import { portable, toHex } from "../../src/platform/hash.ts"
import { loseAll } from "../../src/platform/MemoryCrash.ts"
import { RbdError } from "../../src/platform/Rbd.ts"
import type * as RbdDiff from "../../src/platform/RbdDiff.ts"
import { Repository } from "../../src/repository/Repository.ts"
import { pathOf } from "../../src/store/chunkFile.ts"
import * as CephWorld from "../support/CephWorld.ts"
import * as Survey from "../support/Survey.ts"
import * as World from "../support/World.ts"

const { IMAGE } = CephWorld
const { CHUNK } = World

const history = Effect.flatMap(Repository, (repository) => repository.history)
/** A backup on the next day: the order of revisions is that of their dates. */
const backup = Effect.zipRight(TestClock.adjust("1 day"), World.backup())

const chunkOf = (content: Uint8Array): string => pathOf(World.REPOSITORY, toHex(portable(content)))

const levels = (revisions: ReadonlyArray<Revision>) => revisions.map(({ distrust, trust }) => distrust?.reason ?? trust)

/** A cluster whose diffs pass through a filter while it lies. */
const lying = (size: number, distort: (events: RbdDiff.Event) => ReadonlyArray<RbdDiff.Event>) => {
  const state = { lies: false }
  const world = CephWorld.make({
    size,
    wrap: (rbd) => ({
      ...rbd,
      diff: (image, request) => {
        const diff = rbd.diff(image, request)
        return state.lies && request.from !== undefined ? Stream.mapConcat(diff, distort) : diff
      }
    })
  })
  return { ...world, state }
}

describe("comparing samples of a source", () => {
  it.effect("finds a change that the diff left out within one rotation, and answers with a full backup", () => {
    const SIZE = 600 * CHUNK
    const LOST = 321
    const world = lying(
      SIZE,
      (event) => event._tag === "Write" && Math.floor(event.offset / CHUNK) === LOST ? [] : [event]
    )
    return world.run(Effect.gen(function*() {
      for (let index = 0; index < 600; index += 3) world.ceph.write(IMAGE, index * CHUNK, Uint8Array.of(1))
      const first = yield* backup
      world.state.lies = true
      world.ceph.write(IMAGE, LOST * CHUNK + 7, Uint8Array.of(9))
      let error: { readonly message: string } | undefined
      let runs = 0
      for (; runs < 30 && error === undefined; runs++) {
        error = yield* Effect.flip(backup).pipe(Effect.orElseSucceed(() => undefined))
      }
      assert.match(
        error?.message ?? "",
        /1 block of rbd\/vm differs .* the first at byte 1314816; evidence is in report/
      )
      const before = yield* history
      assert.strictEqual(before.complete.length, runs)
      assert.isTrue(before.complete.slice(1).every(({ isTrusted }) => !isTrusted), "the line that has the old bytes")
      assert.strictEqual(levels(before.complete).at(-1), "source-mismatch")
      const again = yield* backup
      assert.isUndefined(again.base)
      const content = world.ceph.content(IMAGE) ?? new Uint8Array(0)
      assert.isTrue(Buffer.compare(yield* World.restored(again.revision.id), content) === 0)
      // what the source had at that time, the first one has
      assert.isFalse(before.complete[0]?.id !== first.revision.id)
    }))
  })

  it.effect("finds bytes at the wrong place at once in a small image", () => {
    const world = lying(
      20 * CHUNK,
      (event) => event._tag === "Write" ? [{ ...event, offset: event.offset + CHUNK }] : [event]
    )
    return world.run(Effect.gen(function*() {
      yield* backup
      world.state.lies = true
      world.ceph.write(IMAGE, 3 * CHUNK, Uint8Array.of(1))
      assert.match((yield* Effect.flip(backup)).message, /(1 block of rbd\/vm differs|2 blocks of rbd\/vm differ) /)
    }))
  })

  it.effect("finds a change that the diff left out where the backup has nothing but zeros", () => {
    const world = lying(20 * CHUNK, (event) => event._tag === "Write" ? [] : [event])
    return world.run(Effect.gen(function*() {
      yield* backup
      world.state.lies = true
      for (let index = 0; index < 20; index++) world.ceph.write(IMAGE, index * CHUNK, Uint8Array.of(1))
      assert.match((yield* Effect.flip(backup)).message, /blocks of rbd\/vm differ /)
    }))
  })

  it.effect("records how much was compared, and when everything was", () => {
    const world = CephWorld.make({ size: 300 * CHUNK })
    return world.run(Effect.gen(function*() {
      const verifications: Array<Revision["verification"]> = []
      for (let run = 0; run < 31; run++) verifications.push((yield* backup).revision.verification)
      assert.deepInclude(verifications[0], { kind: "samples", of: 300 * CHUNK, cursor: 10 })
      assert.isAtLeast(verifications[0]?.compared ?? 0, 16 * CHUNK)
      assert.isUndefined(verifications[28]?.["fully_compared"])
      assert.deepInclude(verifications[29], { cursor: 0 })
      assert.isString(verifications[29]?.["fully_compared"])
      assert.deepInclude(verifications[30], { cursor: 10, fully_compared: verifications[29]?.["fully_compared"] })
    }))
  })

  it.effect("fails, and keeps no revision, when samples cannot be read", () => {
    let broken = false
    const world = CephWorld.make({
      wrap: (rbd) => ({
        ...rbd,
        open: (image, snapshot) =>
          Effect.map(rbd.open(image, snapshot), (reader) =>
            broken
              ? {
                read: () => new RbdError({ operation: "read samples of", what: snapshot, code: "EIO", detail: "gone" })
              }
              : reader)
      })
    })
    return world.run(Effect.gen(function*() {
      yield* backup
      broken = true
      assert.match((yield* Effect.flip(backup)).message, /gone/)
      assert.deepStrictEqual(levels((yield* history).complete), ["trusted"])
    }))
  })

  it.effect("fails, and keeps no revision, when too few samples can be read in time", () => {
    const world = CephWorld.make({
      wrap: (rbd) => ({
        ...rbd,
        open: (image, snapshot) =>
          Effect.map(rbd.open(image, snapshot), ({ read }) => ({
            read: (offset: number, length: number) => Effect.delay(read(offset, length), "30 minutes")
          }))
      })
    })
    return world.run(Effect.gen(function*() {
      const backingUp = yield* Effect.fork(Effect.flip(World.backup()))
      yield* TestClock.adjust("1 day")
      const { message } = yield* Fiber.join(backingUp)
      assert.match(message, /was not kept: only \d+ of 16 samples could be compared with the source within 2h/)
      assert.deepStrictEqual(levels((yield* history).complete), [])
    }))
  })

  it.effect("stores chunks again that were damaged, from the snapshot of the revision that has them", () => {
    const world = CephWorld.make()
    return world.run(Effect.gen(function*() {
      world.ceph.write(IMAGE, 0, new Uint8Array(3 * CHUNK).fill(5))
      world.ceph.write(IMAGE, CHUNK, new Uint8Array(CHUNK).fill(6))
      const { revision } = yield* backup
      const map = yield* (yield* Repository).readMap(revision)
      const id = Buffer.from(map.ids.subarray(32, 64)).toString("hex")
      World.setFile(world.memory.disk, `${World.REPOSITORY}/chunks/${id.slice(0, 2)}/${id}.chunk.zst`, Uint8Array.of(1))
      yield* Effect.either(verify({ revisions: "all", wait: Duration.zero }))
      // the image has gone on meanwhile
      world.ceph.write(IMAGE, CHUNK, new Uint8Array(CHUNK).fill(7))
      const next = yield* backup
      assert.strictEqual(next.base, revision.id)
      const bytes = yield* World.restored(revision.id)
      assert.deepStrictEqual(bytes.subarray(CHUNK, 2 * CHUNK), new Uint8Array(CHUNK).fill(6))
    }))
  })

  it.effect("stores chunks again from one revision's snapshot that the newer image and an older revision lack", () => {
    const world = CephWorld.make()
    return world.run(Effect.gen(function*() {
      const shared = new Uint8Array(CHUNK).fill(6)
      world.ceph.write(IMAGE, CHUNK, shared)
      const first = yield* backup
      const second = yield* backup
      const chunk = chunkOf(shared)
      World.setFile(world.memory.disk, chunk, Uint8Array.of(1))
      yield* Effect.either(verify({ revisions: "all", wait: Duration.zero }))
      assert.deepStrictEqual(levels((yield* history).complete), ["damaged", "damaged"])
      world.ceph.write(IMAGE, CHUNK, new Uint8Array(CHUNK).fill(7))
      yield* backup
      assert.deepStrictEqual(levels((yield* history).complete), ["verified", "verified", "trusted"])
      for (const { revision } of [first, second]) {
        assert.deepStrictEqual((yield* World.restored(revision.id)).subarray(CHUNK, 2 * CHUNK), shared)
      }
    }))
  })

  it.effect("stores again whatever the base lacks, also where no sample is taken", () => {
    const world = CephWorld.make({ size: 100 * CHUNK })
    return world.run(Effect.gen(function*() {
      const parts = Array.from({ length: 100 }, (_, index) => new Uint8Array(CHUNK).fill(index + 1))
      parts.forEach((part, index) => world.ceph.write(IMAGE, index * CHUNK, part))
      yield* backup
      for (const part of parts) world.memory.disk.unlink(chunkOf(part))
      yield* backup
      yield* verify({ revisions: "all", wait: Duration.zero })
    }))
  })

  it.effect("reads a part of the source again whose chunk in the base is gone", () => {
    const world = CephWorld.make()
    return world.run(Effect.gen(function*() {
      world.ceph.write(IMAGE, 0, new Uint8Array(CHUNK).fill(5))
      world.ceph.write(IMAGE, 2 * CHUNK, new Uint8Array(CHUNK).fill(6))
      const { revision } = yield* backup
      const map = yield* (yield* Repository).readMap(revision)
      for (const index of [0, 2]) {
        const id = Buffer.from(map.ids.subarray(index * 32, index * 32 + 32)).toString("hex")
        world.memory.disk.unlink(`${World.REPOSITORY}/chunks/${id.slice(0, 2)}/${id}.chunk.zst`)
      }
      world.ceph.write(IMAGE, 100, Uint8Array.of(1))
      const next = yield* backup
      const content = world.ceph.content(IMAGE) ?? new Uint8Array(0)
      assert.isTrue(Buffer.compare(yield* World.restored(next.revision.id), content) === 0)
    }))
  })
})

describe("a power loss right after a backup of an RBD image", () => {
  /** Revisions that are not whole on the medium. */
  const torn = (world: ReturnType<typeof CephWorld.make>) =>
    Array.from(Survey.take(world.memory.crash(loseAll)).complete.values()).filter((one) => !Survey.isWhole(one))

  it.effect("loses none of its chunks", () => {
    const world = CephWorld.make({ size: 10 * CHUNK })
    return world.run(Effect.gen(function*() {
      for (let run = 1; run <= 3; run++) {
        world.ceph.write(IMAGE, run * CHUNK + 7, new Uint8Array(CHUNK).fill(run))
        yield* backup
        assert.strictEqual(Survey.take(world.memory.crash(loseAll)).complete.size, run)
        assert.deepStrictEqual(torn(world), [])
      }
    }))
  })

  it.effect("loses none of the chunks that it found damaged and stored again", () => {
    const world = CephWorld.make({ size: 10 * CHUNK })
    return world.run(Effect.gen(function*() {
      world.ceph.write(IMAGE, 3 * CHUNK, new Uint8Array(CHUNK).fill(5))
      const { revision } = yield* backup
      const map = yield* (yield* Repository).readMap(revision)
      const id = Buffer.from(map.ids.subarray(3 * 32, 4 * 32)).toString("hex")
      World.setFile(world.memory.disk, `${World.REPOSITORY}/chunks/${id.slice(0, 2)}/${id}.chunk.zst`, Uint8Array.of(1))
      world.memory.syncAll()
      assert.strictEqual(torn(world).length, 1)
      const { compared } = yield* backup
      assert.strictEqual(compared.healed.length, 1)
      assert.deepStrictEqual(torn(world), [])
    }))
  })
})
