/** All operations on repositories that backy 2.5.3 wrote, alone and mixed. */
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import * as Path from "node:path"
import * as ChunkMap from "../../src/domain/ChunkMap.ts"
import { distrust } from "../../src/operation/distrust.ts"
import { expire } from "../../src/operation/expire.ts"
import { forget } from "../../src/operation/forget.ts"
import * as Output from "../../src/operation/Output.ts"
import { purge } from "../../src/operation/purge.ts"
import { listReports } from "../../src/operation/reports.ts"
import { restore } from "../../src/operation/restore.ts"
import { status } from "../../src/operation/status.ts"
import { tags } from "../../src/operation/tags.ts"
import { verify } from "../../src/operation/verify.ts"
import type { Disk } from "../../src/platform/Disk.ts"
import { FreeSpace } from "../../src/platform/FreeSpace.ts"
import * as Repository from "../../src/repository/Repository.ts"
import { type Change, Source } from "../../src/source/Source.ts"
import { bytesOf } from "../support/diskFiles.ts"
import * as Fixture from "../support/fixture.ts"
import { backup, IMAGE, layerOn, REPOSITORY, restored, schedule, setFile } from "../support/World.ts"

const wait = Duration.zero
const repositories = (["chunked", "cowfile", "quarantine"] as const).map((name) => [name] as const)
const MIXED = ["chunked", "cowfile", "quarantine"] as const

/** The usual chunk size: legacy chunks have no other. */
const layerFor = (disk: Disk) =>
  Layer.merge(
    layerOn(disk),
    Layer.provide(Repository.layer(REPOSITORY, { chunkSize: ChunkMap.CHUNK_SIZE }), layerOn(disk))
  )

const write = (offset: number, bytes: Uint8Array): Change => ({ _tag: "Write", offset, bytes })

const names = (disk: Disk, folder = REPOSITORY): ReadonlyArray<string> =>
  disk.list(folder).flatMap((name) => {
    const path = `${folder}/${name}`
    return disk.lstat(path).kind === "directory" ? names(disk, path) : [Path.relative(REPOSITORY, path)]
  }).filter((name) => !name.startsWith(".")).sort()

