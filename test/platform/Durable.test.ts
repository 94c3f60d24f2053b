import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import type * as FileSystem from "@effect/platform/FileSystem"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as FS from "node:fs"
import { BlockFile, layerDisk } from "../../src/platform/BlockFile.ts"
import type { Disk } from "../../src/platform/Disk.ts"
import * as DiskFileSystem from "../../src/platform/diskFileSystem.ts"
import * as Durable from "../../src/platform/Durable.ts"
import * as Files from "../../src/platform/Files.ts"
import type { IoError } from "../../src/platform/IoError.ts"
import { someChoices } from "../../src/platform/MemoryChoices.ts"
import * as MemoryDisk from "../../src/platform/MemoryDisk.ts"
import * as NodeBlockFile from "../../src/platform/nodeBlockFile.ts"
import { isTemporary, temporaryName } from "../../src/platform/temporaryName.ts"
import * as FaultyDisk from "../support/FaultyDisk.ts"
import { everywhere } from "../support/places.ts"

type Ports = BlockFile | FileSystem.FileSystem

const over = (disk: Disk): Layer.Layer<Ports> => Layer.merge(layerDisk(disk), DiskFileSystem.layer(disk))
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const text = (content: Uint8Array): string => new TextDecoder().decode(content)

const fresh = (): MemoryDisk.MemoryDisk => {
  const memory = MemoryDisk.make()
  memory.plantFile("/d/f", bytes("the old content"), 0o640)
  return memory
}

const run = <A, E>(disk: Disk, effect: Effect.Effect<A, E, Ports>): Either.Either<A, E> =>
  Effect.runSync(Effect.either(Effect.provide(effect, over(disk))))

const codeOf = <A>(result: Either.Either<A, IoError>): string => Either.isLeft(result) ? result.left.code : "no failure"

const replace = Durable.replace("/d/f", bytes("the new content"), { mode: 0o440 })

describe("Durable.replace", () => {
  it("leaves the old or the new file, at whatever point the power fails", () => {
    const memory = fresh()
    const points: Array<MemoryDisk.MemoryDisk> = []
    memory.onOperation = () => points.push(memory.clone())
    assert.isTrue(Either.isRight(run(memory.disk, replace)))
    assert.isAtLeast(points.length, 6)
    let states = 0
    for (const point of points) {
      for (const survivor of someChoices((choose) => point.crash(choose), { limit: 1000, seed: 1 })) {
        states++
        assert.include(["the old content", "the new content"], text(survivor.bytesAt("/d/f")))
        assert.isTrue(survivor.disk.list("/d").every((name) => name === "f" || isTemporary(name)))
      }
    }
    assert.isAbove(states, 20)
    assert.isTrue(memory.isDurable)
    assert.strictEqual(text(memory.bytesAt("/d/f")), "the new content")
    assert.strictEqual(memory.disk.lstat("/d/f").mode, 0o440)
    assert.deepStrictEqual(memory.openDescriptors, [])
  })

  it("leaves the old or the new file and nothing beside it, whichever call fails", () => {
    for (let nth = 1;; nth++) {
      const memory = fresh()
      const faulty = FaultyDisk.make(memory.disk, [{ nth, code: "EIO", lose: (path) => memory.failWriteBack(path) }])
      const result = run(faulty.disk, replace)
      if (faulty.struck() === 0) {
        assert.isAbove(nth, 6)
        return
      }
      assert.strictEqual(codeOf(result), "EIO", faulty.log.at(-1))
      const renamed = faulty.log.slice(0, nth - 1).some((call) => call.startsWith("rename "))
      assert.strictEqual(text(memory.bytesAt("/d/f")), renamed ? "the new content" : "the old content")
      assert.deepStrictEqual(memory.disk.list("/d"), ["f"], faulty.log.join("\n"))
      assert.deepStrictEqual(memory.openDescriptors, [])
    }
  })

  it("keeps the old file on a full disk, and leaves nothing behind", () => {
    const memory = fresh()
    memory.capacity = memory.used + 4096
    assert.strictEqual(codeOf(run(memory.disk, replace)), "ENOSPC")
    assert.strictEqual(text(memory.bytesAt("/d/f")), "the old content")
    assert.deepStrictEqual(memory.disk.list("/d"), ["f"])
  })

  it("replaces a link instead of following it", () => {
    const memory = fresh()
    memory.plantLink("/d/f", "/d/l")
    run(memory.disk, Durable.replace("/d/l", bytes("mine")))
    assert.strictEqual(text(memory.bytesAt("/d/f")), "the old content")
    assert.strictEqual(memory.disk.lstat("/d/l").kind, "file")
    assert.strictEqual(memory.disk.lstat("/d/l").mode, 0o640)
  })

  it("does not touch a file that has the temporary name already", () => {
    const memory = fresh()
    let taken = ""
    memory.onOperation = (_n, name, path) => {
      if (name !== "open" || !isTemporary(path.slice("/d/".length))) return
      memory.onOperation = undefined
      taken = path
      memory.plantFile(path, bytes("somebody else's"))
    }
    assert.strictEqual(codeOf(run(memory.disk, replace)), "EEXIST")
    assert.strictEqual(text(memory.bytesAt(taken)), "somebody else's")
  })

  it("removes the temporary file when it is interrupted while writing", () => {
    const memory = fresh()
    const exit = Effect.runSync(Effect.exit(
      Effect.provide(
        Effect.flatMap(BlockFile, (files) =>
          Effect.provideService(replace, BlockFile, {
            ...files,
            withFile: (path, options, use) =>
              files.withFile(path, options, (file) => use({ ...file, writeAt: () => Effect.interrupt }))
          })),
        over(memory.disk)
      )
    ))
    assert.isTrue(Exit.isInterrupted(exit))
    assert.deepStrictEqual(memory.disk.list("/d"), ["f"])
    assert.deepStrictEqual(memory.openDescriptors, [])
  })
})

