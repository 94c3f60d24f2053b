import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Finished from "../../src/operation/Finished.ts"
import * as OutputPort from "../../src/operation/Output.ts"
import { restore } from "../../src/operation/restore.ts"
import { restoreDelta as operation } from "../../src/operation/restoreDelta.ts"
import * as BlockFile from "../../src/platform/BlockFile.ts"
import * as FileLock from "../../src/platform/FileLock.ts"
import { randomNumbers } from "../../src/platform/MemoryChoices.ts"
import { bytesOf, listOf } from "../support/diskFiles.ts"
import { CHUNK, IMAGE, REPOSITORY, setFile } from "../support/World.ts"
import * as Scenario from "./scenario.ts"

const { backupOf, blocks, chunkOf, failureOf, flipBit, inScene, join, tamper } = Scenario

interface Options {
  readonly force?: boolean
  readonly salvage?: boolean
  readonly revision?: string
  readonly source?: string
  readonly dryRun?: boolean
}

const restoreDelta = (path: string, options: Options = {}) =>
  operation({
    revision: "latest",
    path,
    force: true,
    salvage: false,
    dryRun: false,
    wait: Scenario.zero,
    ...options
  }).pipe(Effect.provide(OutputPort.layerMemory([])))

const TARGET = "/restore/vm.img"
const DEVICE = "/dev/vm"
/** Bytes of the note, and of the piece that is written over it in the end. */
const NOTE = 512
const PIECE = 4096

/** Data, a hole, and a last chunk that is not whole. */
const image = join(blocks(1, 0, 2), blocks(3).subarray(0, 700))

/** An image with some bytes changed. */
const changed = (bytes: Uint8Array, ...places: ReadonlyArray<number>): Uint8Array => {
  const copy = Uint8Array.from(bytes)
  for (const at of places) copy[at] = (copy[at] ?? 0) ^ 0xff
  return copy
}

/** Lets a test count what is written to a path. */
const countWrites = (scene: Scenario.Scene, path: string) => {
  let calls = 0
  scene.memory.onOperation = (_, name, at) => {
    if (at === path && (name === "write" || name === "punch" || name === "truncate")) calls++
  }
  return () => calls
}

const plantDevice = (scene: Scenario.Scene, content: Uint8Array): void => {
  scene.memory.plantDevice(DEVICE, content.length)
  const device = scene.disk.open(DEVICE, { access: "write" })
  scene.disk.write(device, content, 0)
  scene.disk.close(device)
  scene.memory.syncAll()
}

