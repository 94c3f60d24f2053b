/** Bringing what backy 2.5 wrote into the current format, undisturbed and cut short at every call of the disk. */
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as ChunkMap from "../../src/domain/ChunkMap.ts"
import { purge } from "../../src/operation/purge.ts"
import { status } from "../../src/operation/status.ts"
import { upgrade } from "../../src/operation/upgrade.ts"
import { verify } from "../../src/operation/verify.ts"
import type { Disk } from "../../src/platform/Disk.ts"
import { FileLock } from "../../src/platform/FileLock.ts"
import { FreeSpace } from "../../src/platform/FreeSpace.ts"
import { seeded } from "../../src/platform/MemoryChoices.ts"
import { loseAll } from "../../src/platform/MemoryCrash.ts"
import type { MemoryDisk } from "../../src/platform/MemoryDisk.ts"
import * as Repository from "../../src/repository/Repository.ts"
import { breathe } from "../support/breathe.ts"
import { bytesOf } from "../support/diskFiles.ts"
import * as Fixture from "../support/fixture.ts"
import { addChunks, addSmallHistory } from "../support/legacyRevision.ts"
import { legacyImage } from "../support/lzoEncoder.ts"
import { CHUNK, layerOn, makeDisk, REPOSITORY, setFile } from "../support/World.ts"

const wait = Duration.zero
const run = (options: { readonly dryRun?: boolean; readonly force?: boolean } = {}) =>
  upgrade({ dryRun: false, force: false, backend: "chunked", wait, ...options })

const layerFor = (disk: Disk) =>
  Layer.merge(
    layerOn(disk),
    Layer.provide(Repository.layer(REPOSITORY, { chunkSize: ChunkMap.CHUNK_SIZE }), layerOn(disk))
  )

const MIXED = ["chunked", "cowfile", "quarantine"] as const

const namesIn = (disk: Disk, folder: string): ReadonlyArray<string> =>
  disk.list(folder).flatMap((name) =>
    disk.lstat(`${folder}/${name}`).kind === "directory" ? namesIn(disk, `${folder}/${name}`) : [name]
  )

/** Files that nothing should be left of when all is upgraded and purged. */
const remains = (disk: Disk) => namesIn(disk, REPOSITORY).filter((name) => /\.(lzo|old|map|tmp)$/.test(name)).sort()

