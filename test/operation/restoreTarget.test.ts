/** A target is one thing for the whole run, whatever its names are and whoever else wants it. */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Scope from "effect/Scope"
import { createHash } from "node:crypto"
import * as Finished from "../../src/operation/Finished.ts"
import * as OutputPort from "../../src/operation/Output.ts"
import { restore } from "../../src/operation/restore.ts"
import * as BlockFile from "../../src/platform/BlockFile.ts"
import * as FileLock from "../../src/platform/FileLock.ts"
import { bytesOf, listOf } from "../support/diskFiles.ts"
import { CHUNK, IMAGE, REPOSITORY, setFile } from "../support/World.ts"
import * as Scenario from "./scenario.ts"

const { backupOf, blocks, chunkOf, failureOf, inScene, join } = Scenario

const restoreTo = (
  path: string,
  options: { readonly force?: boolean; readonly revision?: string; readonly source?: string } = {}
) =>
  restore({
    revision: options.revision ?? "latest",
    target: { _tag: "Path", path },
    force: options.force ?? false,
    source: options.source,
    salvage: false,
    wait: Scenario.zero
  }).pipe(Effect.provide(OutputPort.layerMemory([])))

const TARGET = "/restore/vm.img"
const image = join(blocks(1, 0, 2), blocks(3).subarray(0, 700))

const partialOf = (path: string, unique = "0123456789ab"): string => {
  const cut = path.lastIndexOf("/") + 1
  const hash = createHash("sha256").update(path.slice(cut)).digest("hex").slice(0, 8)
  return `${path.slice(0, cut)}.backy-${hash}-${unique}`
}

/** Opens a file as another process has it, and locks it. */
const locked = (path: string) =>
  Effect.gen(function*() {
    const file = yield* (yield* BlockFile.BlockFile).open(path, { access: "write" })
    yield* (yield* FileLock.FileLock).acquireOpen(file)
  })

/** A restore fails like this, and nothing on the disk changes. */
const refuses = (scene: Scenario.Scene, attempt: ReturnType<typeof restoreTo>, reason: string) =>
  Effect.gen(function*() {
    const before = scene.memory.describe()
    const error = yield* failureOf(attempt)
    assert.strictEqual(error._tag, "TargetRefused", error.message)
    assert.include(error.message, reason)
    assert.deepStrictEqual(scene.memory.describe(), before)
  })

