/** An image that was emptied, cut off or wiped never takes the place of what it was. */
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as TestClock from "effect/TestClock"
import { backup as backupOperation } from "../../src/operation/backup.ts"
import { expire } from "../../src/operation/expire.ts"
import { forget } from "../../src/operation/forget.ts"
import { purge } from "../../src/operation/purge.ts"
import * as CephWorld from "../support/CephWorld.ts"
import * as World from "../support/World.ts"
import * as Scenario from "./scenario.ts"

const { backup, CHUNK, restored, schedule } = World
const { blocks, failureOf, inScene, join } = Scenario

const wait = Duration.zero
const aDay = TestClock.adjust(Duration.days(1))
const zeros = (bytes: number) => new Uint8Array(bytes)

/** A day later; the image is what it is then. */
const attempt = (scene: Scenario.Scene, image: Uint8Array, acceptShrink = false) =>
  Effect.zipRight(
    Effect.zipRight(aDay, Effect.sync(() => Scenario.setImage(scene, image))),
    backup(["daily"], { acceptShrink })
  )

const refusal = (scene: Scenario.Scene, image: Uint8Array) =>
  Effect.map(failureOf(attempt(scene, image)), (error) => {
    assert.strictEqual(error._tag, "SourceLostContent")
    return error.message
  })

const full = blocks(1, 2, 0, 4)

