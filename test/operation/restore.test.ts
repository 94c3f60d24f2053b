import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/TestClock"
import { Output, OutputClosed } from "../../src/operation/Output.ts"
import * as OutputPort from "../../src/operation/Output.ts"
import { restore as restoreOperation } from "../../src/operation/restore.ts"
import { Repository } from "../../src/repository/Repository.ts"
import { Blocks } from "../../src/store/Blocks.ts"
import { bytesOf, listOf } from "../support/diskFiles.ts"
import { backup, CHUNK, IMAGE, REPOSITORY, restored, setFile } from "../support/World.ts"
import * as Scenario from "./scenario.ts"

const { backupOf, blocks, chunkOf, inScene, join } = Scenario

interface Options {
  readonly force?: boolean
  readonly salvage?: boolean
  readonly revision?: string
}

const restoreTo = (path: string, options: Options = {}) =>
  restoreOperation({
    revision: options.revision ?? "latest",
    target: { _tag: "Path", path },
    force: options.force ?? false,
    salvage: options.salvage ?? false,
    wait: Scenario.zero
  }).pipe(Effect.provide(OutputPort.layerMemory([])))

const TARGET = "/restore/vm.img"

/** Data, a hole, and a last chunk that is not whole. */
const image = join(blocks(1, 0, 2), blocks(3).subarray(0, 700))

describe("restore to a file", () => {
  it.effect("writes a new file durably, with holes as holes", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const { revision } = yield* backupOf(scene, image)
        scene.memory.syncAll()
        const report = yield* restoreTo(TARGET)
        assert.isTrue(scene.memory.isDurable)
        assert.deepStrictEqual(report, { revision: revision.id, size: image.length, written: 2 * CHUNK + 700 })
        assert.deepStrictEqual(bytesOf(scene.disk, TARGET), image)
        assert.strictEqual(scene.disk.lstat(TARGET).allocated, 3 * CHUNK)
        assert.strictEqual(scene.disk.lstat(TARGET).mode & 0o077, 0, "others may not read what was in the VM")
        assert.deepStrictEqual(listOf(scene.disk, "/restore"), ["vm.img"])
      })
    ))

  it.effect("makes an image of no bytes and one of zeros", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        Scenario.setImage(scene, new Uint8Array(0))
        yield* backup(["daily"], { acceptShrink: true })
        yield* backupOf(scene, blocks(0, 0))
        yield* restoreTo(TARGET, { revision: "first" })
        assert.strictEqual(scene.disk.lstat(TARGET).size, 0)
        yield* restoreTo("/restore/zeros", { revision: "latest" })
        const { allocated, size } = scene.disk.lstat("/restore/zeros")
        assert.deepStrictEqual([allocated, size], [0, 2 * CHUNK])
      })
    ))

  it.effect("takes an empty file without force", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, image)
        setFile(scene.disk, TARGET, new Uint8Array(0))
        yield* restoreTo(TARGET)
        assert.deepStrictEqual(bytesOf(scene.disk, TARGET), image)
      })
    ))

  it.effect("leaves no old byte in a longer file that it may overwrite", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, image)
        setFile(scene.disk, TARGET, blocks(9, 9, 9, 9, 9, 9))
        const { ino } = scene.disk.lstat(TARGET)
        yield* restoreTo(TARGET, { force: true })
        assert.deepStrictEqual(bytesOf(scene.disk, TARGET), image)
        assert.strictEqual(scene.disk.lstat(TARGET).ino, ino, "the same file: somebody may have it open")
      })
    ))

  it.effect("leaves no old byte of it after a power loss either", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, image)
        setFile(scene.disk, TARGET, blocks(9, 9, 9, 9, 9, 9))
        scene.memory.syncAll()
        yield* restoreTo(TARGET, { force: true })
        const after = scene.memory.crash(() => 0)
        assert.deepStrictEqual(Uint8Array.from(after.bytesAt(TARGET)), image)
      })
    ))

  it.effect("follows a link to the file", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, image)
        setFile(scene.disk, "/restore/real", new Uint8Array(0))
        scene.memory.plantLink("real", TARGET)
        yield* restoreTo(TARGET)
        assert.deepStrictEqual(bytesOf(scene.disk, "/restore/real"), image)
        assert.strictEqual(scene.disk.lstat(TARGET).kind, "symlink")
      })
    ))
})