describe("a new file", () => {
  it.effect("is restored, whatever signal comes once it has its name", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, image)
        const finished = Finished.make()
        const fiber = yield* Effect.fork(
          Effect.provideService(restoreTo(TARGET), Finished.Finished, finished)
        )
        scene.memory.onOperation = (_, name) => {
          if (name !== "link") return
          assert.isUndefined(finished.outcome())
          fiber.unsafeInterruptAsFork(FiberId.none)
        }
        assert.isTrue(Exit.isInterrupted(yield* Fiber.await(fiber)))
        assert.strictEqual(finished.outcome(), "done")
        assert.deepStrictEqual(bytesOf(scene.disk, TARGET), image)
      })
    ))

  it.effect("is refused by name for a revision whose metadata cannot be read", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const { revision } = yield* backupOf(scene, image)
        const path = `${REPOSITORY}/${revision.id}.rev`
        Scenario.tamper(scene, path, () => new Uint8Array(0))
        const { message } = yield* failureOf(restoreTo(TARGET, { revision: revision.id }))
        assert.include(message, `${path} cannot be used: `)
      })
    ))

  it.effect("may have the longest name that there is", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, image)
        const name = "n".repeat(255)
        yield* restoreTo(`/restore/${name}`)
        assert.deepStrictEqual(bytesOf(scene.disk, `/restore/${name}`), image)
        assert.deepStrictEqual(listOf(scene.disk, "/restore"), [name])
      })
    ))

  it.effect("takes the place of what killed restores to that name left, and of nothing else", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, image)
        const others = [partialOf("/restore/other.img"), `${partialOf(TARGET)}.d`.replace("-0123", "_0123")]
        for (const path of [partialOf(TARGET), partialOf(TARGET, "zzzzzzzzzzzz"), ...others]) {
          setFile(scene.disk, path, blocks(9, 9, 9, 9, 9, 9))
        }
        scene.disk.makeDirectory(partialOf(TARGET, "aaaaaaaaaaaa"), 0o755)
        yield* restoreTo(TARGET)
        assert.deepStrictEqual(bytesOf(scene.disk, TARGET), image)
        assert.deepStrictEqual(
          listOf(scene.disk, "/restore").map((name) => `/restore/${name}`),
          [partialOf(TARGET, "aaaaaaaaaaaa"), ...others, TARGET].sort()
        )
      })
    ))

  it.effect("is refused while another restore to that name is under way, whose file stays", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, image)
        setFile(scene.disk, partialOf(TARGET), blocks(9))
        yield* locked(partialOf(TARGET))
        yield* refuses(scene, restoreTo(TARGET), "another restore to it is under way")
      }).pipe(Effect.scoped)
    ))

  it.effect("never replaces a file that somebody made meanwhile", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, image)
        scene.memory.onOperation = (_, name) => {
          if (name !== "link") return
          scene.memory.onOperation = undefined
          setFile(scene.disk, TARGET, blocks(9))
        }
        const error = yield* failureOf(restoreTo(TARGET))
        assert.strictEqual(error._tag, "TargetRefused", error.message)
        assert.include(error.message, "meanwhile there is a file of that name")
        assert.deepStrictEqual(bytesOf(scene.disk, TARGET), blocks(9))
        assert.deepStrictEqual(listOf(scene.disk, "/restore"), ["vm.img"])
      })
    ))

  it.effect("starts anew when another restore takes its partial file for one that was left", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, image)
        const real = yield* FileLock.FileLock
        let taken = 0
        const locks = FileLock.FileLock.of({
          ...real,
          acquireOpen: (file) => {
            if (taken++ === 0) scene.disk.unlink(file.path)
            return taken === 2 ? new FileLock.FileInUse({ path: file.path, by: "a test" }) : real.acquireOpen(file)
          }
        })
        yield* Effect.provideService(restoreTo(TARGET), FileLock.FileLock, locks)
        assert.isAbove(taken, 2)
        assert.deepStrictEqual(bytesOf(scene.disk, TARGET), image)
      })
    ))

  it.effect("gets its name by a rename where the file system has no second names, and says so", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, image)
        scene.memory.syncAll()
        Scenario.failWhere(scene, (name) => name === "link" ? "EPERM" : undefined)
        yield* restoreTo(TARGET)
        assert.deepStrictEqual(bytesOf(scene.disk, TARGET), image)
        assert.deepStrictEqual(listOf(scene.disk, "/restore"), ["vm.img"])
        assert.isTrue(scene.log.some((line) => line.startsWith("WARN") && line.includes("gives no second names")))
        assert.isTrue(scene.memory.isDurable)
      })
    ))

  it.effect("never replaces one there either", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, image)
        scene.memory.onOperation = (_, name) => {
          if (name !== "link") return
          scene.memory.onOperation = undefined
          setFile(scene.disk, TARGET, blocks(9))
          throw Object.assign(new Error("EPERM"), { code: "EPERM", syscall: "link" })
        }
        assert.include((yield* failureOf(restoreTo(TARGET))).message, "meanwhile there is a file of that name")
        assert.deepStrictEqual(bytesOf(scene.disk, TARGET), blocks(9))
      })
    ))

  it.effect("is free for a next restore after a kill between its two names", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, image)
        setFile(scene.disk, TARGET, blocks(9))
        scene.disk.link(TARGET, partialOf(TARGET))
        yield* restoreTo(TARGET, { force: true })
        assert.deepStrictEqual(bytesOf(scene.disk, TARGET), image)
        assert.deepStrictEqual(listOf(scene.disk, "/restore"), ["vm.img"])
      })
    ))
})