describe("a delta restore to a file", () => {
  it.effect("writes what differs and nothing else, durably", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const { revision } = yield* backupOf(scene, image)
        setFile(scene.disk, TARGET, changed(image, 2 * CHUNK + 5, 2 * CHUNK + 6))
        const { ino } = scene.disk.lstat(TARGET)
        scene.memory.syncAll()
        const report = yield* restoreDelta(TARGET)
        assert.deepStrictEqual(report, {
          revision: revision.id,
          size: image.length,
          written: PIECE + NOTE + PIECE,
          cleared: 0
        })
        assert.isTrue(scene.memory.isDurable)
        assert.deepStrictEqual(bytesOf(scene.disk, TARGET), image)
        assert.strictEqual(scene.disk.lstat(TARGET).ino, ino)
        assert.deepStrictEqual(listOf(scene.disk, "/restore"), ["vm.img"])
        assert.isTrue(
          scene.log.some((line) => line.startsWith(`WARN from now on until the end ${TARGET} is a mixture`))
        )
      })
    ))

  it.effect("writes nothing where nothing differs, and says nothing of a mixture", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, image)
        setFile(scene.disk, TARGET, image)
        scene.memory.syncAll()
        const writes = countWrites(scene, TARGET)
        const { cleared, written } = yield* restoreDelta(TARGET)
        assert.deepStrictEqual([written, cleared, writes()], [0, 0, 0])
        assert.isTrue(scene.memory.isDurable)
        assert.notInclude(scene.log.join("\n"), "mixture")
      })
    ))

  it.effect("makes holes of what the image does not have, and leaves nothing behind its end", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, image)
        setFile(scene.disk, TARGET, blocks(9, 9, 9, 9, 9, 9))
        const { cleared } = yield* restoreDelta(TARGET)
        assert.strictEqual(cleared, CHUNK)
        assert.deepStrictEqual(bytesOf(scene.disk, TARGET), image)
        assert.strictEqual(scene.disk.lstat(TARGET).allocated, 3 * CHUNK)
      })
    ))

  it.effect("makes a shorter file longer, and one that only is too long shorter", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, image)
        setFile(scene.disk, TARGET, image.subarray(0, CHUNK + 100))
        yield* restoreDelta(TARGET)
        assert.deepStrictEqual(bytesOf(scene.disk, TARGET), image)
        setFile(scene.disk, TARGET, join(image, blocks(7)))
        scene.memory.syncAll()
        const { written } = yield* restoreDelta(TARGET)
        assert.strictEqual(written, 0)
        assert.deepStrictEqual(bytesOf(scene.disk, TARGET), image)
        assert.isTrue(scene.memory.isDurable)
      })
    ))

  it.effect("restores as a whole where nothing is", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const { revision } = yield* backupOf(scene, image)
        const stored = { revision: revision.id, size: image.length, written: 2 * CHUNK + 700, cleared: 0 }
        assert.deepStrictEqual(yield* restoreDelta(TARGET, { force: false, dryRun: true }), stored)
        assert.deepStrictEqual(listOf(scene.disk, "/restore"), [])
        assert.deepStrictEqual(yield* restoreDelta(TARGET, { force: false }), stored)
        assert.deepStrictEqual(bytesOf(scene.disk, TARGET), image)
      })
    ))

  it.effect("needs no chunk of which the target has the content", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, image)
        setFile(scene.disk, TARGET, changed(image, 10))
        tamper(scene, chunkOf(blocks(2)), flipBit)
        scene.disk.unlink(chunkOf(blocks(3).subarray(0, 700)))
        yield* restoreDelta(TARGET)
        assert.deepStrictEqual(bytesOf(scene.disk, TARGET), image)
      })
    ))

  it.effect("writes nothing at all when a chunk that it needs is bad", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, image)
        const before = changed(image, 10, 2 * CHUNK)
        setFile(scene.disk, TARGET, before)
        tamper(scene, chunkOf(blocks(2)), flipBit)
        const writes = countWrites(scene, TARGET)
        const error = yield* failureOf(restoreDelta(TARGET))
        assert.strictEqual(error._tag, "RestoreIncomplete")
        assert.include(error.message, "cannot be restored whole")
        assert.strictEqual(writes(), 0)
        assert.deepStrictEqual(bytesOf(scene.disk, TARGET), before)
      })
    ))

  it.effect("salvages all the rest when it is told to, with zeros for what is lost", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, image)
        setFile(scene.disk, TARGET, changed(image, 10, 2 * CHUNK))
        tamper(scene, chunkOf(blocks(2)), flipBit)
        const error = yield* failureOf(restoreDelta(TARGET, { salvage: true }))
        assert.strictEqual(error._tag === "RestoreIncomplete" && error.salvaged && error.lost.length, 1)
        const expected = Uint8Array.from(image)
        expected.fill(0, 2 * CHUNK, 3 * CHUNK)
        assert.deepStrictEqual(bytesOf(scene.disk, TARGET), expected)
      })
    ))
})

describe("a delta restore with dryRun", () => {
  it.effect("tells what would be written, needs no force and changes nothing", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, image)
        setFile(scene.disk, TARGET, join(changed(image, 1, CHUNK + 5, 2 * CHUNK), blocks(9)))
        setFile(scene.disk, "/restore/.backy-12345678-0123456789ab", blocks(1))
        const before = scene.memory.describe()
        scene.memory.readOnly = true
        const report = yield* restoreDelta(TARGET, { force: false, dryRun: true })
        assert.deepStrictEqual([report.written, report.cleared], [2 * PIECE, PIECE])
        scene.memory.readOnly = false
        assert.deepStrictEqual(scene.memory.describe(), before)
      })
    ))

  it.effect("says which chunk is missing for it", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, image)
        setFile(scene.disk, TARGET, blocks(1))
        scene.disk.unlink(chunkOf(blocks(2)))
        const error = yield* failureOf(restoreDelta(TARGET, { dryRun: true, salvage: true }))
        assert.strictEqual(error._tag === "RestoreIncomplete" && error.salvaged, false)
      })
    ))
})