describe("restore to a block device", () => {
  const onDevice = (size: number, force = true) =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, image)
        scene.memory.plantDevice("/dev/vm", size)
        const device = scene.disk.open("/dev/vm", { access: "write" })
        scene.disk.write(device, new Uint8Array(size).fill(9), 0)
        scene.disk.close(device)
        const exit = yield* Effect.exit(Effect.flip(restoreTo("/dev/vm", { force })))
        return { exit, bytes: Uint8Array.from(scene.memory.bytesAt("/dev/vm")), durable: scene.memory }
      })
    )

  it.effect("writes zeros where the image has holes", () =>
    Effect.gen(function*() {
      const { bytes, exit } = yield* onDevice(image.length + 20 - image.length % 4)
      assert.strictEqual(exit._tag, "Failure", "restoring succeeds")
      assert.deepStrictEqual(bytes.subarray(0, image.length), image)
    }))

  it.effect("leaves a larger device's rest as it is", () =>
    Effect.gen(function*() {
      const { bytes } = yield* onDevice(6 * CHUNK)
      assert.deepStrictEqual(bytes.subarray(0, image.length), image)
      assert.isTrue(bytes.subarray(image.length).every((byte) => byte === 9))
    }))

  it.effect("refuses a smaller device before it writes a byte", () =>
    Effect.gen(function*() {
      const { bytes, exit } = yield* onDevice(3 * CHUNK)
      assert.strictEqual(exit._tag === "Success" ? exit.value._tag : exit._tag, "TargetRefused")
      assert.isTrue(bytes.every((byte) => byte === 9))
    }))
})

describe("restore refuses, before it writes a byte,", () => {
  const refused = (
    name: string,
    path: string,
    reason: string,
    plant: (scene: Scenario.Scene) => void,
    options?: Options
  ) =>
    it.effect(name, () =>
      inScene((scene) =>
        Effect.gen(function*() {
          yield* backupOf(scene, image)
          plant(scene)
          const before = scene.memory.describe()
          const error = yield* Scenario.failureOf(restoreTo(path, options))
          assert.strictEqual(error._tag, "TargetRefused", error.message)
          assert.include(error.message, `cannot restore to ${path}: `)
          assert.include(error.message, reason)
          assert.deepStrictEqual(scene.memory.describe(), before)
        })
      ))

  refused("a file that is not empty", TARGET, "-f overwrites it", ({ disk }) => setFile(disk, TARGET, blocks(9)))
  refused("a directory", "/restore", "it is a directory", () => undefined)
  refused("a directory, even with force", "/restore", "it is a directory", () => undefined, { force: true })
  for (
    const [kind, words] of [
      ["pipe", "it is a pipe, not"],
      ["socket", "it is a socket, not"],
      ["character-device", "it is a character device, not"]
    ] as const
  ) {
    refused(`a ${kind}`, TARGET, words, ({ memory }) => memory.plantOther(TARGET, kind))
  }
  refused("a link to nothing", TARGET, "leads nowhere", ({ memory }) => memory.plantLink("nowhere", TARGET))
  refused("a missing device", "/dev/vdz", "there is no such device", ({ memory }) => memory.plantDirectory("/dev"))
  refused("a file in /proc", "/proc/x", "can be kept in /proc", ({ memory }) => memory.plantDirectory("/proc"))
  refused("a file in /sys/a", "/sys/a/x", "can be kept in /sys", ({ memory }) => memory.plantDirectory("/sys/a"))
  refused("a place in a directory that is missing", "/restore/no/vm.img", "no directory /restore/no", () => undefined)
  refused("a mistyped device", "/dev/nothing/here", "there is no directory", () => undefined)
  refused("a chunk, even with force", chunkOf(blocks(1)), "within the repository", () => undefined, { force: true })
  refused("a new file in the repository", `${REPOSITORY}/new`, "within the repository", () => undefined)
  refused(
    "the repository by way of a link",
    "/restore/link/config",
    "within the repository",
    ({ memory }) => memory.plantLink(REPOSITORY, "/restore/link"),
    { force: true }
  )
  refused(
    "a link to a chunk",
    TARGET,
    "within the repository",
    ({ memory }) => memory.plantLink(chunkOf(blocks(1)), TARGET),
    { force: true }
  )
  refused("the repository itself", REPOSITORY, "within the repository", () => undefined, { force: true })

  it.effect("nothing when the source is to be overwritten by force", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, image)
        setFile(scene.disk, IMAGE, blocks(9, 9, 9, 9, 9))
        yield* restoreTo(IMAGE, { force: true })
        assert.deepStrictEqual(bytesOf(scene.disk, IMAGE), image)
      })
    ))

  it.effect("specs that fit no revision or several, and incomplete revisions", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, blocks(1))
        const { revision } = yield* backupOf(scene, blocks(2))
        const error = yield* Scenario.failureOf(restoreTo(TARGET, { revision: "all" }))
        assert.strictEqual(error._tag, "NotOneRevision")
        assert.include(error.message, "2 revisions fit")
        assert.strictEqual(
          (yield* Scenario.failureOf(restoreTo(TARGET, { revision: "trust:verified" })))._tag,
          "NotOneRevision"
        )
        yield* (yield* Repository).publish(Scenario.begun(revision))
        assert.strictEqual(
          (yield* Scenario.failureOf(restoreTo(TARGET, { revision: revision.id })))._tag,
          "RevisionIncomplete"
        )
        assert.deepStrictEqual(yield* restored("latest"), blocks(1))
        assert.deepStrictEqual(listOf(scene.disk, "/restore"), [])
      })
    ))
})