describe("a file that is there", () => {
  it.effect("is refused when it has another name, even by force", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, image)
        setFile(scene.disk, TARGET, blocks(9))
        scene.disk.link(TARGET, "/images/second")
        yield* refuses(scene, restoreTo(TARGET, { force: true }), "it has 2 names (hard links)")
      })
    ))

  it.effect("is refused when it is a chunk by another name", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, image)
        scene.disk.link(chunkOf(blocks(1)), TARGET)
        yield* refuses(scene, restoreTo(TARGET, { force: true }), "it has 2 names")
        for (const name of [".backup", "config"]) {
          setFile(scene.disk, `${REPOSITORY}/${name}`, new Uint8Array(0))
          scene.disk.link(`${REPOSITORY}/${name}`, `/restore/${name}`)
          yield* refuses(scene, restoreTo(`/restore/${name}`, { force: true }), "within the repository")
        }
      })
    ))

  it.effect("is refused while somebody has locked it", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, image)
        setFile(scene.disk, TARGET, blocks(9))
        yield* locked(TARGET)
        yield* refuses(scene, restoreTo(TARGET, { force: true }), "it is locked by another process")
      }).pipe(Effect.scoped)
    ))

  it.effect("is refused while a VM runs on it", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, image)
        setFile(scene.disk, TARGET, blocks(9))
        scene.locks.foreign.set(TARGET, "qemu, process 17")
        yield* refuses(scene, restoreTo(TARGET, { force: true }), "it is in use: it is locked by qemu, process 17")
      })
    ))

  it.effect("is refused while a loop device shows it", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, image)
        setFile(scene.disk, TARGET, blocks(9))
        scene.memory.plantDevice("/dev/loop3", CHUNK)
        scene.devices.loops.set("/dev/loop3", TARGET)
        yield* refuses(scene, restoreTo(TARGET, { force: true }), "it is in use as /dev/loop3")
      })
    ))

  it.effect("must be there in the end: to restore to what was moved away is a failure", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, image)
        setFile(scene.disk, TARGET, blocks(9))
        scene.memory.onOperation = (_, name, path) => {
          if (name !== "write" || path !== TARGET) return
          scene.memory.onOperation = undefined
          scene.disk.rename(TARGET, "/restore/moved")
          setFile(scene.disk, TARGET, blocks(7))
        }
        const error = yield* failureOf(restoreTo(TARGET, { force: true }))
        assert.include(error.message, "another file has taken its place while it was written")
        assert.deepStrictEqual(bytesOf(scene.disk, TARGET), blocks(7), "the other file is as it was")
        assert.deepStrictEqual(bytesOf(scene.disk, "/restore/moved"), image)
      })
    ))

  it.effect("is held for the whole run: a second restore to it is refused, the first one is whole", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, blocks(4, 5, 6))
        yield* backupOf(scene, image)
        setFile(scene.disk, TARGET, blocks(9))
        const begun = yield* Deferred.make<void>()
        scene.memory.onOperation = (_, name, path) => {
          if (name === "write" && path === TARGET) Deferred.unsafeDone(begun, Effect.void)
        }
        const first = yield* Effect.fork(restoreTo(TARGET, { force: true }))
        yield* Deferred.await(begun)
        const second = yield* failureOf(restoreTo(TARGET, { force: true, revision: "first" }))
        assert.strictEqual(second._tag, "TargetRefused")
        yield* Fiber.join(first)
        assert.deepStrictEqual(bytesOf(scene.disk, TARGET), image)
      })
    ))
})

describe("the image that the repository backs up", () => {
  const withImage = (test: Parameters<typeof inScene<void, unknown>>[0]) =>
    inScene((scene) => Effect.zipRight(backupOf(scene, image), test(scene)))

  it.effect("is refused without force, by whatever name", () =>
    withImage((scene) =>
      Effect.gen(function*() {
        scene.memory.plantLink(IMAGE, "/restore/link")
        for (const path of [IMAGE, "/restore/link"]) {
          yield* refuses(scene, restoreTo(path, { source: IMAGE }), "it is the source itself (-f overwrites it)")
        }
        setFile(scene.disk, IMAGE, new Uint8Array(0))
        yield* refuses(scene, restoreTo(IMAGE, { source: IMAGE }), "it is the source itself")
      })
    ))

  it.effect("is rolled back by force, which is said, and no backup may run meanwhile", () =>
    withImage((scene) =>
      Effect.gen(function*() {
        setFile(scene.disk, IMAGE, blocks(9, 9, 9, 9, 9))
        const scope = yield* Scope.make()
        const locks = yield* FileLock.FileLock
        yield* Scope.extend(locks.acquire(`${REPOSITORY}/.backup`, "exclusive"), scope)
        const held = yield* failureOf(restoreTo(IMAGE, { force: true, source: IMAGE }))
        assert.strictEqual(held._tag, "LockHeld")
        assert.deepStrictEqual(bytesOf(scene.disk, IMAGE), blocks(9, 9, 9, 9, 9))
        yield* Scope.close(scope, yield* Effect.exit(Effect.void))
        scene.log.length = 0
        yield* restoreTo(IMAGE, { force: true, source: IMAGE })
        assert.deepStrictEqual(bytesOf(scene.disk, IMAGE), image)
        assert.deepStrictEqual(
          scene.log.filter((line) => line.startsWith("WARN")),
          [`WARN ${IMAGE} is the image that this repository backs up; it is overwritten`]
        )
      })
    ))

  it.effect("is refused through a loop device that shows it, and as the device of which it is one", () =>
    withImage((scene) =>
      Effect.gen(function*() {
        scene.memory.plantDevice("/dev/loop3", 8 * CHUNK)
        scene.devices.loops.set("/dev/loop3", IMAGE)
        yield* refuses(scene, restoreTo("/dev/loop3", { source: IMAGE }), "it is the source itself")
        yield* refuses(scene, restoreTo(IMAGE, { source: "/dev/loop3" }), "it is the source itself")
      })
    ))
})

