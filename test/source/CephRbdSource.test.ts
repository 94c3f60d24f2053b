import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import * as DigestLine from "../../src/platform/digestLine.ts"
import type { Disk } from "../../src/platform/Disk.ts"
import { loseAll } from "../../src/platform/MemoryCrash.ts"
import type { MemoryRbd } from "../../src/platform/MemoryRbd.ts"
import { Rbd, RbdError } from "../../src/platform/Rbd.ts"
import { Repository } from "../../src/repository/Repository.ts"
import { mayAskWholeObjects, nameOf } from "../../src/source/CephRbdSource.ts"
import * as CephWorld from "../support/CephWorld.ts"
import { bytesOf, listOf } from "../support/diskFiles.ts"
import * as World from "../support/World.ts"

const { IMAGE } = CephWorld
const { CHUNK } = World

/** A backup on the next day: the order of revisions is that of their dates. */
const backup = Effect.zipRight(TestClock.adjust("1 day"), World.backup())

/** The same, of an image that may have lost what it had. */
const backupOfAny = Effect.zipRight(TestClock.adjust("1 day"), World.backup(["daily"], { acceptShrink: true }))

const busy = (what: string) => new RbdError({ operation: "remove snapshot", what, code: "EBUSY", detail: "in use" })
const text = (bytes: Uint8Array | undefined) => new TextDecoder().decode(bytes)

/** The snapshots that are noted, a line each: the file without its digest. */
const notes = (disk: Disk): string => {
  const opened = DigestLine.open("digest ", bytesOf(disk, `${World.REPOSITORY}/snapshots`))
  return opened._tag === "Whole" ? text(opened.body) : opened._tag
}

