import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import { backup as backupOperation } from "../../src/operation/backup.ts"
import { listReports } from "../../src/operation/reports.ts"
import { Repository } from "../../src/repository/Repository.ts"
import { Blocks } from "../../src/store/Blocks.ts"
import { bytesOf, listOf } from "../support/diskFiles.ts"
import { backup, CHUNK, IMAGE, layerOn, REPOSITORY, restored, schedule } from "../support/World.ts"
import * as Scenario from "./scenario.ts"

const { backupOf, blocks, inScene, join } = Scenario

describe("backup", () => {
  it.effect("makes a complete, trusted revision whose map and chunks are durable when it says so", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const image = join(blocks(1, 0, 2, 1), blocks(3).subarray(0, 100))
        Scenario.setImage(scene, image)
        scene.memory.syncAll()
        const report = yield* backup(["weekly", "daily"])
        assert.isTrue(scene.memory.isDurable)
        const { revision } = report
        assert.strictEqual(report.base, undefined)
        assert.deepStrictEqual([revision.trust, revision.isComplete], ["trusted", true])
        assert.deepStrictEqual(revision.tags, ["daily", "weekly"])
        assert.strictEqual(revision.size, image.length)
        assert.strictEqual(revision.backendType, "chunked-v4")
        assert.deepStrictEqual(revision.verification, { kind: "full", compared: image.length, of: image.length })
        assert.strictEqual(report.chunks.written, 3)
        assert.strictEqual(report.chunks.found, 1)
        assert.strictEqual(revision.stats.bytes_written, 2 * CHUNK + 100)
        assert.deepStrictEqual((yield* Scenario.history).complete, [revision])
        assert.strictEqual(Scenario.chunkFiles(scene).length, 3)
        assert.deepStrictEqual(Scenario.temporaryFiles(scene), [])
        assert.deepStrictEqual(yield* restored(revision.id), image)
      })
    ))

  it.effect("publishes files that nobody may write to", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const { revision } = yield* backupOf(scene, blocks(1))
        for (const path of [`${revision.id}.rev`, revision.id, ...Scenario.chunkFiles(scene)]) {
          assert.strictEqual(scene.disk.lstat(`${REPOSITORY}/${path}`).mode, 0o440, path)
        }
      })
    ))

  it.effect("stores only what changed since its base", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const first = yield* backupOf(scene, blocks(1, 2, 3, 0))
        const second = yield* backupOf(scene, blocks(1, 4, 3, 5))
        assert.strictEqual(second.base, first.revision.id)
        assert.strictEqual(second.revision.parent, first.revision.id)
        assert.strictEqual(second.chunks.written, 2)
        assert.strictEqual(second.chunks.unchanged, 2)
        assert.deepStrictEqual(yield* restored("first"), blocks(1, 2, 3, 0))
        assert.deepStrictEqual(yield* restored("latest"), blocks(1, 4, 3, 5))
      })
    ))

  it.effect("stores nothing when nothing changed, and is a revision all the same", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, blocks(1, 2, 0))
        const second = yield* backupOf(scene, blocks(1, 2, 0))
        assert.deepStrictEqual([second.chunks.written, second.chunks.found, second.chunks.unchanged], [0, 0, 2])
        assert.strictEqual((yield* Scenario.history).complete.length, 2)
      })
    ))

  it.effect("follows an image that grows and shrinks, without a byte of its old tail", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const images = [
          join(blocks(1, 2), blocks(3).subarray(0, 10)),
          join(blocks(1, 2), blocks(3).subarray(0, 10), new Uint8Array(CHUNK)),
          blocks(1).subarray(0, 77),
          join(blocks(1).subarray(0, 77), new Uint8Array(3 * CHUNK)),
          new Uint8Array(0),
          blocks(1, 2)
        ]
        for (const image of images) {
          yield* TestClock.adjust(Duration.days(1))
          Scenario.setImage(scene, image)
          yield* backup(["daily"], { acceptShrink: true })
        }
        for (const [index, image] of images.entries()) {
          assert.deepStrictEqual(yield* restored(String(images.length - 1 - index)), image, `image ${index}`)
        }
      })
    ))

  it.effect("warns when the clock is behind the newest revision, which stays the latest", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const first = yield* backupOf(scene, blocks(1))
        assert.notInclude(scene.log.join("\n"), "clock")
        yield* TestClock.setTime(new Date("2026-02-27T02:10:00Z"))
        Scenario.setImage(scene, blocks(2))
        yield* backup()
        assert.include(
          scene.log.join("\n"),
          `is the clock right? It says 2026-02-27 02:10:00+00:00, and revision ${first.revision.id} is dated later, ` +
            "2026-03-02 02:10:00+00:00: that one stays the latest, not the one that is made now"
        )
        assert.deepStrictEqual(yield* restored("latest"), blocks(1))
      })
    ))

  it.effect("refuses tags that the schedule does not know, before anything is made", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        Scenario.setImage(scene, blocks(1))
        const before = Scenario.filesBelow(scene)
        const error = yield* Scenario.failureOf(backup(["daily", "dayly", "yearly", "manual:mine"]))
        assert.strictEqual(error._tag, "TagsUnknown")
        assert.include(error.message, "unknown tags: dayly, yearly")
        assert.deepStrictEqual(Scenario.filesBelow(scene), before)
      })
    ))

  it.effect("takes manual tags, and any tag with force", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, blocks(1), ["manual:before-upgrade"])
        const { revision } = yield* backupOperation({
          tags: ["other"],
          schedule,
          force: true,
          wait: Duration.zero
        })
        assert.deepStrictEqual(revision.tags, ["other"])
      })
    ))

  it.effect("says which source is missing and makes nothing", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const before = Scenario.filesBelow(scene)
        const error = yield* Scenario.failureOf(backup())
        assert.strictEqual(error._tag, "SourceNotReady")
        assert.include(error.message, `cannot back up ${IMAGE}: there is no such file`)
        assert.deepStrictEqual(Scenario.filesBelow(scene), before)
      })
    ))

  it.effect("refuses a source that is a directory", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        scene.disk.makeDirectory(IMAGE, 0o750)
        const error = yield* Scenario.failureOf(backup())
        assert.strictEqual(error._tag, "SourceNotReady")
        assert.include(error.message, "directory")
      })
    ))

  it.effect("backs up a block device", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const size = 2 * CHUNK + 512
        scene.memory.plantDevice("/dev/vm", size)
        scene.memory.plantLink("/dev/vm", IMAGE)
        const device = scene.disk.open("/dev/vm", { access: "write" })
        scene.disk.write(device, blocks(9), CHUNK)
        scene.disk.close(device)
        yield* backup()
        assert.deepStrictEqual(yield* restored("latest"), join(blocks(0, 9), new Uint8Array(512)))
      })
    ))

  it.effect("fails with RepositoryMissing in a directory that is none, and makes nothing there", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        Scenario.setImage(scene, blocks(1))
        scene.disk.unlink(`${REPOSITORY}/config`)
        const error = yield* Scenario.failureOf(backup())
        assert.strictEqual(error._tag, "RepositoryMissing")
        assert.deepStrictEqual(Scenario.filesBelow(scene), [])
      })
    ))
})