describe("a source that lost its content", () => {
  it.effect("is refused when it is empty, and nothing is left of the attempt", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const { revision } = yield* attempt(scene, full)
        const before = Scenario.filesBelow(scene)
        assert.strictEqual(
          yield* refusal(scene, zeros(0)),
          "the source lost its content: /images/vm.img: it has 0 bytes, and revision " +
            `${revision.id} has 16384; no revision was made (if that is meant, backy backup --accept-shrink takes it, once)`
        )
        assert.deepStrictEqual(Scenario.filesBelow(scene), before)
      })
    ))

  it.effect("is refused when it is empty and was never backed up", () =>
    inScene((scene) => Effect.map(refusal(scene, zeros(0)), (said) => assert.include(said, "vm.img: it has 0 bytes;"))))

  it.effect("is refused below half of the largest of the newest five, and taken at half", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        for (const image of [blocks(1, 2, 3, 4, 5, 6), full, full, full, full]) yield* attempt(scene, image)
        assert.include(yield* refusal(scene, blocks(1, 2, 3).subarray(1)), "it has 12287 bytes, and revision ")
        yield* attempt(scene, blocks(1, 2, 3))
        // the sixth is not asked any more
        yield* attempt(scene, blocks(1, 2))
      })
    ))

  it.effect("is refused when all of it reads as zeros, in chunks and as an image", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const { revision } = yield* attempt(scene, full)
        const before = Scenario.filesBelow(scene)
        assert.include(
          yield* refusal(scene, zeros(full.length)),
          `all of it reads as zeros, and revision ${revision.id} has data`
        )
        const image = backupOperation({ tags: ["daily"], schedule, force: false, wait, backend: "cowfile" })
        assert.strictEqual((yield* failureOf(image))._tag, "SourceLostContent")
        assert.deepStrictEqual(Scenario.filesBelow(scene), before)
      })
    ))

  it.effect("has lost nothing as long as it never had anything", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* attempt(scene, zeros(3 * CHUNK))
        yield* attempt(scene, zeros(2 * CHUNK))
        yield* attempt(scene, full)
        yield* refusal(scene, zeros(2 * CHUNK))
      })
    ))

  it.effect("is measured by complete revisions when none is trusted", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const { revision } = yield* attempt(scene, full)
        yield* Scenario.distrustAs(revision.id, "manual")
        yield* refusal(scene, blocks(1))
      })
    ))

  it.effect("is taken once with --accept-shrink, which the revision says, and is the standard from then on", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const { revision: before } = yield* attempt(scene, full)
        const { revision } = yield* attempt(scene, blocks(7), true)
        assert.strictEqual(revision.accepted, "shrink")
        assert.include(scene.log.join("\n"), "lost content, which is accepted: it has 4096 bytes, and revision")
        // accepted once: it counts now, and what follows is an ordinary backup of it
        const next = yield* attempt(scene, blocks(8))
        assert.strictEqual(next.revision.accepted, undefined)
        yield* refusal(scene, blocks(8).subarray(2100))
        for (let day = 0; day < 9; day++) yield* attempt(scene, blocks(day + 9))
        yield* expire({ schedule, dryRun: false, unknownTags: true, wait })
        yield* purge({ dryRun: false, wait })
        assert.deepStrictEqual((yield* Scenario.revisionOf(before.id)).tags, ["daily"])
        assert.deepStrictEqual(yield* restored(before.id), full)
        // the mark alone does not go: then nothing would keep what came before it
        const refused = yield* failureOf(forget({ revisions: revision.id, force: false, wait }))
        assert.strictEqual(refused._tag, "MarksLoss")
        assert.include(refused.message, `keeps ${before.id}, the last before that, from expiring; all were kept`)
        assert.isDefined(yield* Scenario.revisionOf(revision.id))
        yield* forget({ revisions: before.id, force: false, wait })
        yield* expire({ schedule, dryRun: false, unknownTags: false, wait })
        const { complete } = yield* Scenario.history
        assert.isTrue(complete.every(({ accepted }) => accepted === undefined))
      })
    ))

  it.effect("is told when its mark is forgotten by force, or together with what it keeps", () =>
    Effect.forEach([true, false], (force) =>
      inScene((scene) =>
        Effect.gen(function*() {
          const { revision: before } = yield* attempt(scene, full)
          const { revision: mark } = yield* attempt(scene, blocks(7), true)
          yield* attempt(scene, blocks(8))
          yield* forget({ revisions: force ? mark.id : `${before.id},${mark.id}`, force, wait })
          const said = `${before.id}, the last before that, can expire now`
          assert.strictEqual(scene.log.some((line) => line.includes(said)), force)
          assert.strictEqual((yield* Scenario.history).complete.length, force ? 2 : 1)
        })
      ), { discard: true }))

  it.effect("is marked anew while the metadata of what accepted it cannot be read, and backups go on", () =>
    Effect.forEach([blocks(7), zeros(4 * CHUNK)], (lost) =>
      inScene((scene) =>
        Effect.gen(function*() {
          const { revision: before } = yield* attempt(scene, full)
          const { revision: mark } = yield* attempt(scene, lost, true)
          const path = `${World.REPOSITORY}/${mark.id}.rev`
          const whole = scene.memory.bytesAt(path)
          Scenario.tamper(scene, path, (bytes) => bytes.subarray(1))
          // still less than that is a loss that nobody accepted
          yield* refusal(scene, zeros(0))
          yield* refusal(scene, lost[0] === 0 ? blocks(1) : zeros(lost.length))
          const { revision: next } = yield* attempt(scene, lost)
          assert.strictEqual(next.accepted, "shrink")
          assert.include(scene.log.join("\n"), `which may have been accepted when ${mark.id} was made`)
          for (let day = 0; day < 9; day++) {
            assert.isUndefined((yield* attempt(scene, zeros(lost.length).fill(day + 9))).revision.accepted)
          }
          // whatever becomes of the broken file: what came before the loss stays
          yield* expire({ schedule, dryRun: false, unknownTags: true, wait })
          assert.deepStrictEqual(yield* restored(before.id), full)
          Scenario.tamper(scene, path, () => whole)
          yield* expire({ schedule, dryRun: false, unknownTags: true, wait })
          yield* purge({ dryRun: false, wait })
          assert.deepStrictEqual((yield* Scenario.history).complete.slice(0, 2).map(({ id }) => id), [
            before.id,
            mark.id
          ])
          assert.deepStrictEqual(yield* restored(before.id), full)
        })
      ), { discard: true }))

  it.effect("is refused as ever while the map of what cannot be read tells of more, or nothing", () =>
    Effect.forEach(["more", "nothing"], (told) =>
      inScene((scene) =>
        Effect.gen(function*() {
          yield* attempt(scene, full)
          const { revision } = yield* attempt(scene, blocks(5, 6, 7, 8))
          Scenario.tamper(scene, `${World.REPOSITORY}/${revision.id}.rev`, (bytes) => bytes.subarray(1))
          if (told === "nothing") {
            Scenario.tamper(scene, `${World.REPOSITORY}/${revision.id}`, (bytes) => bytes.subarray(1))
          }
          yield* refusal(scene, blocks(7))
          yield* refusal(scene, zeros(full.length))
        })
      ), { discard: true }))

  it.effect("keeps what came before it although the metadata that say so cannot be read any more", () =>
    Effect.forEach([blocks(7), zeros(4 * CHUNK)], (lost) =>
      inScene((scene) =>
        Effect.gen(function*() {
          yield* attempt(scene, blocks(5, 6, 7, 8))
          const { revision: before } = yield* attempt(scene, full)
          const { revision } = yield* attempt(scene, lost, true)
          for (let day = 0; day < 9; day++) yield* attempt(scene, zeros(lost.length).fill(day + 9))
          const path = `${World.REPOSITORY}/${revision.id}.rev`
          const whole = scene.memory.bytesAt(path)
          Scenario.tamper(scene, path, (bytes) => {
            const text = new TextDecoder().decode(bytes)
            return new TextEncoder().encode(text.replace("accepted: shrink", "accepted: shrinj"))
          })
          yield* expire({ schedule, dryRun: false, unknownTags: true, wait })
          yield* purge({ dryRun: false, wait })
          assert.include(scene.log.join("\n"), `backy forget -r ${revision.id} gives that revision up`)
          assert.deepStrictEqual((yield* Scenario.revisionOf(before.id)).tags, ["daily"])
          assert.deepStrictEqual(yield* restored(before.id), full)
          // with the file back the rest goes, and the one before the loss stays
          Scenario.tamper(scene, path, () => whole)
          yield* expire({ schedule, dryRun: false, unknownTags: true, wait })
          assert.deepStrictEqual((yield* Scenario.history).complete.map(({ id }) => id).slice(0, 2), [
            before.id,
            revision.id
          ])
        })
      ), { discard: true }))

  it.effect("was lost by no revision that cannot be read and is as large as all others", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const { revision: old } = yield* attempt(scene, full)
        const { revision } = yield* attempt(scene, blocks(1, 2, 3, 5))
        for (let day = 0; day < 9; day++) yield* attempt(scene, blocks(1, 2, 3, day + 9))
        Scenario.tamper(scene, `${World.REPOSITORY}/${revision.id}.rev`, Scenario.flipBit)
        yield* expire({ schedule, dryRun: false, unknownTags: true, wait })
        const { broken, complete } = yield* Scenario.history
        assert.deepStrictEqual(broken.map(({ id }) => id), [revision.id])
        assert.notInclude(complete.map(({ id }) => id), old.id)
      })
    ))

  it.effect("may stay empty once that was accepted", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* attempt(scene, full)
        yield* attempt(scene, zeros(0), true)
        const { revision } = yield* attempt(scene, zeros(0))
        assert.deepStrictEqual([revision.size, revision.accepted], [0, undefined])
        yield* attempt(scene, full)
        yield* refusal(scene, zeros(0))
      })
    ))

  it.effect("says nothing of a loss when there is none to accept", () =>
    inScene((scene) =>
      Effect.map(attempt(scene, full, true), ({ revision }) => assert.strictEqual(revision.accepted, undefined))
    ))

  it.effect("is an image in Ceph of no bytes, of fewer, and one that was discarded", () => {
    const world = CephWorld.make({ size: 10 * CHUNK })
    return world.run(Effect.gen(function*() {
      world.ceph.write(CephWorld.IMAGE, 0, blocks(1, 2, 3))
      yield* backup()
      const snapshots = world.ceph.snapshotNames(CephWorld.IMAGE)
      for (
        const lose of [
          () => world.ceph.write(CephWorld.IMAGE, 0, zeros(10 * CHUNK)),
          () => world.ceph.resize(CephWorld.IMAGE, 4 * CHUNK),
          () => world.ceph.resize(CephWorld.IMAGE, 0)
        ]
      ) {
        lose()
        yield* aDay
        assert.strictEqual((yield* failureOf(backup()))._tag, "SourceLostContent")
        assert.deepStrictEqual(world.ceph.snapshotNames(CephWorld.IMAGE), snapshots)
      }
      assert.strictEqual((yield* backup(["daily"], { acceptShrink: true })).revision.accepted, "shrink")
    }))
  })
})