describe("restore with bad chunks", () => {
  const withBadChunk = (scene: Scenario.Scene) =>
    Effect.gen(function*() {
      const { revision } = yield* backupOf(scene, image)
      Scenario.tamper(scene, chunkOf(blocks(2)), Scenario.flipBit)
      return revision
    })

  it.effect("reads what looks damaged a second time before it gives it up", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, image)
        const chunk = chunkOf(blocks(2))
        const good = scene.memory.bytesAt(chunk)
        Scenario.tamper(scene, chunk, Scenario.flipBit)
        let opened = 0
        scene.memory.onOperation = (_, name, path) => {
          if (name === "open" && path === chunk && ++opened === 2) Scenario.tamper(scene, path, () => good)
        }
        yield* restoreTo(TARGET)
        assert.deepStrictEqual(bytesOf(scene.disk, TARGET), image)
      })
    ))

  it.effect("fails without salvage, names the chunk and the bytes, and leaves no file", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const { id } = yield* withBadChunk(scene)
        const error = yield* Scenario.failureOf(restoreTo(TARGET))
        assert.strictEqual(error._tag, "RestoreIncomplete")
        assert.include(error.message, id)
        assert.include(error.message, Scenario.hexOf(blocks(2)))
        assert.include(error.message, `image bytes ${2 * CHUNK} to ${3 * CHUNK - 1}`)
        assert.include(error.message, "--salvage")
        assert.deepStrictEqual(listOf(scene.disk, "/restore"), [])
        assert.deepStrictEqual(scene.memory.openDescriptors, [])
      })
    ))

  it.effect("writes all the rest with salvage, zeros for what is lost, and fails all the same", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* withBadChunk(scene)
        scene.disk.unlink(chunkOf(blocks(3).subarray(0, 700)))
        setFile(scene.disk, TARGET, blocks(9, 9, 9, 9, 9))
        for (const path of [TARGET, "/restore/new"]) {
          const error = yield* Scenario.failureOf(restoreTo(path, { salvage: true, force: true }))
          if (error._tag !== "RestoreIncomplete") return assert.fail(error.message)
          assert.isTrue(error.salvaged)
          assert.deepStrictEqual(
            error.lost.map(({ chunk, length, offset, why }) => ({ chunk, length, offset, why })),
            [
              { chunk: Scenario.hexOf(blocks(2)), length: CHUNK, offset: 2 * CHUNK, why: error.lost[0]?.why ?? "" },
              { chunk: Scenario.hexOf(blocks(3).subarray(0, 700)), length: 700, offset: 3 * CHUNK, why: "is missing" }
            ]
          )
          assert.include(error.message, `except for ${CHUNK + 700} bytes`)
          assert.deepStrictEqual(bytesOf(scene.disk, path), join(blocks(1, 0, 0), new Uint8Array(700)))
        }
      })
    ))

  it.effect("writes zeros over lost ranges of a device", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* withBadChunk(scene)
        scene.memory.plantDevice("/dev/vm", 4 * CHUNK)
        const device = scene.disk.open("/dev/vm", { access: "write" })
        scene.disk.write(device, blocks(9, 9, 9, 9), 0)
        scene.disk.close(device)
        yield* Scenario.failureOf(restoreTo("/dev/vm", { salvage: true, force: true }))
        const expected = join(blocks(1, 0, 0), blocks(3).subarray(0, 700))
        assert.deepStrictEqual(Uint8Array.from(scene.memory.bytesAt("/dev/vm")).subarray(0, image.length), expected)
      })
    ))

  it.effect("treats a chunk that cannot be read as lost, with its errno", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, image)
        Scenario.failWhere(scene, (name, path) => name === "read" && path === chunkOf(blocks(2)) ? "EIO" : undefined)
        const error = yield* Scenario.failureOf(restoreTo(TARGET))
        assert.strictEqual(error._tag, "RestoreIncomplete")
        assert.include(error.message, "EIO")
      })
    ))

  it.effect("warns when a revision was made later than the one that it restores, by a clock that was back", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const first = yield* backupOf(scene, blocks(1))
        yield* TestClock.setTime(new Date("2026-01-01T00:00:00Z"))
        const second = yield* backupOf(scene, blocks(2))
        scene.log.length = 0
        yield* restoreTo(TARGET)
        assert.deepStrictEqual(bytesOf(scene.disk, TARGET), blocks(1))
        const warned = scene.log.filter((line) => line.startsWith("WARN"))
        assert.strictEqual(warned.length, 1)
        assert.include(warned[0], `revision ${second.revision.id} was made after ${first.revision.id}`)
        scene.log.length = 0
        yield* restoreTo("/restore/second", { revision: second.revision.id })
        assert.deepStrictEqual(scene.log.filter((line) => line.startsWith("WARN")), [])
      })
    ))

  it.effect("warns once about a distrusted revision and names the newest trusted one", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const first = yield* backupOf(scene, blocks(1))
        const second = yield* backupOf(scene, blocks(2))
        yield* Scenario.distrustAs(second.revision.id, "manual")
        yield* restoreTo(TARGET)
        const warnings = scene.log.filter((line) => line.startsWith("WARN"))
        assert.strictEqual(warnings.length, 1)
        assert.include(warnings[0], first.revision.id)
        assert.deepStrictEqual(bytesOf(scene.disk, TARGET), blocks(2))
      })
    ))

  it.effect("fails when the map is damaged, before the target is touched", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const { revision } = yield* backupOf(scene, image)
        Scenario.tamper(scene, `${REPOSITORY}/${revision.id}`, Scenario.flipBit)
        assert.strictEqual((yield* Scenario.failureOf(restoreTo(TARGET)))._tag, "MapUnusable")
        assert.deepStrictEqual(listOf(scene.disk, "/restore"), [])
      })
    ))
})