describe("upgrade", () => {
  it.effect("converts a mixed history and keeps ids, times, tags, trust, statistics and every byte", () => {
    const { disk } = Fixture.makeDisk(REPOSITORY, ...MIXED)
    const wanted = Fixture.revisions(...MIXED)
    return Effect.gen(function*() {
      const plain = ({ revisions }: Effect.Effect.Success<ReturnType<typeof status>>) =>
        revisions.map(({ id, stats, tags, timestamp, trust }) => ({ id, timestamp, stats, tags, trust }))
      const before = plain(yield* status({ revisions: undefined }))
      const planned = yield* run({ dryRun: true })
      assert.deepStrictEqual(planned.plan.revisions.map(({ id }) => id), before.map(({ id }) => id).toReversed())
      assert.isAbove(planned.plan.needed, 0)
      assert.isAbove(remains(disk).length, 0)

      const { upgraded } = yield* run()
      assert.strictEqual(upgraded.length, before.length)
      const after = yield* status({ revisions: undefined })
      assert.deepStrictEqual(plain(after), before)
      assert.isTrue(
        after.revisions.every(({ backendType, mapDigest }) => backendType === "chunked-v4" && mapDigest !== undefined)
      )
      assert.deepStrictEqual(remains(disk), [])
      assert.deepStrictEqual(yield* Fixture.restoreAll(wanted), Fixture.allWell(wanted))
      const { verdicts } = yield* verify({ revisions: "all", wait })
      assert.isTrue(verdicts.every(({ state }) => state === "verified"))
      assert.deepStrictEqual((yield* run()).upgraded, [])
    }).pipe(Effect.provide(layerFor(disk)))
  })

  it.effect("goes on where backy 2.5's own upgrade was interrupted, before and after it had made its map", () => {
    const { disk } = Fixture.makeDisk(REPOSITORY, "cowfile")
    const [first, second] = ["mDqsroRiPcsduNgMeg75ui", "bLg3xCzXWD2FQzkVcPnkYS"]
    // an image that is being converted, with a part of its map, and one that lacks nothing but the new metadata
    disk.rename(`${REPOSITORY}/${first}`, `${REPOSITORY}/${first}.old`)
    setFile(disk, `${REPOSITORY}/${first}`, new TextEncoder().encode("{\"mapping\": {\"0\": \"ac1"))
    const { chunks, map } = legacyImage(bytesOf(disk, `${REPOSITORY}/${second}`))
    setFile(disk, `${REPOSITORY}/${second}`, new TextEncoder().encode(map))
    addChunks(disk, chunks)
    const wanted = Fixture.revisions("cowfile")
    return Effect.gen(function*() {
      assert.deepStrictEqual(yield* Fixture.restoreAll(wanted), Fixture.allWell(wanted))
      yield* purge({ dryRun: false, wait })
      assert.deepStrictEqual(yield* Fixture.restoreAll(wanted), Fixture.allWell(wanted))
      yield* run()
      assert.deepStrictEqual(yield* Fixture.restoreAll(wanted), Fixture.allWell(wanted))
      assert.deepStrictEqual(remains(disk), [])
    }).pipe(Effect.provide(layerFor(disk)))
  })

  it.effect("leaves a damaged revision as it is, says so, and upgrades the others", () => {
    const { disk } = Fixture.makeDisk(REPOSITORY, "chunked")
    const path = `${REPOSITORY}/chunks/12/128b656a5f93980e7a60cf6ecca5ee98.chunk.lzo`
    const bytes = Uint8Array.from(bytesOf(disk, path))
    bytes[500]! ^= 4
    setFile(disk, path, bytes)
    return Effect.gen(function*() {
      const error = yield* Effect.flip(run())
      if (error._tag !== "UpgradeIncomplete") return assert.fail(error.message)
      const { failed, upgraded } = error.report
      assert.include(failed[0]?.reason, "128b656a5f93980e7a60cf6ecca5ee98")
      assert.strictEqual(failed.length + upgraded.length, 4)
      const wanted = Fixture.revisions("chunked")
      for (const { revision } of failed) delete wanted[revision]
      assert.deepStrictEqual(yield* Fixture.restoreAll(wanted), Fixture.allWell(wanted))
      // whole again, it is taken along
      bytes[500]! ^= 4
      setFile(disk, path, bytes)
      yield* run()
      const all = Fixture.revisions("chunked")
      assert.deepStrictEqual(yield* Fixture.restoreAll(all), Fixture.allWell(all))
      assert.deepStrictEqual(remains(disk), [])
    }).pipe(Effect.provide(layerFor(disk)))
  })

  it.effect("leaves a revision as it is when what was made of it cannot be read back", () => {
    const { contents, memory } = small()
    const chunks = `${REPOSITORY}/chunks`
    memory.onOperation = (_, name, path) => {
      if (name !== "sync" || path !== chunks) return
      const folders = memory.disk.list(chunks).filter((folder) => folder !== "store")
      for (const folder of folders) {
        for (const made of memory.disk.list(`${chunks}/${folder}`).filter((file) => file.endsWith(".zst"))) {
          memory.plantFile(`${chunks}/${folder}/${made}`, Uint8Array.of(1))
        }
      }
    }
    return Effect.gen(function*() {
      const error = yield* Effect.flip(run())
      if (error._tag !== "UpgradeIncomplete") return assert.fail(error.message)
      assert.deepStrictEqual(error.report.upgraded, [])
      assert.deepStrictEqual(yield* Fixture.restoreAll(contents), Fixture.allWell(contents))
    }).pipe(Effect.provide(layerOn(memory.disk)))
  })

  it.effect("refuses without the space that it may need, and changes nothing", () => {
    const { disk } = Fixture.makeDisk(REPOSITORY, "chunked")
    return Effect.gen(function*() {
      const before = namesIn(disk, REPOSITORY)
      const tight = Layer.succeed(FreeSpace, { at: () => Effect.succeed({ free: 1_000_000, total: 2 ** 40 }) })
      const error = yield* Effect.flip(Effect.provide(run(), tight))
      assert.strictEqual(error._tag, "SpaceLacking")
      assert.deepStrictEqual(namesIn(disk, REPOSITORY), before)
      assert.strictEqual((yield* Effect.provide(run({ force: true }), tight)).upgraded.length, 4)
    }).pipe(Effect.provide(layerFor(disk)))
  })

  it.effect("does not say that all is done when it cannot read what one revision is", () => {
    const { memory } = small()
    const [id] = ["QwA2a9XWGvjB3h5AQdR4WW"]
    memory.plantFile(`${REPOSITORY}/${id}.rev`, new Uint8Array(3))
    return Effect.gen(function*() {
      const outcome = yield* Effect.either(run())
      assert.match(
        Either.isLeft(outcome) ? outcome.left.message : "it succeeded",
        /^could not upgrade 1 revision: QwA2a9XWGvjB3h5AQdR4WW \(.+\)$/
      )
      const { revisions } = yield* status({ revisions: undefined })
      assert.deepStrictEqual(revisions.map(({ backendType }) => backendType), ["chunked-v4", "chunked-v4"])
    }).pipe(Effect.provide(layerOn(memory.disk)))
  })

  it.effect("gives way to who is at work on the repository, and changes nothing", () => {
    const { contents, memory } = small()
    return Effect.gen(function*() {
      const locks = yield* FileLock
      yield* locks.acquire(`${REPOSITORY}/.backup`, "exclusive")
      const before = memory.describe()
      const outcome = yield* Effect.either(run())
      assert.strictEqual(Either.isLeft(outcome) ? outcome.left._tag : "done", "LockHeld")
      assert.deepStrictEqual(memory.describe(), before)
      assert.deepStrictEqual(yield* Fixture.restoreAll(contents), Fixture.allWell(contents))
    }).pipe(Effect.scoped, Effect.provide(layerOn(memory.disk)))
  })

  it.effect("runs out of space without harm, and ends what it began when there is some", () => {
    const { contents, memory } = small()
    memory.capacity = memory.used + 5 * CHUNK
    return Effect.gen(function*() {
      const outcome = yield* Effect.either(run())
      assert.isTrue(Either.isLeft(outcome))
      assert.deepStrictEqual(yield* Fixture.restoreAll(contents), Fixture.allWell(contents))
      memory.capacity = undefined
      yield* run()
      assert.deepStrictEqual(yield* Fixture.restoreAll(contents), Fixture.allWell(contents))
    }).pipe(Effect.provide(layerOn(memory.disk)))
  })

  it.effect("loses nothing by a power loss or kill before any call of the disk, and the next run completes it", () => {
    const { contents, memory } = small()
    const points: Array<MemoryDisk> = []
    memory.onOperation = () => void points.push(memory.clone())
    return Effect.gen(function*() {
      yield* Effect.provide(run(), layerOn(memory.disk))
      memory.onOperation = undefined
      const seen = new Set<string>()
      for (const [n, point] of points.entries()) {
        const states = [point, point.crash(loseAll), point.crash(seeded(n)), point.crash(seeded(n + 100_000))]
        for (const [state, left] of states.entries()) {
          const key = left.describe().map((line) => line.replace(/\.[0-9a-z]{12}\.tmp/, ".tmp")).join("\n")
          if (seen.has(key)) continue
          seen.add(key)
          yield* Effect.promise(breathe)
          const where = `before call ${n + 1}, state ${state}`
          yield* Effect.gen(function*() {
            assert.deepStrictEqual(yield* Fixture.restoreAll(contents), Fixture.allWell(contents), where)
            yield* run()
            yield* purge({ dryRun: false, wait })
            assert.deepStrictEqual(
              yield* Fixture.restoreAll(contents),
              Fixture.allWell(contents),
              `${where}, then again`
            )
            assert.deepStrictEqual(remains(left.disk), [], where)
          }).pipe(Effect.provide(layerOn(left.disk)))
        }
      }
      process.stdout.write(`upgrade: ${points.length} points, ${seen.size} different states\n`)
    })
  }, 600_000)
})

/** Two revisions in chunks of 2.5 and an image, all of a few pages. */
const small = () => {
  const memory = makeDisk()
  const contents = Object.fromEntries(
    Array.from(
      addSmallHistory(memory.disk, CHUNK),
      ([id, content]) => [id, { sha256: Fixture.sha256(content) }]
    )
  )
  memory.syncAll()
  return { memory, contents }
}