/** Whatever is no loss to a source of 4 to 7 blocks: each is at least half of each other, and holds data. */
const good = FastCheck.tuple(FastCheck.integer({ min: 4, max: 7 }), FastCheck.integer({ min: 1, max: 255 })).map(
  ([count, byte]) => blocks(...Array.from({ length: count - 1 }, () => 0), byte)
)
/** Whatever is one to each of those. */
const lossy = FastCheck.oneof(
  FastCheck.constant(zeros(0)),
  FastCheck.integer({ min: 1, max: 2 * CHUNK - 1 }).map((size) => zeros(size).fill(5)),
  FastCheck.integer({ min: 4 * CHUNK, max: 9 * CHUNK }).map(zeros),
  FastCheck.constant(join(zeros(CHUNK), blocks(3).subarray(1)))
)
const step = <Image>(image: FastCheck.Arbitrary<Image>) =>
  FastCheck.record({
    image,
    hours: FastCheck.integer({ min: 1, max: 24 * 12 }),
    tags: FastCheck.constantFrom(["daily"], ["weekly"], ["daily", "weekly"]),
    backend: FastCheck.constantFrom("chunked" as const, "cowfile" as const)
  })
interface Step {
  readonly image: Uint8Array
  readonly hours: number
  readonly tags: ReadonlyArray<string>
  readonly backend: "chunked" | "cowfile"
}