describe("ceph-rbd source", () => {
  it.effect.prop(
    "backs up increments that restore to their snapshots, whatever was written, discarded and resized",
    [
      FastCheck.array(
        FastCheck.array(
          FastCheck.oneof(
            {
              weight: 4,
              arbitrary: FastCheck.record({
                kind: FastCheck.constant("write" as const),
                at: FastCheck.nat({ max: 14 * CHUNK }),
                length: FastCheck.integer({ min: 1, max: 3 * CHUNK }),
                byte: FastCheck.integer({ min: 0, max: 3 })
              })
            },
            FastCheck.record({
              kind: FastCheck.constant("resize" as const),
              size: FastCheck.integer({ min: 0, max: 14 * CHUNK })
            }),
            FastCheck.record({ kind: FastCheck.constant("snapshot" as const) })
          ),
          { maxLength: 5 }
        ),
        { minLength: 2, maxLength: 4 }
      ),
      FastCheck.constantFrom(CHUNK, CHUNK / 2, 3 * CHUNK, 1000)
    ],
    ([rounds, objectSize]) => {
      const world = CephWorld.make({ objectSize, size: 10 * CHUNK })
      let others = 0
      return world.run(Effect.gen(function*() {
        const expected: Array<readonly [string, Uint8Array]> = []
        for (const round of rounds) {
          for (const step of round) {
            const size = world.ceph.content(IMAGE)?.length ?? 0
            if (step.kind === "resize") world.ceph.resize(IMAGE, step.size)
            else if (step.kind === "snapshot") world.ceph.snapshot(IMAGE, `other-${++others}`)
            else if (step.at < size) {
              const length = Math.min(step.length, size - step.at)
              world.ceph.write(IMAGE, step.at, new Uint8Array(length).fill(step.byte))
            }
          }
          const before = expected.length
          const { base, revision } = yield* backupOfAny
          expected.push([revision.id, Uint8Array.from(world.ceph.content(IMAGE) ?? [])])
          assert.strictEqual(base, expected[before - 1]?.[0])
        }
        for (const [id, content] of expected) {
          assert.isTrue(Buffer.compare(yield* World.restored(id), content) === 0, id)
        }
      }))
    },
    { fastCheck: { numRuns: 25 } }
  )

  it.effect("keeps one snapshot of its own, and leaves those of others alone", () => {
    const world = CephWorld.make()
    return world.run(Effect.gen(function*() {
      world.ceph.snapshot(IMAGE, "backy-2222222222222222222222")
      world.ceph.snapshot(IMAGE, "by-hand")
      const others = ["backy-2222222222222222222222", "by-hand"]
      const first = yield* backup
      assert.deepStrictEqual(world.ceph.snapshotNames(IMAGE), [...others, nameOf(first.revision.id)])
      const second = yield* backup
      assert.deepStrictEqual(world.ceph.snapshotNames(IMAGE), [...others, nameOf(second.revision.id)])
      assert.strictEqual(
        notes(world.memory.disk),
        `rbd/vm@${nameOf(second.revision.id)}\n`
      )
      assert.strictEqual(world.ceph.opened.size, 0)
    }))
  })

  it.effect("asks the cluster as little as an increment of nothing needs, and nothing of it twice", () => {
    const calls: Array<string> = []
    const counted = <A, E, R>(name: string, call: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
      Effect.zipRight(Effect.sync(() => calls.push(name)), call)
    const world = CephWorld.make({
      wrap: (rbd) => ({
        ...rbd,
        info: (image) => counted("info", rbd.info(image)),
        snapshots: (image) => counted("snapshots", rbd.snapshots(image)),
        createSnapshot: (image, name) => counted("createSnapshot", rbd.createSnapshot(image, name)),
        removeSnapshot: (image, name) => counted("removeSnapshot", rbd.removeSnapshot(image, name)),
        diff: (image, request) => Stream.unwrap(counted("diff", Effect.succeed(rbd.diff(image, request)))),
        open: (image, name) => counted("open", rbd.open(image, name))
      })
    })
    return world.run(Effect.gen(function*() {
      yield* backup
      calls.length = 0
      yield* backup
      // each is one program; the snapshots are listed again after the diff, since one that is gone makes it worthless
      assert.deepStrictEqual(calls, [
        "info",
        "createSnapshot",
        "snapshots",
        "diff",
        "snapshots",
        "open",
        "removeSnapshot"
      ])
    }))
  })

  it.effect("keeps the base, and takes away what it made, when the diff breaks off", () => {
    let broken = false
    const world = CephWorld.make({
      wrap: (rbd) => ({
        ...rbd,
        diff: (image, request) =>
          broken
            ? Stream.concat(
              Stream.take(rbd.diff(image, request), 1),
              Stream.fail(new RbdError({ operation: "read", what: IMAGE, code: "EIO", detail: "killed" }))
            )
            : rbd.diff(image, request)
      })
    })
    return world.run(Effect.gen(function*() {
      const first = yield* backup
      world.ceph.write(IMAGE, 5, Uint8Array.of(1))
      broken = true
      const error = yield* Effect.flip(backup)
      assert.match(error.message, /cannot back up rbd\/vm: cannot read rbd\/vm: killed/)
      assert.deepStrictEqual(world.ceph.snapshotNames(IMAGE), [nameOf(first.revision.id)])
      const { history } = yield* Repository
      assert.strictEqual((yield* history).complete.length, 1)
      assert.strictEqual((yield* history).incomplete.length, 0)
      broken = false
      assert.strictEqual((yield* backup).base, first.revision.id)
    }))
  })

  it.effect("removes with the next backup what the cluster makes only after a backup has given up", () => {
    let silent = false
    const asked: Array<string> = []
    const world = CephWorld.make({
      wrap: (rbd) => ({
        ...rbd,
        createSnapshot: (image, name) => {
          if (!silent) return rbd.createSnapshot(image, name)
          asked.push(name)
          return new RbdError({ operation: "make snapshot", what: name, code: "ETIMEDOUT", detail: "no answer" })
        }
      })
    })
    return world.run(Effect.gen(function*() {
      const { revision } = yield* backup
      const kept = `${IMAGE}@${nameOf(revision.id)}\n`
      silent = true
      yield* Effect.flip(backup)
      yield* Effect.flip(backup)
      yield* Effect.flip(backup)
      // the last may still come; those before it had the time of a whole run
      assert.strictEqual(notes(world.memory.disk), `${kept}${IMAGE}@${asked[1]}\n${IMAGE}@${asked[2]}\n`)
      world.ceph.snapshot(IMAGE, asked[2] ?? "")
      silent = false
      const next = yield* backup
      assert.strictEqual(next.base, revision.id)
      assert.deepStrictEqual(world.ceph.snapshotNames(IMAGE), [nameOf(next.revision.id)])
      assert.strictEqual(notes(world.memory.disk), `${IMAGE}@${nameOf(next.revision.id)}\n`)
    }))
  })

  it.effect("keeps the snapshot of a revision that cannot be read just now, when it makes no revision", () => {
    let broken = false
    const world = CephWorld.make({
      wrap: (rbd) => ({
        ...rbd,
        diff: (image, request) =>
          broken
            ? Stream.fail(new RbdError({ operation: "read", what: IMAGE, code: "EIO", detail: "killed" }))
            : rbd.diff(image, request)
      })
    })
    return world.run(Effect.gen(function*() {
      const { revision } = yield* backup
      const path = `${World.REPOSITORY}/${revision.id}.rev`
      const whole = Uint8Array.from(bytesOf(world.memory.disk, path) ?? [])
      world.memory.plantFile(path, Uint8Array.of(1), 0o440)
      broken = true
      yield* Effect.flip(backup)
      assert.deepStrictEqual(world.ceph.snapshotNames(IMAGE), [nameOf(revision.id)])
      world.memory.plantFile(path, whole, 0o440)
      broken = false
      assert.strictEqual((yield* backup).base, revision.id)
    }))
  })

  it.effect("does not believe a diff that says another size than Ceph's list of snapshots", () => {
    let grown = 0
    const world = CephWorld.make({
      wrap: (rbd) => ({
        ...rbd,
        diff: (image, request) =>
          Stream.map(
            rbd.diff(image, request),
            (event) => event._tag === "Header" ? { ...event, size: event.size + grown } : event
          )
      })
    })
    return world.run(Effect.gen(function*() {
      const first = yield* backup
      for (grown of [-CHUNK, CHUNK]) {
        const error = yield* Effect.flip(backup)
        assert.match(error.message, /the diff is of an image of \d+ bytes, snapshot backy-\w+ has \d+/)
      }
      assert.deepStrictEqual(world.ceph.snapshotNames(IMAGE), [nameOf(first.revision.id)])
    }))
  })

  it.effect("removes the other old snapshots when one is protected or busy, and that one later, revision or not", () => {
    let stuck = ""
    const world = CephWorld.make({
      wrap: (rbd) => ({
        ...rbd,
        removeSnapshot: (image, name) => name === stuck ? Effect.fail(busy(name)) : rbd.removeSnapshot(image, name)
      })
    })
    return world.run(Effect.gen(function*() {
      const { revision } = yield* backup
      const first = nameOf(revision.id)
      world.ceph.setProtected(IMAGE, first, true)
      const second = nameOf((yield* backup).revision.id)
      assert.deepStrictEqual(world.ceph.snapshotNames(IMAGE), [first, second])
      stuck = second
      const third = nameOf((yield* backup).revision.id)
      assert.deepStrictEqual(world.ceph.snapshotNames(IMAGE), [first, second, third])
      world.ceph.setProtected(IMAGE, first, false)
      stuck = ""
      yield* (yield* Repository).remove(revision.id)
      const fourth = nameOf((yield* backup).revision.id)
      assert.deepStrictEqual(world.ceph.snapshotNames(IMAGE), [fourth])
    }))
  })

  it.effect("finds its snapshots again after a kill and after a forget", () => {
    let dead = false
    const reading = Deferred.unsafeMake<void>(FiberId.none)
    const world = CephWorld.make({
      wrap: (rbd) => ({
        ...rbd,
        diff: (image, request) =>
          dead
            ? Stream.concat(Stream.drain(Stream.fromEffect(Deferred.succeed(reading, undefined))), Stream.never)
            : rbd.diff(image, request),
        removeSnapshot: (image, name) => dead ? Effect.fail(busy(name)) : rbd.removeSnapshot(image, name)
      })
    })
    return world.run(Effect.gen(function*() {
      const first = yield* backup
      dead = true
      const killed = yield* Effect.fork(backup)
      yield* Deferred.await(reading)
      yield* Fiber.interrupt(killed)
      assert.strictEqual(world.ceph.snapshotNames(IMAGE).length, 2)
      dead = false
      const { remove } = yield* Repository
      yield* remove(first.revision.id)
      const last = yield* backup
      assert.isUndefined(last.base)
      assert.deepStrictEqual(world.ceph.snapshotNames(IMAGE), [nameOf(last.revision.id)])
    }))
  })

  it.effect("builds on the newest older revision whose snapshot is still there, or reads everything", () => {
    const world = CephWorld.make()
    return world.run(Effect.gen(function*() {
      const first = yield* backup
      world.ceph.setProtected(IMAGE, nameOf(first.revision.id), true)
      world.ceph.write(IMAGE, CHUNK, Uint8Array.of(1))
      const second = yield* backup
      yield* Effect.ignore(world.ceph.rbd.removeSnapshot({ pool: "rbd", image: "vm" }, nameOf(second.revision.id)))
      world.ceph.write(IMAGE, 2 * CHUNK, Uint8Array.of(2))
      const third = yield* backup
      assert.strictEqual(third.base, first.revision.id)
      const content = world.ceph.content(IMAGE) ?? new Uint8Array(0)
      assert.isTrue(Buffer.compare(yield* World.restored(third.revision.id), content) === 0)
    }))
  })

  it.effect("reads everything each time and keeps no snapshot with full-always", () => {
    const world = CephWorld.make({ fullAlways: true })
    return world.run(Effect.gen(function*() {
      yield* backup
      assert.deepStrictEqual(world.ceph.snapshotNames(IMAGE), [])
      assert.isUndefined((yield* backup).base)
      assert.deepStrictEqual(world.ceph.snapshotNames(IMAGE), [])
    }))
  })

  /** What somebody does in the middle of a backup, when half of the diff was read; what is said; how it ends. */
  const disturbances: ReadonlyArray<{
    readonly what: string
    readonly act: (ceph: MemoryRbd, names: { readonly own: string; readonly base: string }) => void
    readonly said?: RegExp
    readonly undo?: (ceph: MemoryRbd) => void
    /** What is left of the base: without it the next backup is full. */
    readonly losesBase?: boolean
  }> = [
    {
      what: "renames the image",
      act: (ceph) => ceph.rename(IMAGE, "rbd/elsewhere"),
      said: /^cannot back up rbd\/vm: the image was renamed, moved to the trash or deleted while it was backed up$/,
      undo: (ceph) => ceph.rename("rbd/elsewhere", IMAGE)
    },
    {
      what: "moves the image to the trash",
      act: (ceph) => ceph.trash(IMAGE),
      said: /^cannot back up rbd\/vm: the image was renamed, moved to the trash or deleted while it was backed up$/,
      undo: (ceph) => ceph.create(IMAGE, 5 * CHUNK),
      losesBase: true
    },
    {
      what: "deletes the image",
      act: (ceph) => ceph.remove(IMAGE),
      said: /^cannot back up rbd\/vm: the image was renamed, moved to the trash or deleted while it was backed up$/,
      undo: (ceph) => ceph.create(IMAGE, 5 * CHUNK),
      losesBase: true
    },
    {
      what: "puts another image in its place",
      act: (ceph) => {
        ceph.rename(IMAGE, "rbd/elsewhere")
        ceph.create(IMAGE, 9 * CHUNK)
      },
      said: /^cannot back up rbd\/vm: the image was replaced by another one while it was backed up$/,
      losesBase: true
    },
    {
      what: "removes its snapshot",
      act: (ceph, { own }) => ceph.removeSnapshot(IMAGE, own),
      said: /^cannot back up rbd\/vm: somebody removed its snapshot backy-\w{22} while it was backed up$/
    },
    {
      what: "removes the snapshot of the base",
      act: (ceph, { base }) => ceph.removeSnapshot(IMAGE, base),
      said: /^cannot back up rbd\/vm: somebody removed its snapshot backy-\w{22} while it was backed up$/,
      losesBase: true
    },
    { what: "grows the image", act: (ceph) => ceph.resize(IMAGE, 60 * CHUNK) },
    { what: "shrinks the image", act: (ceph) => ceph.resize(IMAGE, 3 * CHUNK + 7) }
  ]

  for (const { act, losesBase = false, said, undo, what } of disturbances) {
    it.effect(`leaves nothing of its own when somebody ${what}, and the next backup is well`, () => {
      let disturb: (() => void) | undefined
      const world = CephWorld.make({
        wrap: (rbd) => ({
          ...rbd,
          diff: (image, request) =>
            Stream.tap(rbd.diff(image, request), (event) =>
              Effect.sync(() => {
                if (event._tag === "Header") return
                disturb?.()
                disturb = undefined
              }))
        })
      })
      const { ceph } = world
      return world.run(Effect.gen(function*() {
        ceph.write(IMAGE, 0, new Uint8Array(8 * CHUNK).fill(1))
        ceph.snapshot(IMAGE, "of-others")
        const first = yield* backup
        const base = nameOf(first.revision.id)
        ceph.write(IMAGE, CHUNK, new Uint8Array(4 * CHUNK).fill(2))
        const held = Uint8Array.from(ceph.content(IMAGE) ?? [])
        disturb = () => {
          const own = ceph.snapshotNames(IMAGE).find((name) => name.startsWith("backy-") && name !== base) ?? ""
          act(ceph, { own, base })
        }
        if (said === undefined) {
          const { revision } = yield* backup
          assert.isTrue(Buffer.compare(yield* World.restored(revision.id), held) === 0)
        } else {
          assert.match((yield* Effect.flip(backup)).message, said)
          const { history } = yield* Repository
          assert.deepStrictEqual((yield* history).complete.map(({ id }) => id), [first.revision.id])
          assert.strictEqual((yield* history).incomplete.length, 0)
          // under whatever name the image is to be found, only the base of the increments is still there
          const left = ceph.allSnapshotNames().filter((name) => name.startsWith("backy-"))
          assert.isEmpty(left.filter((name) => name !== base))
          undo?.(ceph)
        }
        const next = yield* backupOfAny
        assert.strictEqual(next.base === undefined, losesBase)
        const content = ceph.content(IMAGE) ?? new Uint8Array(0)
        assert.isTrue(Buffer.compare(yield* World.restored(next.revision.id), content) === 0)
        assert.deepStrictEqual(
          ceph.snapshotNames(IMAGE).filter((name) => name.startsWith("backy-")),
          [nameOf(next.revision.id)]
        )
        assert.strictEqual(
          notes(world.memory.disk),
          `rbd/vm@${nameOf(next.revision.id)}\n`
        )
      }))
    })
  }

  it.effect("backs up a clone, and goes on with increments when it is flattened in between", () => {
    const world = CephWorld.make()
    const { ceph } = world
    return world.run(Effect.gen(function*() {
      ceph.create("rbd/parent", 6 * CHUNK)
      ceph.write("rbd/parent", CHUNK, new Uint8Array(3 * CHUNK).fill(5))
      ceph.snapshot("rbd/parent", "golden")
      ceph.remove(IMAGE)
      ceph.clone("rbd/parent", "golden", IMAGE)
      const first = yield* backup
      ceph.write(IMAGE, 2 * CHUNK, Uint8Array.of(9))
      ceph.flatten(IMAGE)
      ceph.remove("rbd/parent")
      const second = yield* backup
      assert.strictEqual(second.base, first.revision.id)
      const content = ceph.content(IMAGE) ?? new Uint8Array(0)
      assert.isTrue(Buffer.compare(yield* World.restored(second.revision.id), content) === 0)
    }))
  })

  it.effect("makes nothing when the image is missing", () => {
    const world = CephWorld.make()
    return world.run(Effect.gen(function*() {
      world.ceph.remove(IMAGE)
      assert.strictEqual((yield* Effect.flip(backup)).message, "cannot back up rbd/vm: there is no such image")
      assert.notInclude(listOf(world.memory.disk, World.REPOSITORY), "snapshots")
    }))
  })

  it.effect("makes a snapshot only when its revision and the note of it are on the medium", () => {
    const seen: Array<string> = []
    const world: ReturnType<typeof CephWorld.make> = CephWorld.make({
      take: (image, name) =>
        Effect.flatMap(Rbd, (rbd) => {
          const { disk } = world.memory.crash(loseAll)
          assert.include(disk.list(World.REPOSITORY), `${name.slice("backy-".length)}.rev`)
          assert.include(text(bytesOf(disk, `${World.REPOSITORY}/snapshots`)), `${IMAGE}@${name}\n`)
          seen.push(name)
          return rbd.createSnapshot(image, name)
        })
    })
    return world.run(Effect.gen(function*() {
      yield* backup
      yield* backup
      assert.strictEqual(seen.length, 2)
    }))
  })

  it("asks for whole objects only when no snapshot in between was smaller", () => {
    const snap = (id: number, size: number) => ({ id, size, name: `${id}`, isProtected: false })
    const [one, two, four] = [snap(1, 10), snap(2, 5), snap(4, 8)] as const
    assert.isTrue(mayAskWholeObjects([one, four], one, four))
    assert.isFalse(mayAskWholeObjects([one, two, four], one, four))
    assert.isTrue(mayAskWholeObjects([one, snap(3, 8), four], one, four))
    assert.isTrue(mayAskWholeObjects([one, two, four], two, four))
  })
})