describe("a delta restore to a device", () => {
  it.effect("writes zeros where the image has holes, and leaves what lies behind the image", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, image)
        plantDevice(scene, join(changed(image, CHUNK + 3), new Uint8Array(900).fill(8)))
        const { cleared, written } = yield* restoreDelta(DEVICE)
        assert.deepStrictEqual([written, cleared], [PIECE + NOTE + PIECE, 0])
        assert.deepStrictEqual(bytesOf(scene.disk, DEVICE), join(image, new Uint8Array(900).fill(8)))
        assert.isTrue(scene.memory.isDurable)
      })
    ))

  it.effect("refuses one that is too small, and content without force", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, image)
        plantDevice(scene, blocks(9, 9, 9))
        for (const options of [{ force: false }, { force: true }, { dryRun: true }]) {
          const error = yield* failureOf(restoreDelta(DEVICE, options))
          assert.strictEqual(error._tag, "TargetRefused", error.message)
        }
        assert.deepStrictEqual(bytesOf(scene.disk, DEVICE), blocks(9, 9, 9))
      })
    ))
})

describe("a delta restore refuses what restore refuses", () => {
  const refused = (path: string, reason: string, options: Options = {}) =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, image)
        setFile(scene.disk, TARGET, blocks(9))
        setFile(scene.disk, "/restore/two", blocks(9))
        scene.disk.link("/restore/two", "/restore/names")
        for (const dryRun of [false, true]) {
          if (dryRun && options.force === false) continue
          const before = scene.memory.describe()
          const error = yield* failureOf(restoreDelta(path, { ...options, dryRun }))
          assert.strictEqual(error._tag, "TargetRefused", error.message)
          assert.include(error.message, reason)
          assert.deepStrictEqual(scene.memory.describe(), before)
        }
      })
    )

  it.effect("content without force", () => refused(TARGET, "not empty", { force: false }))
  it.effect("the source without force", () => refused(IMAGE, "the source itself", { force: false, source: IMAGE }))
  it.effect("a file of the repository", () => refused(`${REPOSITORY}/config`, "within the repository"))
  it.effect("a second name", () => refused("/restore/two", "2 names"))
  it.effect("a directory", () => refused("/restore", "not a file or block device"))

  it.effect("a file that somebody has locked", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, image)
        setFile(scene.disk, TARGET, blocks(9))
        const file = yield* (yield* BlockFile.BlockFile).open(TARGET, { access: "write" })
        yield* (yield* FileLock.FileLock).acquireOpen(file)
        assert.include((yield* failureOf(restoreDelta(TARGET))).message, "it is in use")
      }).pipe(Effect.scoped)
    ))

  it.effect("rolls back the very image, and no backup runs meanwhile", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, image)
        setFile(scene.disk, IMAGE, changed(image, 700))
        const attempt = (dryRun: boolean) => restoreDelta(IMAGE, { source: IMAGE, dryRun })
        yield* Effect.scoped(Effect.gen(function*() {
          yield* (yield* FileLock.FileLock).acquire(`${REPOSITORY}/.backup`, "exclusive")
          assert.strictEqual((yield* failureOf(attempt(false)))._tag, "LockHeld")
          assert.strictEqual((yield* attempt(true)).written, PIECE)
        }))
        assert.notInclude(scene.log.join("\n"), "mixture")
        yield* attempt(false)
        assert.deepStrictEqual(bytesOf(scene.disk, IMAGE), image)
        assert.isTrue(scene.log.some((line) => line.includes("is the image that this repository backs up")))
      })
    ))
})