describe("Durable.readSmall", () => {
  const read = (memory: MemoryDisk.MemoryDisk, path: string, most: number) =>
    run(memory.disk, Effect.map(Durable.readSmall(path, most), text))

  it("reads files up to a size, and nothing else", () => {
    const memory = fresh()
    memory.plantLink("f", "/d/l")
    memory.plantOther("/d/p")
    memory.plantFile("/d/empty", new Uint8Array(0))
    assert.deepStrictEqual(read(memory, "/d/f", 15), Either.right("the old content"))
    assert.deepStrictEqual(read(memory, "/d/empty", 0), Either.right(""))
    assert.strictEqual(codeOf(read(memory, "/d/f", 14)), "EFBIG")
    assert.strictEqual(codeOf(read(memory, "/d/l", 15)), "ELOOP")
    assert.strictEqual(codeOf(read(memory, "/d/p", 15)), "EINVAL")
    assert.strictEqual(codeOf(read(memory, "/d", 15)), "EINVAL")
    assert.strictEqual(codeOf(read(memory, "/d/no", 15)), "ENOENT")
  })

  it("reads on when the file grows meanwhile, up to the same size", () => {
    const growing = (limit: number) => {
      const memory = fresh()
      memory.onOperation = (_n, name) => {
        if (name !== "read") return
        memory.onOperation = undefined
        const descriptor = memory.disk.open("/d/f", { access: "write" })
        memory.disk.write(descriptor, bytes(" and so on, and on, and on"), 15)
        memory.disk.close(descriptor)
      }
      return read(memory, "/d/f", limit)
    }
    assert.deepStrictEqual(growing(41), Either.right("the old content and so on, and on, and on"))
    assert.strictEqual(codeOf(growing(40)), "EFBIG")
    assert.strictEqual(codeOf(growing(15)), "EFBIG")
  })
})