describe("repositories of backy 2.5.3", () => {
  for (const kinds of [...repositories, MIXED]) {
    const wanted = Fixture.revisions(...kinds)
    const title = kinds.join(" and ")

    it.effect(`${title}: every revision restores to what 2.5.3 restored it to, and reading changes nothing`, () => {
      const { disk } = Fixture.makeDisk(REPOSITORY, ...kinds)
      const before = names(disk)
      return Effect.gen(function*() {
        assert.deepStrictEqual(yield* Fixture.restoreAll(wanted), Fixture.allWell(wanted))
        const { broken, revisions } = yield* status({ revisions: undefined })
        assert.deepStrictEqual(broken, [])
        assert.strictEqual(revisions.length, Object.keys(wanted).length)
        assert.deepStrictEqual(names(disk), before)
      }).pipe(Effect.provide(layerFor(disk)))
    })
  }

  it.effect("restores to a file, over the old content of another revision", () => {
    const { disk } = Fixture.makeDisk(REPOSITORY, ...MIXED)
    const wanted = Fixture.revisions(...MIXED)
    return Effect.gen(function*() {
      for (const [revision, { sha256 }] of Object.entries(wanted)) {
        yield* restore({ revision, target: { _tag: "Path", path: "/restore/x" }, force: true, salvage: false, wait })
        assert.strictEqual(Fixture.sha256(bytesOf(disk, "/restore/x")), sha256, revision)
      }
    }).pipe(Effect.provide(Layer.merge(layerFor(disk), Output.layerMemory([]))))
  })

  it.effect("verifies, distrusts, tags, expires and purges a mixed history without harm to what is kept", () => {
    const { disk } = Fixture.makeDisk(REPOSITORY, ...MIXED)
    const wanted = Fixture.revisions(...MIXED)
    return Effect.gen(function*() {
      const well = Fixture.allWell(wanted)
      const { verdicts } = yield* verify({ revisions: "all", wait })
      const states = Object.fromEntries(verdicts.map(({ revision, state }) => [revision, state]))
      assert.strictEqual(states["KDYVkEfuhFx5cpRJDZbZGm"], "verified")
      assert.strictEqual(states["XSzQ37s2pfGU3Yog7xi3YA"], "verified")
      assert.strictEqual(states["bLg3xCzXWD2FQzkVcPnkYS"], "unverifiable")
      yield* distrust({ revisions: "bLg3xCzXWD2FQzkVcPnkYS", from: undefined, until: undefined, wait })
      yield* tags({ revisions: "first", change: "add", tags: ["manual:x"], schedule, wait })
      assert.deepStrictEqual(yield* Fixture.restoreAll(wanted), well)
      // the chunk is of the revision that 2.5.3 had given up
      const { chunks, unknown } = yield* purge({ dryRun: false, wait })
      assert.deepStrictEqual({ chunks, unknown }, { chunks: 1, unknown: 0 })
      assert.deepStrictEqual(yield* Fixture.restoreAll(wanted), well)

      const { decisions } = yield* expire({ schedule: {}, dryRun: false, unknownTags: true, wait })
      const gone = decisions.filter(({ _tag }) => _tag === "remove").map(({ revision }) => revision.id as string)
      assert.isAbove(gone.length, 0)
      yield* purge({ dryRun: false, wait })
      const kept = Object.fromEntries(Object.entries(wanted).filter(([id]) => !gone.includes(id)))
      assert.deepStrictEqual(yield* Fixture.restoreAll(kept), Fixture.allWell(kept))
    }).pipe(Effect.provide(layerFor(disk)))
  })

  it.effect("purge removes exactly the chunks that only forgotten revisions name", () => {
    const { disk } = Fixture.makeDisk(REPOSITORY, "chunked")
    return Effect.gen(function*() {
      const wanted = Fixture.revisions("chunked")
      for (const id of ["KDYVkEfuhFx5cpRJDZbZGm", "hRwqAtG7prtkWfbizRC7q4", "XSzQ37s2pfGU3Yog7xi3YA"]) {
        yield* forget({ revisions: id, force: false, wait })
        delete wanted[id]
        yield* purge({ dryRun: false, wait })
        assert.deepStrictEqual(yield* Fixture.restoreAll(wanted), Fixture.allWell(wanted))
      }
      const left = names(disk).filter((name) => name.endsWith(".lzo"))
      const map = new TextDecoder().decode(bytesOf(disk, `${REPOSITORY}/QwA2a9XWGvjB3h5AQdR4WW`))
      assert.deepStrictEqual(left.map((name) => name.slice(10, 42)), [...new Set(map.match(/[0-9a-f]{32}/g))].sort())
    }).pipe(Effect.provide(layerFor(disk)))
  })

  it.effect("reads a store of the first version in place, two levels deep, and leaves its layout alone", () => {
    const { disk } = Fixture.makeDisk(REPOSITORY, "chunked")
    for (const path of names(disk).filter((name) => name.endsWith(".lzo"))) {
      const [, folder = "", file = ""] = path.split("/")
      const deeper = `${REPOSITORY}/chunks/${folder}/${file.slice(2, 4)}`
      disk.makeDirectory(deeper, 0o750)
      disk.rename(`${REPOSITORY}/${path}`, `${deeper}/${file}`)
    }
    disk.unlink(`${REPOSITORY}/chunks/store`)
    const wanted = Fixture.revisions("chunked")
    setFile(disk, IMAGE, new Uint8Array(5_000_000).fill(3))
    return Effect.gen(function*() {
      assert.deepStrictEqual(yield* Fixture.restoreAll(wanted), Fixture.allWell(wanted))
      yield* verify({ revisions: "all", wait })
      yield* backup(["daily"], { acceptShrink: true })
      const report = yield* purge({ dryRun: false, wait })
      assert.deepStrictEqual([report.chunks, report.unknown], [0, 0])
      assert.deepStrictEqual(yield* Fixture.restoreAll(wanted), Fixture.allWell(wanted))
      assert.isFalse(names(disk).includes("chunks/store"))
      yield* forget({ revisions: "KDYVkEfuhFx5cpRJDZbZGm", force: false, wait })
      assert.isAbove((yield* purge({ dryRun: false, wait })).chunks, 0)
    }).pipe(Effect.provide(layerFor(disk)))
  })

  it.effect("an unreadable map of 2.5 blocks purge until its revision is given up", () => {
    const { disk } = Fixture.makeDisk(REPOSITORY, "chunked")
    const map = `${REPOSITORY}/hRwqAtG7prtkWfbizRC7q4`
    setFile(disk, map, bytesOf(disk, map).subarray(0, 100))
    return Effect.gen(function*() {
      const before = names(disk)
      const blocked = yield* Effect.flip(purge({ dryRun: false, wait }))
      assert.strictEqual(blocked._tag, "PurgeBlocked")
      assert.deepStrictEqual(names(disk), before)
      yield* forget({ revisions: "hRwqAtG7prtkWfbizRC7q4", force: true, wait })
      yield* purge({ dryRun: false, wait })
      const { hRwqAtG7prtkWfbizRC7q4: _, ...wanted } = Fixture.revisions("chunked")
      assert.deepStrictEqual(yield* Fixture.restoreAll(wanted), Fixture.allWell(wanted))
    }).pipe(Effect.provide(layerFor(disk)))
  })

  it.effect("finds damage in legacy chunks, loses nothing by it, and salvages the rest", () => {
    const { disk } = Fixture.makeDisk(REPOSITORY, "chunked")
    const [path = ""] = names(disk).filter((name) => name.includes("ac139dc164c68c070672ff86a52be509"))
    const bytes = Uint8Array.from(bytesOf(disk, `${REPOSITORY}/${path}`))
    bytes[1000]! ^= 1
    setFile(disk, `${REPOSITORY}/${path}`, bytes)
    return Effect.gen(function*() {
      const before = names(disk).filter((name) => name.startsWith("chunks/"))
      const { report } = yield* Effect.flip(verify({ revisions: "all", wait })).pipe(
        Effect.filterOrDie((error) => error._tag === "DamageFound", () => "another error")
      )
      const damaged = report.verdicts.filter(({ state }) => state === "damaged").map(({ revision }) => revision)
      const { revisions } = yield* status({ revisions: "trust:distrusted" })
      assert.deepStrictEqual(revisions.map(({ id }) => id).sort(), [...damaged].sort())
      assert.deepStrictEqual(revisions[0]?.distrust?.chunks, ["ac139dc164c68c070672ff86a52be509"])
      assert.deepStrictEqual(names(disk).filter((name) => name.startsWith("chunks/")), before)
      const [one = ""] = damaged
      const failed = yield* Effect.flip(restored(one))
      assert.include(failed.message, "ac139dc164c68c070672ff86a52be509")
      assert.strictEqual((yield* Effect.flip(restored(one, { salvage: true })))._tag, "RestoreIncomplete")
      assert.strictEqual((yield* listReports()).length, 1)
      // the good file comes back, from another copy of the repository
      bytes[1000]! ^= 1
      setFile(disk, `${REPOSITORY}/${path}`, bytes)
      yield* verify({ revisions: "all", wait })
      const wanted = Fixture.revisions("chunked")
      assert.deepStrictEqual(yield* Fixture.restoreAll(wanted), Fixture.allWell(wanted))
    }).pipe(Effect.provide(layerFor(disk)))
  })

  it.effect("continues the history: backups beside all older kinds, through every mixture", () => {
    const { disk } = Fixture.makeDisk(REPOSITORY, "cowfile", "quarantine")
    const wanted = Fixture.revisions("cowfile", "quarantine")
    return Effect.gen(function*() {
      yield* TestClock.setTime(Date.UTC(2026, 0, 1))
      const older = yield* status({ revisions: undefined })
      // the image as the newest revision of 2.5 has it, then changed
      const image = yield* restored("bLg3xCzXWD2FQzkVcPnkYS")
      for (const change of [0, 1, 2]) {
        const content = Uint8Array.from(image).fill(change + 1, 100, 100 + change)
        setFile(disk, IMAGE, content)
        const { base, revision } = yield* backup()
        wanted[revision.id] = { sha256: Fixture.sha256(content), size: content.length }
        assert.strictEqual(revision.backendType, "chunked-v4")
        assert.strictEqual(base === undefined, change === 0)
        yield* purge({ dryRun: false, wait })
        assert.deepStrictEqual(yield* Fixture.restoreAll(wanted), Fixture.allWell(wanted))
      }
      // oldest first they go
      for (const { id } of older.revisions) {
        yield* forget({ revisions: id, force: false, wait })
        delete wanted[id]
        yield* purge({ dryRun: false, wait })
        assert.deepStrictEqual(yield* Fixture.restoreAll(wanted), Fixture.allWell(wanted))
      }
      assert.deepStrictEqual(names(disk).filter((name) => name.endsWith(".lzo")), [])
    }).pipe(Effect.provide(layerFor(disk)))
  })

  it.effect("builds an increment on a revision of 2.5, converting what has not changed instead of reading it again", () => {
    const { disk } = Fixture.makeDisk(REPOSITORY, "quarantine")
    const wanted = Fixture.revisions("quarantine")
    const [base = ""] = Object.keys(wanted)
    return Effect.gen(function*() {
      yield* TestClock.setTime(Date.UTC(2026, 0, 1))
      const image = Uint8Array.from(yield* restored(base)).fill(7, 4_194_300, 4_194_310)
      const sourceOf = (changed: Uint8Array): Source["Type"] => ({
        name: "pool/image",
        check: Effect.void,
        snapshot: () =>
          Effect.succeed({
            size: image.length,
            published: Effect.void,
            content: {
              _tag: "Changes",
              since: (bases) =>
                Effect.succeed({
                  base: bases.find((id) => id === base),
                  changes: Stream.make(write(4_194_300, changed))
                }),
              second: { _tag: "Again", changes: Stream.make(write(0, image)) }
            }
          })
      })
      const tight = Effect.provideService(FreeSpace, { at: () => Effect.succeed({ free: 1000, total: 2 ** 40 }) })
      const good = Effect.provideService(Source, sourceOf(image.slice(4_194_300, 4_194_310)))
      const refused = yield* Effect.flip(tight(good(backup())))
      assert.strictEqual(refused._tag, "SpaceLacking")
      // a change that the source did not tell costs the base its trust, whatever its format
      const failed = yield* Effect.flip(Effect.provideService(backup(), Source, sourceOf(image.slice(0, 10))))
      assert.strictEqual(failed._tag, "VerificationFailed")
      assert.strictEqual((yield* status({ revisions: undefined })).revisions[0]?.distrust?.reason, "source-mismatch")
      Fixture.copyFile(disk, REPOSITORY, "quarantine", `${base}.rev`)
      const made = yield* good(backup())
      assert.strictEqual(made.base, base)
      wanted[made.revision.id] = { sha256: Fixture.sha256(image), size: image.length }
      yield* purge({ dryRun: false, wait })
      assert.deepStrictEqual(yield* Fixture.restoreAll(wanted), Fixture.allWell(wanted))
      yield* forget({ revisions: base, force: false, wait })
      delete wanted[base]
      yield* purge({ dryRun: false, wait })
      assert.deepStrictEqual(yield* Fixture.restoreAll(wanted), Fixture.allWell(wanted))
      assert.deepStrictEqual(names(disk).filter((name) => name.endsWith(".lzo")), [])
    }).pipe(Effect.provide(layerFor(disk)))
  })

  it.effect("removes the links of old versions and temporary files of killed runs, and follows no link", () => {
    const memory = Fixture.makeDisk(REPOSITORY, "chunked")
    const { disk } = memory
    setFile(disk, `${REPOSITORY}/tmpab12_xyz`, new Uint8Array(3))
    setFile(disk, IMAGE, new Uint8Array(5000).fill(3))
    memory.plantLink("KDYVkEfuhFx5cpRJDZbZGm", `${REPOSITORY}/last`)
    memory.plantLink("gone.rev", `${REPOSITORY}/last.rev`)
    setFile(disk, `${REPOSITORY}/chunks/0a/tmpab12_xyz`, new Uint8Array(3))
    return Effect.gen(function*() {
      assert.strictEqual((yield* status({ revisions: undefined })).revisions.length, 4)
      assert.strictEqual((yield* purge({ dryRun: false, wait })).leftovers, 2)
      assert.isTrue(names(disk).includes("last"))
      yield* backup(["daily"], { acceptShrink: true })
      assert.deepStrictEqual(names(disk).filter((name) => /tmpab12_xyz|last/.test(name)), [])
      assert.isTrue(names(disk).includes("KDYVkEfuhFx5cpRJDZbZGm"))
    }).pipe(Effect.provide(layerFor(disk)))
  })

  it.effect("reads the reports of 2.5.3", () => {
    const { disk } = Fixture.makeDisk(REPOSITORY, "quarantine")
    return Effect.gen(function*() {
      const [only] = yield* listReports()
      assert.isTrue(only !== undefined && Either.isRight(only.report))
    }).pipe(Effect.provide(layerFor(disk)))
  })
})