describe("backup of a source that does not hold still", () => {
  const changes: Record<string, (scene: Scenario.Scene) => void> = {
    "is written to": (scene) => Scenario.setImage(scene, blocks(1, 7, 3)),
    "has data where a hole was": (scene) => Scenario.setImage(scene, blocks(1, 2, 3, 8)),
    "has zeros where data was": (scene) => Scenario.setImage(scene, blocks(1, 0, 3))
  }
  for (const [name, change] of Object.entries(changes)) {
    it.effect(`fails and keeps evidence when the source ${name} between the two readings`, () =>
      inScene((scene) =>
        Effect.gen(function*() {
          const first = yield* backupOf(scene, blocks(1, 2, 3, 0))
          Scenario.betweenReadings(scene, () => change(scene))
          const before = Scenario.published(scene)
          const error = yield* Scenario.failureOf(backup())
          assert.strictEqual(error._tag, "VerificationFailed")
          assert.include(error.message, "the backup was not kept")
          assert.include(error.message, IMAGE)
          assert.deepStrictEqual(Scenario.published(scene), before, "nothing was published")
          assert.deepStrictEqual(Scenario.temporaryFiles(scene), [])
          assert.deepStrictEqual(yield* Scenario.trusts, ["trusted"])
          assert.strictEqual((yield* listReports()).length, 1)
          assert.deepStrictEqual(yield* restored(first.revision.id), blocks(1, 2, 3, 0))
          const next = yield* backup()
          assert.deepStrictEqual(yield* restored(next.revision.id), Uint8Array.from(scene.memory.bytesAt(IMAGE)))
        })
      ))
  }

  for (const [name, change] of Object.entries(changes)) {
    it.effect(`fails as well when it ${name} and the times say nothing of it`, () =>
      inScene((scene) =>
        Effect.gen(function*() {
          yield* backupOf(scene, blocks(1, 2, 3, 0))
          const before = Scenario.published(scene)
          Scenario.betweenReadings(scene, () => change(scene))
          assert.strictEqual((yield* Scenario.failureOf(backup()))._tag, "VerificationFailed")
          assert.deepStrictEqual(Scenario.published(scene), before)
        }), { clock: () => 1_700_000_000_000_000_000n }))
  }

  it.effect("succeeds when only its mode changes", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        Scenario.setImage(scene, blocks(1, 2, 3))
        Scenario.betweenReadings(scene, () => scene.disk.chmod(IMAGE, 0o600))
        const { revision } = yield* backup()
        assert.deepStrictEqual(yield* restored(revision.id), blocks(1, 2, 3))
      })
    ))

  it.effect("fails when another file of the same bytes takes its place", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        Scenario.setImage(scene, blocks(1, 2, 3))
        Scenario.betweenReadings(scene, () => {
          scene.disk.rename(IMAGE, `${IMAGE}.moved`)
          Scenario.setImage(scene, blocks(1, 2, 3))
        })
        const error = yield* Scenario.failureOf(backup())
        assert.include(error.message, "another file has taken its place")
        assert.deepStrictEqual(Scenario.published(scene), [])
      })
    ))

  it.effect("names the differing block in the report and keeps what both sides had", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        Scenario.setImage(scene, blocks(1, 2, 3))
        Scenario.betweenReadings(scene, () => Scenario.setImage(scene, blocks(1, 2, 6)))
        const error = yield* Scenario.failureOf(backup())
        if (error._tag !== "VerificationFailed") return assert.fail(error.message)
        assert.deepStrictEqual([error.differences, error.first], [1, 2 * CHUNK])
        const [report] = yield* listReports()
        if (report?.report._tag !== "Right") return assert.fail("no report")
        assert.strictEqual(report.id, error.report)
        assert.deepStrictEqual(report.report.right.blocks, [{
          offset: 2 * CHUNK,
          why: "its chunk holds other bytes",
          source_hash: Scenario.hexOf(blocks(6)),
          target_hash: Scenario.hexOf(blocks(3)),
          contents: [Scenario.hexOf(blocks(6)), Scenario.hexOf(blocks(3))]
        }])
        for (const byte of [3, 6]) {
          const kept = bytesOf(scene.disk, `${REPOSITORY}/quarantine/chunks/${Scenario.hexOf(blocks(byte))}`)
          assert.deepStrictEqual(Uint8Array.from(kept), blocks(byte))
        }
      })
    ))

  it.effect("keeps the contents of 16 blocks at most, however many differ", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const bytes = Array.from({ length: 40 }, (_, index) => index + 1)
        Scenario.setImage(scene, blocks(...bytes))
        Scenario.betweenReadings(scene, () => Scenario.setImage(scene, blocks(...bytes.map((byte) => byte + 100))))
        const error = yield* Scenario.failureOf(backup())
        if (error._tag !== "VerificationFailed") return assert.fail(error.message)
        assert.strictEqual(error.differences, 40)
        assert.strictEqual(listOf(scene.disk, `${REPOSITORY}/quarantine/chunks`).length, 32)
      })
    ))

  it.effect("notices a source that was only touched", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        Scenario.setImage(scene, blocks(1, 2))
        Scenario.betweenReadings(scene, () => Scenario.setImage(scene, blocks(1, 2)))
        const error = yield* Scenario.failureOf(backup())
        assert.strictEqual(error._tag, "SourceChanged")
        assert.deepStrictEqual(Scenario.published(scene), [])
      })
    ))

  it.effect("fails when the source becomes longer", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        Scenario.setImage(scene, blocks(1, 2))
        Scenario.betweenReadings(scene, () => Scenario.setImage(scene, blocks(1, 2, 3)))
        const error = yield* Scenario.failureOf(backup())
        assert.strictEqual(error._tag, "SourceChanged")
        assert.include(error.message, `from ${2 * CHUNK} to ${3 * CHUNK} bytes`)
      })
    ))

  it.effect("fails when the source becomes shorter between the readings", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        Scenario.setImage(scene, blocks(1, 2))
        Scenario.betweenReadings(scene, () => Scenario.setImage(scene, blocks(1)))
        const error = yield* Scenario.failureOf(backup())
        assert.strictEqual(error._tag, "VerificationFailed")
        assert.deepStrictEqual(Scenario.published(scene), [])
      })
    ))

  it.effect("fails when the source becomes shorter while it is read the first time", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        Scenario.setImage(scene, blocks(1, 2, 3))
        let reads = 0
        scene.memory.onOperation = (_, name, path) => {
          // the first ones look at what kind of image it is, and twice for what a killed delta restore left
          if (name !== "read" || path !== IMAGE || ++reads < 4) return
          scene.memory.onOperation = undefined
          Scenario.setImage(scene, blocks(1))
        }
        const error = yield* Scenario.failureOf(backup())
        assert.strictEqual(error._tag, "SourceShrank")
        assert.include(error.message, `it ends at byte ${CHUNK}`)
        assert.deepStrictEqual(Scenario.published(scene), [])
        assert.deepStrictEqual(Scenario.temporaryFiles(scene), [])
        assert.deepStrictEqual(scene.memory.openDescriptors, [])
      })
    ))

  it.effect("fails when the source vanishes between the readings", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        Scenario.setImage(scene, blocks(1, 2))
        Scenario.betweenReadings(scene, () => scene.disk.unlink(IMAGE))
        const error = yield* Scenario.failureOf(backup())
        assert.strictEqual(error._tag, "SourceNotReady")
        assert.deepStrictEqual(Scenario.published(scene), [])
      })
    ))

  it.effect("notices another file in the source's place with the same size and bytes", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        Scenario.setImage(scene, blocks(1, 2))
        Scenario.betweenReadings(scene, () => scene.memory.plantFile(IMAGE, blocks(1, 2)))
        const error = yield* Scenario.failureOf(backup())
        assert.strictEqual(error._tag, "SourceChanged")
        assert.include(error.message, "another file has taken its place")
      })
    ))

  it.effect("tells of the mismatch even when evidence cannot be written", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        Scenario.setImage(scene, blocks(1, 2))
        Scenario.betweenReadings(scene, () => {
          Scenario.setImage(scene, blocks(1, 3))
          Scenario.failWhere(scene, (name, path) =>
            path.includes("quarantine") && name === "makeDirectory" ? "ENOSPC" : undefined)
        })
        const error = yield* Scenario.failureOf(backup())
        assert.strictEqual(error._tag, "VerificationFailed")
        assert.isTrue(scene.log.some((line) =>
          line.startsWith("WARN") && line.includes("evidence could not be kept")
        ))
      })
    ))

  it.effect("reports an I/O error of the source as one, with path and errno", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        Scenario.setImage(scene, blocks(1, 2))
        Scenario.failWhere(scene, (name, path) => name === "read" && path === IMAGE ? "EIO" : undefined)
        const error = yield* Scenario.failureOf(backup())
        assert.strictEqual(error._tag, "IoError")
        assert.include(error.message, IMAGE)
        assert.include(error.message, "EIO")
        Scenario.heal(scene)
        assert.deepStrictEqual(Scenario.published(scene), [])
      })
    ))
})