describe("restore on a disk that fails", () => {
  for (const call of ["write", "truncate", "sync", "close", "link", "unlink", "rename", "open"] as const) {
    it.effect(`fails whichever ${call} of the target fails, and leaves no partial file`, () =>
      Effect.gen(function*() {
        for (let n = 1; n < 100; n++) {
          const done = yield* inScene((scene) =>
            Effect.gen(function*() {
              yield* backupOf(scene, image)
              let count = 0
              Scenario.failWhere(scene, (name, path) => {
                if (!path.startsWith("/restore")) return undefined
                // a rename is the way of file systems without second names
                if (call === "rename" && name === "link") return "EPERM"
                return name === call && ++count === n ? "EIO" : undefined
              })
              const exit = yield* Effect.exit(restoreTo(TARGET))
              Scenario.heal(scene)
              assert.deepStrictEqual(listOf(scene.disk, "/restore").filter((name) => name.startsWith(".")), [], `${n}`)
              assert.deepStrictEqual(scene.memory.openDescriptors, [])
              if (exit._tag === "Failure") return false
              assert.deepStrictEqual(bytesOf(scene.disk, TARGET), image)
              assert.isBelow(count, n, "an error was lost")
              return true
            })
          )
          if (done) return assert.isAbove(n, 1, "the fault was never reached")
        }
        assert.fail("the fault was reached in every run")
      }))
  }

  for (const call of ["write", "truncate", "sync", "close", "open"] as const) {
    it.effect(`fails whichever ${call} of an existing target fails`, () =>
      Effect.gen(function*() {
        for (let n = 1; n < 100; n++) {
          const done = yield* inScene((scene) =>
            Effect.gen(function*() {
              yield* backupOf(scene, image)
              setFile(scene.disk, TARGET, blocks(9))
              let count = 0
              Scenario.failWhere(
                scene,
                (name, path) => name === call && path === TARGET && ++count === n ? "EIO" : undefined
              )
              const exit = yield* Effect.exit(restoreTo(TARGET, { force: true }))
              if (exit._tag === "Success") assert.isBelow(count, n, "an error was lost")
              return exit._tag === "Success"
            })
          )
          if (done) return
        }
        assert.fail("the fault was reached in every run")
      }))
  }

  it.effect("fails when write-back failed behind its back", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, image)
        setFile(scene.disk, TARGET, new Uint8Array(0))
        scene.memory.onOperation = (_, name, path) => {
          if (name === "sync" && path === TARGET) {
            scene.memory.onOperation = undefined
            scene.memory.failWriteBack(TARGET)
          }
        }
        const error = yield* Scenario.failureOf(restoreTo(TARGET))
        assert.strictEqual(error._tag, "IoError")
        assert.include(error.message, `cannot sync ${TARGET}`)
      })
    ))

  it.effect("fails on a full disk and gives the space back", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, image)
        scene.memory.capacity = scene.memory.used + 2 * CHUNK
        const before = scene.memory.used
        const error = yield* Scenario.failureOf(restoreTo(TARGET))
        assert.strictEqual(error._tag, "IoError")
        assert.include(error.message, "ENOSPC")
        assert.strictEqual(scene.memory.used, before)
      })
    ))

  it.effect("removes the partial file when it is interrupted", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, image)
        const real = yield* Blocks
        const begun = yield* Deferred.make<void>()
        const endless = Blocks.of({
          ...real,
          restore: () => Effect.zipRight(Deferred.succeed(begun, undefined), Effect.never)
        })
        const fiber = yield* Effect.fork(Effect.provideService(restoreTo(TARGET), Blocks, endless))
        yield* Deferred.await(begun)
        assert.match(listOf(scene.disk, "/restore").join(), /^\.backy-[0-9a-f]{8}-[0-9a-z]{12}$/)
        yield* Fiber.interrupt(fiber)
        assert.deepStrictEqual(listOf(scene.disk, "/restore"), [])
      })
    ))
})

