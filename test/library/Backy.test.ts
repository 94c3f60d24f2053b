import { assert, describe, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { defaultSchedule } from "../../src/domain/JobConfig.ts"
import { Backy, MEMORY_DIRECTORY, MEMORY_IMAGE } from "../../src/library/Backy.ts"
import { RestoreIncomplete } from "../../src/library/BackyError.ts"
import * as FileLock from "../../src/platform/FileLock.ts"
import { seeded } from "../../src/platform/MemoryChoices.ts"
import * as MemoryDisk from "../../src/platform/MemoryDisk.ts"
import * as MemoryRbd from "../../src/platform/MemoryRbd.ts"

const SIZE = 20_000
const image = (step: number) => new Uint8Array(SIZE).map((_, index) => index * step % 251 + 1)

const bytesOf = <E>(stream: Stream.Stream<Uint8Array, E>) =>
  Effect.map(Stream.runCollect(stream), (pieces) => Uint8Array.from(Buffer.concat([...pieces])))

const small = { chunkSize: 4096 }

describe("a repository in memory", () => {
  it.effect("is made, takes backups and gives them back, as a stream and as a file", () => {
    const disk = MemoryDisk.make()
    return Effect.gen(function*() {
      const backy = yield* Backy
      yield* backy.backup({ tags: ["daily"] })
      yield* TestClock.adjust("1 day")
      disk.plantFile(MEMORY_IMAGE, image(5))
      yield* backy.backup({ tags: ["weekly"] })
      assert.deepStrictEqual(yield* bytesOf(backy.restoreStream({ revision: "daily" })), image(3))
      const { size } = yield* backy.restoreTo("/restored")
      assert.strictEqual(size, SIZE)
      assert.deepStrictEqual(disk.bytesAt("/restored"), image(5))
      assert.strictEqual((yield* Effect.flip(backy.restoreTo("/restored")))._tag, "TargetRefused")
      yield* backy.restoreTo("/restored", { revision: "1", overwrite: true })
      assert.deepStrictEqual(disk.bytesAt("/restored"), image(3))
    }).pipe(Effect.provide(Backy.layerMemory({ ...small, image: image(3), disk })))
  })

  it.effect("changes tags, verifies, diffs, distrusts, expires, forgets and purges", () => {
    const disk = MemoryDisk.make()
    return Effect.gen(function*() {
      const backy = yield* Backy
      const { revision: first } = yield* backy.backup({ tags: ["daily"] })
      yield* TestClock.adjust("1 day")
      disk.plantFile(MEMORY_IMAGE, image(5))
      const { revision: second } = yield* backy.backup({ tags: ["daily"] })
      assert.strictEqual((yield* backy.diff("1", "0")).bytes, SIZE)
      assert.deepStrictEqual((yield* backy.verify()).verdicts.map(({ state }) => state), ["verified", "verified"])
      const [tagged] = yield* backy.tags.add("0", ["weekly"])
      assert.deepStrictEqual(tagged?.tags, ["daily", "weekly"])
      assert.strictEqual((yield* Effect.flip(backy.tags.set("0", ["hourly"])))._tag, "TagsUnknown")
      assert.strictEqual((yield* backy.tags.set("0", ["hourly"], { force: true })).length, 1)
      assert.strictEqual((yield* Effect.flip(backy.tags.add("0", ["a b"], { force: true })))._tag, "TagInvalid")
      assert.deepStrictEqual(yield* backy.tags.remove("0", ["nothing"]), [])
      assert.deepStrictEqual((yield* backy.distrust("1")).map(({ id }) => id), [first.id])
      assert.strictEqual((yield* backy.expire({ dryRun: true })).decisions.length, 2)
      assert.strictEqual((yield* Effect.flip(backy.forget("0")))._tag, "NewestTrusted")
      assert.deepStrictEqual(yield* backy.forget("1"), [first.id])
      assert.isAbove((yield* backy.purge()).chunks, 0)
      assert.deepStrictEqual((yield* backy.status()).revisions.map(({ id }) => id), [second.id])
      assert.deepStrictEqual(yield* bytesOf(backy.restoreStream()), image(5))
    }).pipe(Effect.provide(Backy.layerMemory({ ...small, image: image(3), disk })))
  })

  it.effect("refuses tags that no revision may have, before anything is written", () =>
    Effect.gen(function*() {
      const backy = yield* Backy
      for (const tag of ["", "a,b", "a b", "a..b", "manual:"]) {
        const error = yield* Effect.flip(backy.backup({ tags: ["daily", tag], force: true }))
        assert.strictEqual(error._tag, "TagInvalid", tag)
      }
      assert.deepStrictEqual((yield* backy.status()).revisions, [])
    }).pipe(Effect.provide(Backy.layerMemory({ ...small, image: image(3) }))))

  it.effect("obeys the config as it is at each call", () => {
    const disk = MemoryDisk.make()
    const config = (text: string) => disk.plantFile(`${MEMORY_DIRECTORY}/config`, new TextEncoder().encode(text))
    return Effect.gen(function*() {
      const backy = yield* Backy
      disk.plantFile("/other", image(7))
      config("source: {type: file, filename: /other, backend: cowfile}\nschedule: {hourly: {interval: 1h, keep: 1}}\n")
      assert.deepStrictEqual(Object.keys((yield* backy.config).schedule), ["hourly"])
      assert.strictEqual((yield* Effect.flip(backy.backup({ tags: ["daily"] })))._tag, "TagsUnknown")
      const { revision } = yield* backy.backup({ tags: ["hourly"] })
      assert.strictEqual(revision.backendType, "cowfile-v4")
      assert.deepStrictEqual(yield* bytesOf(backy.restoreStream()), image(7))
      config(
        "source: {type: file, filename: /other}\nschedule: {daily: {interval: 1d, keep: 1}}\n" +
          "settings: {free-space-floor: 50%}\n"
      )
      disk.capacity = disk.used + 8192
      assert.strictEqual((yield* Effect.flip(backy.backup({ tags: ["daily"] })))._tag, "FloorReached")
      config("source: nonsense\n")
      assert.strictEqual((yield* Effect.flip(backy.backup({ tags: ["daily"] })))._tag, "ConfigInvalid")
      assert.strictEqual((yield* Effect.flip(backy.expire()))._tag, "ConfigInvalid")
      disk.disk.unlink(`${MEMORY_DIRECTORY}/config`)
      assert.strictEqual((yield* Effect.flip(backy.backup({ tags: ["daily"] })))._tag, "ConfigMissing")
      // and what was backed up does not need it
      assert.deepStrictEqual(yield* bytesOf(backy.restoreStream()), image(7))
    }).pipe(Effect.provide(Backy.layerMemory({ ...small, image: image(3), disk })))
  })

  it.effect("is backed up from a cluster in memory as well", () => {
    const rbd = MemoryRbd.make(4096)
    rbd.create("rbd/vm", SIZE)
    rbd.write("rbd/vm", 0, image(3))
    return Effect.gen(function*() {
      const backy = yield* Backy
      yield* backy.backup({ tags: ["daily"] })
      yield* TestClock.adjust("1 day")
      rbd.write("rbd/vm", 4096, image(9).subarray(0, 4096))
      const { base } = yield* backy.backup({ tags: ["daily"] })
      assert.isDefined(base)
      assert.deepStrictEqual(yield* bytesOf(backy.restoreStream()), rbd.content("rbd/vm"))
    }).pipe(Effect.provide(Backy.layerMemory({
      ...small,
      rbd,
      source: { type: "ceph-rbd", pool: "rbd", image: "vm" }
    })))
  })

  it.effect("survives a loss of power: a new service on the disk that is left finds the history", () => {
    const disk = MemoryDisk.make()
    const before = Effect.flatMap(Backy, (backy) => backy.backup({ tags: ["daily"] }))
    return Effect.gen(function*() {
      const { revision } = yield* Effect.provide(before, Backy.layerMemory({ ...small, image: image(3), disk }))
      const after = disk.crash(seeded(7))
      yield* Effect.gen(function*() {
        const backy = yield* Backy
        assert.deepStrictEqual((yield* backy.status()).revisions.map(({ id }) => id), [revision.id])
        assert.deepStrictEqual(yield* bytesOf(backy.restoreStream()), image(3))
      }).pipe(Effect.provide(Backy.layerMemory({ ...small, disk: after })))
    })
  })
})

describe("a stream of an image", () => {
  it.effect("holds the lock while it runs, and lets go when its reader has had enough", () => {
    const parts = { ...small, disk: MemoryDisk.make(), locks: FileLock.makeTable() }
    return Effect.gen(function*() {
      const backy = yield* Backy
      yield* backy.backup({ tags: ["daily"] })
      const first = yield* backy.restoreStream().pipe(
        Stream.mapEffect((bytes) => Effect.as(Effect.flip(backy.purge()), bytes)),
        Stream.take(1),
        Stream.runCollect
      )
      assert.deepStrictEqual(Chunk.toReadonlyArray(first).map((bytes) => bytes.length), [4096])
      assert.strictEqual((yield* backy.purge()).chunks, 0)
    }).pipe(Effect.provide(Backy.layerMemory({ ...parts, image: image(3) })))
  })

  it.effect("fails where a chunk is lost, and with salvage behind the last byte, with zeros in its place", () => {
    const disk = MemoryDisk.make()
    return Effect.gen(function*() {
      const backy = yield* Backy
      yield* backy.backup({ tags: ["daily"] })
      const [lost = ""] = disk.describe().map((line) => /(\S+\.chunk\.zst)/.exec(line)?.[1]).filter((path) =>
        path !== undefined
      )
      disk.disk.unlink(lost)
      const seen: Array<Uint8Array> = []
      const read = (salvage: boolean) =>
        Effect.flip(Stream.runForEach(backy.restoreStream({ salvage }), (bytes) => Effect.sync(() => seen.push(bytes))))
      const error = yield* read(false)
      assert.instanceOf(error, RestoreIncomplete)
      assert.isBelow(Buffer.concat(seen).length, SIZE)
      seen.length = 0
      const salvaged = yield* read(true)
      assert.strictEqual(salvaged._tag, "RestoreIncomplete")
      const bytes = Buffer.concat(seen)
      assert.strictEqual(bytes.length, SIZE)
      const [{ length, offset }] = salvaged._tag === "RestoreIncomplete" && salvaged.lost[0] !== undefined
        ? [salvaged.lost[0]]
        : [{ length: 0, offset: 0 }]
      assert.isAbove(length, 0)
      const expected = Uint8Array.from(image(3)).fill(0, offset, offset + length)
      assert.deepStrictEqual(Uint8Array.from(bytes), expected)
    }).pipe(Effect.provide(Backy.layerMemory({ ...small, image: image(3), disk })))
  })
})

describe("a repository on this machine", () => {
  it.live("is made by init, and obeys what its config says", () =>
    Effect.acquireUseRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), "backy-service-"))),
      (place) =>
        Effect.gen(function*() {
          const backy = yield* Backy
          assert.strictEqual(backy.directory, join(place, "vm"))
          assert.strictEqual((yield* Effect.flip(backy.status()))._tag, "RepositoryMissing")
          writeFileSync(join(place, "image"), image(3))
          yield* backy.init({ source: { type: "file", filename: join(place, "image") }, schedule: defaultSchedule })
          const again = yield* Effect.flip(backy.init({ source: { type: "file", filename: join(place, "image") } }))
          assert.strictEqual(again._tag, "RepositoryExists")
          yield* backy.backup({ tags: ["daily"], wait: "1 second" })
          yield* backy.restoreTo(join(place, "restored"))
          assert.deepStrictEqual(Uint8Array.from(readFileSync(join(place, "restored"))), image(3))
          // the source itself is no target, which only the config tells
          const error = yield* Effect.flip(backy.restoreTo(join(place, "image")))
          assert.include(error.message, "it is the source itself")
          assert.deepStrictEqual(yield* bytesOf(backy.restoreStream()), image(3))
        }).pipe(Effect.provide(Backy.layer({ directory: join(place, "vm"), workers: 1 }))),
      (place) => Effect.sync(() => rmSync(place, { recursive: true }))
    ))
})