describe("a backup after an interrupted one", () => {
  /** The power fails when the first map is about to be published; nothing runs after that. */
  const killed = (scene: Scenario.Scene) =>
    Effect.gen(function*() {
      let later: ReturnType<typeof scene.memory.clone> | undefined
      Scenario.betweenReadings(scene, () => {
        later = scene.memory.clone()
      })
      yield* backup()
      if (later === undefined) return yield* Effect.dieMessage("the backup was never at that point")
      return { ...scene, memory: later, disk: later.disk } satisfies Scenario.Scene
    })

  it.effect("does not store chunks again that are there", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        Scenario.setImage(scene, blocks(1, 2, 3, 4))
        const after = yield* killed(scene)
        assert.strictEqual(Scenario.chunkFiles(after).length, 4)
        yield* Effect.gen(function*() {
          const inodes = () => Scenario.chunkFiles(after).map((path) => after.disk.lstat(`${REPOSITORY}/${path}`).ino)
          const before = inodes()
          yield* TestClock.adjust(Duration.days(1))
          const { chunks, revision } = yield* backup()
          assert.deepStrictEqual([chunks.written, chunks.found], [0, 4])
          assert.deepStrictEqual(inodes(), before)
          assert.deepStrictEqual(yield* restored(revision.id), blocks(1, 2, 3, 4))
        }).pipe(Effect.provide(layerOn(after.disk)))
      })
    ))

  it.effect("removes the incomplete revision, and its map if it has one", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const { revision } = yield* backupOf(scene, blocks(1))
        const repository = yield* Repository
        yield* repository.publish(Scenario.begun(revision))
        const next = yield* backupOf(scene, blocks(2))
        assert.deepStrictEqual(Scenario.published(scene), [next.revision.id, `${next.revision.id}.rev`])
        assert.isTrue(scene.log.some((line) => line.includes(`removed revision ${revision.id}`)))
      })
    ))

  it.effect("goes on after an interrupt by the user, who finds nothing older harmed", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const first = yield* backupOf(scene, blocks(1, 2))
        Scenario.setImage(scene, blocks(1, 3))
        const real = yield* Blocks
        const begun = yield* Deferred.make<void>()
        const endless = Blocks.of({
          ...real,
          compare: () => Effect.zipRight(Deferred.succeed(begun, undefined), Effect.never)
        })
        const fiber = yield* Effect.fork(Effect.provideService(backup(), Blocks, endless))
        yield* Deferred.await(begun)
        yield* Fiber.interrupt(fiber)
        assert.strictEqual((yield* Scenario.history).complete.length, 1)
        yield* TestClock.adjust(Duration.days(1))
        const { chunks, revision } = yield* backup()
        assert.deepStrictEqual([chunks.written, chunks.found], [0, 1])
        assert.deepStrictEqual(yield* restored(revision.id), blocks(1, 3))
        assert.deepStrictEqual(yield* restored(first.revision.id), blocks(1, 2))
        assert.deepStrictEqual((yield* Scenario.history).incomplete, [])
      })
    ))
})