/** What the scheduler does: a backup, and behind one that was made, retention. */
const run = (scene: Scenario.Scene, { backend, hours, image, tags }: Step, acceptShrink: boolean) =>
  Effect.gen(function*() {
    yield* TestClock.adjust(Duration.hours(hours))
    Scenario.setImage(scene, image)
    const made = yield* Effect.either(
      backupOperation({ tags, schedule, force: false, wait, backend, acceptShrink })
    )
    yield* expire({ schedule, dryRun: false, unknownTags: true, wait })
    yield* purge({ dryRun: false, wait })
    return made
  })

describe("no sequence of sources and schedules", () => {
  it.effect.prop("expires the last revision that was good, unless somebody said so", {
    before: FastCheck.array(step(good), { minLength: 1, maxLength: 6 }),
    after: FastCheck.array(step(lossy), { minLength: 1, maxLength: 6 })
  }, ({ after, before }) =>
    inScene((scene) =>
      Effect.gen(function*() {
        for (const one of before) assert.strictEqual((yield* run(scene, one, false))._tag, "Right")
        for (const one of after) assert.strictEqual((yield* run(scene, one, false))._tag, "Left")
        assert.deepStrictEqual(yield* restored("latest"), before.at(-1)?.image)
      })
    ), { fastCheck: { numRuns: 25 } })

  it.effect.prop("expires the revision before a loss that was accepted", {
    steps: FastCheck.array(FastCheck.tuple(step(FastCheck.oneof(good, lossy)), FastCheck.boolean()), {
      minLength: 2,
      maxLength: 12
    })
  }, ({ steps }) =>
    inScene((scene) =>
      Effect.gen(function*() {
        const marked = new Map<string, Uint8Array>()
        let last: readonly [string, Uint8Array] | undefined
        for (const [one, accept] of steps) {
          const made = yield* run(scene, one, accept)
          if (made._tag === "Left") continue
          const { revision } = made.right
          if (revision.accepted !== undefined && last !== undefined) marked.set(...last)
          last = [revision.id, one.image]
        }
        for (const [id, image] of marked) assert.deepStrictEqual(yield* restored(id), image)
      })
    ), { fastCheck: { numRuns: 25 } })
})