describe("temporary names", () => {
  it("are recognised, and nothing else is", () => {
    const name = temporaryName("a.rev", "0123456789az")
    assert.strictEqual(name, ".a.rev.0123456789az.tmp")
    assert.isTrue(isTemporary(name))
    for (const other of ["a.rev", ".a.rev.tmp", ".a.rev.0123456789AZ.tmp", "a.0123456789az.tmp", ".0123456789az.tmp"]) {
      assert.isFalse(isTemporary(other), other)
    }
  })

  it("fit into a directory entry", () => {
    const name = temporaryName("ü".repeat(127), "0123456789az")
    assert.isAtMost(Buffer.byteLength(name), 255)
    assert.isTrue(isTemporary(name))
  })
})

describe("Files", () => {
  it("fail with IoError, and know what is missing", () => {
    const memory = fresh()
    memory.plantLink("nowhere", "/d/l")
    assert.deepStrictEqual(run(memory.disk, Files.list("/d")), Either.right(["f", "l"]))
    assert.deepStrictEqual(run(memory.disk, Files.exists("/d/l")), Either.right(true))
    assert.deepStrictEqual(run(memory.disk, Files.exists("/d/no")), Either.right(false))
    assert.deepStrictEqual(run(memory.disk, Files.removeIfPresent("/d/l")), Either.right(true))
    assert.deepStrictEqual(run(memory.disk, Files.removeIfPresent("/d/l")), Either.right(false))
    const error = run(memory.disk, Files.remove("/d/l"))
    assert.strictEqual(
      Either.isLeft(error) ? error.left.message : "",
      "cannot remove /d/l: no such file or directory (ENOENT)"
    )
    assert.strictEqual(codeOf(run(memory.disk, Files.list("/d/f"))), "ENOTDIR")
    assert.strictEqual(codeOf(run(memory.disk, Files.exists("/d/f/x"))), "ENOTDIR")
    assert.strictEqual(codeOf(run(memory.disk, Files.remove("/d"))), "EISDIR")
    run(memory.disk, Files.rename("/d/f", "/d/g"))
    assert.deepStrictEqual(run(memory.disk, Files.list("/d")), Either.right(["g"]))
  })

  it("make directories that stay", () => {
    const memory = fresh()
    assert.deepStrictEqual(run(memory.disk, Files.ensureDirectory("/d/e", 0o700)), Either.right(true))
    assert.isTrue(memory.isDurable)
    assert.strictEqual(memory.disk.lstat("/d/e").mode, 0o700)
    assert.deepStrictEqual(run(memory.disk, Files.ensureDirectory("/d/e")), Either.right(false))
    assert.strictEqual(codeOf(run(memory.disk, Files.makeDirectory("/d/e"))), "EEXIST")
    assert.strictEqual(codeOf(run(memory.disk, Files.ensureDirectory("/d/f"))), "ENOTDIR")
    memory.plantLink("e", "/d/l")
    assert.strictEqual(codeOf(run(memory.disk, Files.ensureDirectory("/d/l"))), "ENOTDIR")
  })
})

everywhere((place) => {
  it.effect("Durable and Files work on real files", () =>
    Effect.gen(function*() {
      const root = place.directory()
      const before = process.umask(0o077)
      yield* Effect.addFinalizer(() => Effect.sync(() => process.umask(before)))
      yield* Files.makeDirectory(`${root}/d`, 0o775)
      yield* Durable.replace(`${root}/d/f`, bytes("one"), { mode: 0o444 })
      yield* Durable.replace(`${root}/d/f`, bytes("two"), { mode: 0o444 })
      assert.strictEqual(text(yield* Durable.readSmall(`${root}/d/f`, 10)), "two")
      assert.deepStrictEqual(yield* Files.list(`${root}/d`), ["f"])
      assert.strictEqual(FS.statSync(`${root}/d`).mode & 0o777, 0o775)
      assert.strictEqual(FS.statSync(`${root}/d/f`).mode & 0o777, 0o444)
      yield* Files.remove(`${root}/d/f`)
      assert.isFalse(yield* Files.exists(`${root}/d/f`))
      const error = yield* Effect.flip(Durable.replace(`${root}/no/f`, bytes("x")))
      assert.strictEqual(error.code, "ENOENT")
    }).pipe(Effect.scoped, Effect.provide(Layer.merge(NodeBlockFile.layer, NodeFileSystem.layer))))
})