describe("backup beside broken metadata", () => {
  it.effect("ignores a broken .rev with a warning and leaves it as it is", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const first = yield* backupOf(scene, blocks(1, 2))
        const second = yield* backupOf(scene, blocks(1, 3))
        const path = `${REPOSITORY}/${second.revision.id}.rev`
        Scenario.tamper(scene, path, () => new TextEncoder().encode("uuid: [\n"))
        const third = yield* backupOf(scene, blocks(1, 4))
        assert.strictEqual(third.base, first.revision.id)
        assert.isTrue(scene.log.some((line) => line.startsWith("WARN") && line.includes(path)))
        assert.strictEqual(new TextDecoder().decode(scene.memory.bytesAt(path)), "uuid: [\n")
      })
    ))

  it.effect("builds on an older revision when the newest one's map is damaged or missing", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const first = yield* backupOf(scene, blocks(1, 2))
        const second = yield* backupOf(scene, blocks(1, 3))
        Scenario.tamper(scene, `${REPOSITORY}/${second.revision.id}`, Scenario.flipBit)
        const third = yield* backupOf(scene, blocks(1, 4))
        assert.strictEqual(third.base, first.revision.id)
        assert.isTrue(scene.log.some((line) => line.startsWith("WARN") && line.includes(second.revision.id)))
        scene.disk.unlink(`${REPOSITORY}/${third.revision.id}`)
        const fourth = yield* backupOf(scene, blocks(1, 4))
        assert.strictEqual(fourth.base, first.revision.id)
        assert.deepStrictEqual(yield* restored(fourth.revision.id), blocks(1, 4))
      })
    ))

  it.effect("looks every block up by its hash when no base can be used", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const first = yield* backupOf(scene, blocks(1, 2))
        scene.disk.unlink(`${REPOSITORY}/${first.revision.id}`)
        const second = yield* backupOf(scene, blocks(1, 2))
        assert.strictEqual(second.base, undefined)
        assert.deepStrictEqual([second.chunks.written, second.chunks.found], [0, 2])
      })
    ))
})