describe("restore to standard output", () => {
  const output = (write: (bytes: Uint8Array) => Effect.Effect<void, OutputClosed>, options: Options = {}) =>
    restoreOperation({
      revision: "latest",
      target: { _tag: "Output" },
      force: false,
      salvage: options.salvage ?? false,
      wait: Scenario.zero
    }).pipe(Effect.provide(Layer.succeed(Output, { write, finish: Effect.void })))

  it.effect("writes all bytes in order, zeros too", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const long = blocks(...Array.from({ length: 40 }, (_, index) => index % 5))
        yield* backupOf(scene, long)
        assert.deepStrictEqual(yield* restored("latest"), long)
        yield* TestClock.adjust("1 day")
        Scenario.setImage(scene, new Uint8Array(0))
        yield* backup(["daily"], { acceptShrink: true })
        assert.deepStrictEqual(yield* restored("latest"), new Uint8Array(0))
      })
    ))

  it.effect("ends with OutputClosed when the reader has gone", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, image)
        assert.strictEqual((yield* Scenario.failureOf(output(() => new OutputClosed())))._tag, "OutputClosed")
      })
    ))

  it.effect("writes nothing behind a bad chunk, and everything but it with salvage", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, image)
        scene.disk.unlink(chunkOf(blocks(2)))
        const written: Array<Uint8Array> = []
        const collect = (bytes: Uint8Array) => Effect.sync(() => void written.push(Uint8Array.from(bytes)))
        assert.strictEqual((yield* Scenario.failureOf(output(collect)))._tag, "RestoreIncomplete")
        assert.isAtMost(join(...written).length, 2 * CHUNK)
        written.length = 0
        const error = yield* Scenario.failureOf(output(collect, { salvage: true }))
        assert.strictEqual(error._tag === "RestoreIncomplete" && error.salvaged, true)
        assert.deepStrictEqual(join(...written), join(blocks(1, 0, 0), blocks(3).subarray(0, 700)))
      })
    ))
})