describe("a delta restore that does not come to its end", () => {
  it.effect("leaves a note for which the next one says so, and completes it", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const { revision } = yield* backupOf(scene, image)
        setFile(scene.disk, TARGET, blocks(9, 9, 9, 9))
        let writes = 0
        Scenario.failWhere(scene, (name, path) =>
          name === "write" && path === TARGET && ++writes === 2 ? "EIO" : undefined)
        const error = yield* failureOf(restoreDelta(TARGET))
        Scenario.heal(scene)
        assert.strictEqual(error._tag, "IoError")
        assert.include(scene.log.join("\n"), `${TARGET} is not restored: it is a mixture`)
        const [first = ""] = new TextDecoder().decode(bytesOf(scene.disk, TARGET)).split("\n")
        assert.strictEqual(
          first,
          `backy: a delta restore to this has not ended; revision ${revision.id}. It is a mixture of old and new.`
        )
        yield* restoreDelta(TARGET)
        assert.include(scene.log.join("\n"), `an earlier delta restore to ${TARGET}, of revision ${revision.id}`)
        assert.deepStrictEqual(bytesOf(scene.disk, TARGET), image)
      })
    ))

  it.effect("is completed by a restore of the whole, too", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, image)
        plantDevice(scene, join(blocks(9, 9, 9), blocks(9).subarray(0, 700)))
        let writes = 0
        Scenario.failWhere(
          scene,
          (name, path) => name === "write" && path === DEVICE && ++writes > 2 ? "EIO" : undefined
        )
        yield* failureOf(restoreDelta(DEVICE))
        Scenario.heal(scene)
        yield* restore({
          revision: "latest",
          target: { _tag: "Path", path: DEVICE },
          force: true,
          salvage: false,
          wait: Scenario.zero
        }).pipe(Effect.provide(OutputPort.layerMemory([])))
        assert.deepStrictEqual(bytesOf(scene.disk, DEVICE), image)
      })
    ))

  it.effect("says so when it is interrupted", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, image)
        setFile(scene.disk, TARGET, blocks(9, 9, 9, 9))
        const finished = Finished.make()
        const fiber = yield* Effect.fork(Effect.provideService(restoreDelta(TARGET), Finished.Finished, finished))
        scene.memory.onOperation = (_, name, path) => {
          if (name === "punch" && path === TARGET) fiber.unsafeInterruptAsFork(FiberId.none)
        }
        assert.isTrue(Exit.isInterrupted(yield* Fiber.await(fiber)))
        assert.isUndefined(finished.outcome())
        assert.include(scene.log.join("\n"), "it is a mixture, and its first 512 bytes are a note that says so")
      })
    ))

  it.effect("does not believe a medium that gives other bytes back", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, image)
        setFile(scene.disk, TARGET, blocks(9, 9, 9, 9))
        let syncs = 0
        scene.memory.onOperation = (_, name, path) => {
          if (name !== "sync" || path !== TARGET || ++syncs !== 3) return
          scene.memory.onOperation = undefined
          const file = scene.disk.open(TARGET, { access: "write" })
          scene.disk.write(file, Uint8Array.of(77), 2 * CHUNK + 9)
          scene.disk.close(file)
        }
        const error = yield* failureOf(restoreDelta(TARGET))
        assert.include(error.message, "it does not read as what was written to it")
      })
    ))
})

describe("a delta restore of any image over any other", () => {
  it.effect("gives exactly the image, and writes no more than the pieces that differ", () =>
    Effect.gen(function*() {
      const seed = Number(process.env["BACKY_SEED"] ?? Date.now() % 1_000_000)
      const random = randomNumbers(seed)
      const some = (limit: number) => Math.floor(random() * limit)
      for (let round = 0; round < 20; round++) {
        const size = 1 + some(5 * CHUNK)
        const wanted = join(blocks(some(3), some(3), some(3), some(3), some(3))).subarray(0, size)
        for (let n = some(4); n > 0; n--) wanted[some(size)] = some(4)
        const there = changed(wanted, ...Array.from({ length: some(6) }, () => some(size))).subarray(
          0,
          some(2) ? size : some(size)
        )
        yield* inScene((scene) =>
          Effect.gen(function*() {
            yield* backupOf(scene, Uint8Array.from(wanted))
            const [path, before] = some(2) === 0
              ? [TARGET, there]
              : [DEVICE, join(there, new Uint8Array(size - there.length).fill(5))]
            if (path === TARGET) setFile(scene.disk, path, before)
            else plantDevice(scene, before)
            const plan = yield* restoreDelta(path, { dryRun: true })
            const { cleared, written } = yield* restoreDelta(path)
            assert.deepStrictEqual(bytesOf(scene.disk, path), Uint8Array.from(wanted), `seed ${seed}, round ${round}`)
            let pieces = 0
            for (let at = 0; at < size; at += PIECE) {
              const [a, b] = [wanted.subarray(at, at + PIECE), new Uint8Array(Math.min(PIECE, size - at))]
              b.set(before.subarray(at, Math.min(size, at + PIECE)))
              if (Buffer.compare(a, b) !== 0) pieces += a.length
            }
            assert.strictEqual(plan.written + plan.cleared, pieces, `seed ${seed}, round ${round}`)
            assert.isAtMost(written + cleared, pieces === 0 ? 0 : pieces + NOTE + PIECE, `seed ${seed}, round ${round}`)
          })
        )
      }
    }))
})