describe("backup on a disk that fails", () => {
  it.effect("fails on a full disk, harms nothing older and leaves no temporary file", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const first = yield* backupOf(scene, blocks(1, 2))
        Scenario.setImage(scene, blocks(1, 2, 3, 4, 5))
        scene.memory.capacity = scene.memory.used + 3 * 4096
        const error = yield* Scenario.failureOf(backup())
        assert.strictEqual(error._tag, "IoError")
        assert.include(error.message, "no space left on device (ENOSPC)")
        assert.deepStrictEqual(Scenario.temporaryFiles(scene), [])
        assert.deepStrictEqual(scene.memory.openDescriptors, [])
        assert.deepStrictEqual(yield* restored(first.revision.id), blocks(1, 2))
        scene.memory.capacity = undefined
        yield* TestClock.adjust(Duration.days(1))
        yield* backup()
        assert.deepStrictEqual(yield* restored("latest"), blocks(1, 2, 3, 4, 5))
      })
    ))

  for (const call of ["datasync", "sync", "close", "rename", "write"] as const) {
    it.effect(`fails whichever ${call} in the repository fails, and the next backup needs no hand`, () =>
      Effect.gen(function*() {
        // the n-th such call fails, for n = 1, 2, … until the backup runs through
        for (let n = 1; n < 200; n++) {
          const succeeded = yield* inScene((scene) =>
            Effect.gen(function*() {
              const first = yield* backupOf(scene, blocks(1, 2))
              Scenario.setImage(scene, blocks(1, 3, 4))
              let count = 0
              Scenario.failWhere(scene, (name, path) =>
                name === call && path.startsWith(REPOSITORY) && ++count === n ? "EIO" : undefined)
              const exit = yield* Effect.exit(backup())
              Scenario.heal(scene)
              const { complete } = yield* Scenario.history
              // what is there is whole
              for (const { id } of complete) {
                const expected = id === first.revision.id ? blocks(1, 2) : blocks(1, 3, 4)
                assert.deepStrictEqual(yield* restored(id), expected, `${n}`)
              }
              if (exit._tag === "Success") {
                assert.strictEqual(complete.length, 2)
              }
              yield* TestClock.adjust(Duration.days(1))
              const { revision } = yield* backup()
              assert.deepStrictEqual(yield* restored(revision.id), blocks(1, 3, 4), `${n}`)
              return exit._tag === "Success" && count < n
            })
          )
          if (succeeded) return
        }
        assert.fail("the fault was reached in every run")
      }))
  }
})