describe("a block device", () => {
  /** A device of 64 MiB; what lies on it, and then whether it is taken without force. */
  const contents: ReadonlyArray<readonly [string, number, boolean]> = [
    ["nothing", -1, true],
    ["a byte at its beginning", 0, false],
    ["a byte at the end of its first 16 MiB", 16 * 2 ** 20 - 1, false],
    ["a byte behind that", 16 * 2 ** 20 + 1, true],
    ["a byte in the middle", 32 * 2 ** 20 + 256 * 1024 + 100, false],
    ["a byte at the beginning of its last 16 MiB", 48 * 2 ** 20, false],
    ["a byte at its end", 64 * 2 ** 20 - 1, false]
  ]
  for (const [what, at, taken] of contents) {
    it.effect(
      `with ${what} is ${taken ? "" : "not "}taken without force`,
      () =>
        inScene((scene) =>
          Effect.gen(function*() {
            yield* backupOf(scene, image)
            scene.memory.plantDevice("/dev/vm", 64 * 2 ** 20)
            if (at >= 0) {
              const device = scene.disk.open("/dev/vm", { access: "write" })
              scene.disk.write(device, Uint8Array.of(7), at)
              scene.disk.close(device)
            }
            if (taken) yield* restoreTo("/dev/vm")
            else yield* refuses(scene, restoreTo("/dev/vm"), `it holds data at byte ${at} (-f overwrites it)`)
            yield* restoreTo("/dev/vm", { force: true })
            assert.isTrue(Buffer.from(scene.memory.bytesAt("/dev/vm").subarray(0, image.length)).equals(image))
          })
        ),
      60_000
    )
  }

  it.effect("on which others find something is refused without force", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, image)
        scene.memory.plantDevice("/dev/vm", 8 * CHUNK)
        scene.devices.signatures.set("/dev/vm", "ext4")
        yield* refuses(scene, restoreTo("/dev/vm"), "it holds ext4 (-f overwrites it)")
        yield* restoreTo("/dev/vm", { force: true })
      })
    ))

  it.effect("in use is refused even by force, whatever its name is", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, image)
        scene.memory.plantDevice("/dev/vm", 8 * CHUNK)
        scene.disk.link("/dev/vm", "/dev/alias")
        const mount = scene.disk.open("/dev/alias", { access: "read", exclusive: true })
        yield* refuses(scene, restoreTo("/dev/vm", { force: true }), "the device is in use")
        scene.disk.close(mount)
        yield* restoreTo("/dev/alias", { force: true })
      })
    ))

  it.effect("that shows a file of the repository is refused even by force", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, image)
        for (const device of ["/dev/loop3", "/dev/dm-0"]) scene.memory.plantDevice(device, 8 * CHUNK)
        scene.devices.loops.set("/dev/loop3", chunkOf(blocks(1)))
        scene.devices.loops.set("/dev/dm-0", "/dev/loop3")
        yield* refuses(scene, restoreTo("/dev/dm-0", { force: true }), "it shows a file of the repository")
      })
    ))

  it.effect("whose name leads to another one in the end is a failure", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, image)
        for (const device of ["/dev/vm", "/dev/other"]) scene.memory.plantDevice(device, 8 * CHUNK)
        scene.memory.onOperation = (_, name, path) => {
          if (name !== "write" || path !== "/dev/vm") return
          scene.memory.onOperation = undefined
          scene.disk.rename("/dev/other", "/dev/vm")
        }
        const error = yield* failureOf(restoreTo("/dev/vm"))
        assert.include(error.message, "another file has taken its place while it was written")
      })
    ))
})
