import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FS from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fromRandom } from "../../src/domain/RevisionId.ts"
import * as Logging from "../../src/logging.ts"
import * as BlockFile from "../../src/platform/BlockFile.ts"
import * as DiskFileSystem from "../../src/platform/diskFileSystem.ts"
import * as MemoryDisk from "../../src/platform/MemoryDisk.ts"
import * as NodeBlockFile from "../../src/platform/nodeBlockFile.ts"
import { nodeDisk } from "../../src/platform/nodeDisk.ts"
import * as DeltaMark from "../../src/source/deltaMark.ts"
import * as FileSource from "../../src/source/FileSource.ts"
import * as Registry from "../../src/source/registry.ts"
import { Source } from "../../src/source/Source.ts"
import { type Image, sourceContract } from "../support/contract/Source.contract.ts"
import { loopDevice, whyNot } from "../support/loopMount.ts"
import { outside } from "../support/outside.ts"
import { readableSnapshot } from "../support/readableSnapshot.ts"
import { setFile } from "../support/World.ts"

const revision = fromRandom(new Uint8Array(16))

const PATH = "/images/vm.img"

const inMemory = () => {
  const memory = MemoryDisk.make()
  memory.plantDirectory("/images")
  return memory
}

sourceContract("a file on the simulated disk", (bytes, test) =>
  Effect.suspend(() => {
    const memory = inMemory()
    setFile(memory.disk, PATH, bytes)
    const image: Image = {
      disk: memory.disk,
      write: (changed) => setFile(memory.disk, PATH, changed),
      resize: (size) => {
        const file = memory.disk.open(PATH, { access: "write" })
        memory.disk.truncate(file, size)
        memory.disk.close(file)
      },
      noticesWrites: true
    }
    return test(image).pipe(Effect.provide(FileSource.layer(PATH)), Effect.provide(BlockFile.layerDisk(memory.disk)))
  }))

sourceContract("a block device on the simulated disk", (bytes, test) =>
  Effect.suspend(() => {
    const memory = inMemory()
    memory.plantDevice(PATH, bytes.length)
    const write = (changed: Uint8Array) => {
      const device = memory.disk.open(PATH, { access: "write" })
      memory.disk.write(device, changed, 0)
      memory.disk.close(device)
    }
    if (bytes.length > 0) write(bytes)
    return test({ disk: memory.disk, write, resize: undefined, noticesWrites: false }).pipe(
      Effect.provide(FileSource.layer(PATH)),
      Effect.provide(BlockFile.layerDisk(memory.disk))
    )
  }))

const temporary = Effect.acquireRelease(
  Effect.sync(() => FS.mkdtempSync(join(tmpdir(), "backy-source-"))),
  (directory) => Effect.sync(() => FS.rmSync(directory, { recursive: true }))
)

/** Writes only what is not zero, so that the file is sparse where the file system can. */
const writeSparsely = (path: string, bytes: Uint8Array) => {
  const file = FS.openSync(path, "a")
  FS.closeSync(file)
  FS.truncateSync(path, bytes.length)
  const descriptor = FS.openSync(path, "r+")
  for (let at = 0; at < bytes.length; at += 4096) {
    const piece = bytes.subarray(at, at + 4096)
    if (piece.some((byte) => byte !== 0)) FS.writeSync(descriptor, piece, 0, piece.length, at)
  }
  FS.closeSync(descriptor)
}

for (const [kind, write] of [["whole", FS.writeFileSync], ["sparse", writeSparsely]] as const) {
  sourceContract(
    `a ${kind} file on the real disk`,
    (bytes, test) =>
      Effect.scoped(Effect.flatMap(temporary, (directory) => {
        const path = join(directory, "image")
        write(path, bytes)
        // nobody can tell two writes within one tick of the kernel's clock from one
        FS.utimesSync(path, 1, 1)
        const image: Image = {
          disk: nodeDisk,
          write: (changed) => write(path, changed),
          resize: (size) => FS.truncateSync(path, size),
          noticesWrites: true
        }
        return test(image).pipe(Effect.provide(FileSource.layer(path)), Effect.provide(NodeBlockFile.layer))
      }))
  )
}

const reason = whyNot("ext4")
describe.skipIf(reason !== undefined)(`on a loop device${reason === undefined ? "" : ` (skipped: ${reason})`}`, () => {
  sourceContract("a real block device", (bytes, test) =>
    Effect.acquireUseRelease(
      Effect.sync(() => {
        const device = loopDevice(Math.max(512, bytes.length))
        FS.writeFileSync(device.path, bytes, { flag: "r+" })
        return device
      }),
      ({ path }) =>
        test({
          disk: nodeDisk,
          write: (changed) => FS.writeFileSync(path, changed, { flag: "r+" }),
          resize: undefined,
          noticesWrites: false
        }).pipe(Effect.provide(FileSource.layer(path)), Effect.provide(NodeBlockFile.layer)),
      ({ detach }) => Effect.sync(detach)
    ))
})

describe("FileSource", () => {
  const onDisk = <A, E>(memory: MemoryDisk.MemoryDisk, effect: Effect.Effect<A, E, Source>, path = PATH) =>
    effect.pipe(Effect.provide(FileSource.layer(path)), Effect.provide(BlockFile.layerDisk(memory.disk)))
  const check = Effect.flatMap(Source, (source) => source.check)
  const snapshot = Effect.flatMap(Source, (source) => readableSnapshot(source, revision))

  /** While a snapshot of a small image is open. */
  const withSnapshot = <E>(
    test: (
      memory: MemoryDisk.MemoryDisk,
      content: Effect.Effect.Success<typeof snapshot>["content"]
    ) => Effect.Effect<void, E>
  ) =>
    Effect.suspend(() => {
      const memory = inMemory()
      memory.plantFile(PATH, new Uint8Array(10))
      return onDisk(memory, Effect.scoped(Effect.flatMap(snapshot, ({ content }) => test(memory, content))))
    })

  const header = (magic: string, at = 0, backing = "") => {
    const bytes = new Uint8Array(4096)
    bytes.set(Array.from(magic, (character) => character.charCodeAt(0)), at)
    if (backing === "") return bytes
    const view = new DataView(bytes.buffer)
    view.setBigUint64(8, 1024n)
    view.setUint32(16, backing.length)
    bytes.set(new TextEncoder().encode(backing), 1024)
    return bytes
  }
  const formats: ReadonlyArray<readonly [string, Uint8Array, string | undefined]> = [
    ["qcow2", header("QFI\u00fb"), "qcow2 image: it is stored as the file that it is, not as the disk in it"],
    [
      "qcow2 with a backing file",
      header("QFI\u00fb", 0, "/base\n.img"),
      "not as the disk in it, and its backing file \"/base\\n.img\" is not part of the backup"
    ],
    ["VMDK", header("KDMV"), "VMDK image"],
    ["VHDX", header("vhdxfile"), "VHDX image"],
    ["VDI", header("\u007f\u0010\u00da\u00be", 64), "VDI image"],
    ["raw", header("\u00eb\u0063\u0090"), undefined],
    ["short", header("QFI").subarray(0, 3), undefined],
    ["empty", new Uint8Array(0), undefined]
  ]
  for (const [name, bytes, said] of formats) {
    it.effect(`is told of once, by the check before init and before each backup, when the image is ${name}`, () =>
      Effect.gen(function*() {
        for (const [effect, times] of [[check, 1], [Effect.asVoid(Effect.scoped(snapshot)), 0]] as const) {
          const memory = inMemory()
          memory.plantFile(PATH, bytes)
          const lines: Array<string> = []
          const logging = Logging.layer({ file: undefined, verbose: false, stderr: (line) => lines.push(line) })
          yield* Effect.provide(onDisk(memory, effect), logging)
          assert.lengthOf(lines, said === undefined ? 0 : times)
          if (times > 0) assert.include(lines.join(), said ?? "")
        }
      }))
  }

  const refused: ReadonlyArray<readonly [string, string, (memory: MemoryDisk.MemoryDisk) => void]> = [
    ["is missing", "there is no such file", () => undefined],
    ["is a directory", "it is a directory", ({ plantDirectory }) => plantDirectory(PATH)],
    ["is a pipe", "not an image file or block device", ({ plantOther }) => plantOther(PATH)],
    ["is a link to nothing", "there is no such file", ({ plantLink }) => plantLink("nowhere", PATH)],
    ["may not be read", "EACCES", (memory) => {
      memory.plantFile(PATH, new Uint8Array(1))
      memory.onOperation = (_, name, path) => {
        if (name === "open") throw Object.assign(new Error("EACCES"), { code: "EACCES", syscall: "open", path })
      }
    }]
  ]
  for (const [name, why, plant] of refused) {
    it.effect(`is not ready when the image ${name}`, () =>
      Effect.gen(function*() {
        const memory = inMemory()
        plant(memory)
        for (const effect of [check, Effect.scoped(snapshot)]) {
          const error = yield* Effect.flip(onDisk(memory, effect))
          assert.strictEqual(error._tag, "SourceNotReady")
          assert.include(error.message, `cannot back up ${PATH}: `)
          assert.include(error.message, why)
        }
        assert.deepStrictEqual(memory.openDescriptors, [])
      }))
  }

  it.effect("refuses what a killed delta restore left, and takes it again when that has ended", () =>
    Effect.gen(function*() {
      const memory = inMemory()
      memory.plantFile(PATH, new Uint8Array(4096).fill(7))
      const mark = Effect.flatMap(
        BlockFile.BlockFile,
        (files) => files.withFile(PATH, { access: "write" }, (file) => DeltaMark.write(file, 4096, revision))
      )
      yield* Effect.provide(mark, BlockFile.layerDisk(memory.disk))
      for (const attempt of [check, Effect.scoped(snapshot)]) {
        const error = yield* Effect.flip(onDisk(memory, Effect.asVoid(attempt)))
        assert.strictEqual(
          error.message,
          `cannot back up ${PATH}: a delta restore of revision ${revision} to it has not ended, so it is a mixture; ` +
            "the same restore again completes it"
        )
      }
      setFile(memory.disk, PATH, new Uint8Array(4096).fill(7))
      yield* onDisk(memory, check)
      yield* onDisk(memory, Effect.scoped(snapshot))
    }))

  it.effect("follows links, and notices when one points elsewhere", () =>
    Effect.gen(function*() {
      const memory = inMemory()
      memory.plantFile("/images/one", new Uint8Array(10))
      memory.plantFile("/images/two", new Uint8Array(10))
      memory.plantLink("one", PATH)
      yield* onDisk(
        memory,
        Effect.scoped(Effect.gen(function*() {
          const { content, size } = yield* snapshot
          assert.strictEqual(size, 10)
          memory.disk.unlink(PATH)
          memory.plantLink("two", PATH)
          assert.include((yield* Effect.flip(content.unchanged)).message, "another file has taken its place")
        }))
      )
    }))

  it.effect("does not take a new mode for a write: of that the bytes tell", () =>
    withSnapshot(({ disk }, content) =>
      Effect.gen(function*() {
        const { ctimeNs } = disk.lstat(PATH)
        disk.chmod(PATH, 0o600)
        assert.notStrictEqual(disk.lstat(PATH).ctimeNs, ctimeNs)
        yield* content.unchanged
      })
    ))

  it.effect("goes on with the file that it opened, and notices that another has taken its place", () =>
    withSnapshot((memory, content) =>
      Effect.gen(function*() {
        memory.disk.rename(PATH, "/images/moved")
        memory.plantFile(PATH, new Uint8Array(10).fill(1))
        const { descriptor = -1 } = content.file ?? {}
        const bytes = new Uint8Array(10)
        assert.strictEqual(memory.disk.read(descriptor, bytes, 0), 10)
        assert.deepStrictEqual(bytes, new Uint8Array(10))
        assert.include((yield* Effect.flip(content.unchanged)).message, "another file has taken its place")
      })
    ))

  it.effect("takes another name of the same device for the same", () =>
    Effect.gen(function*() {
      const memory = inMemory()
      memory.plantDevice(PATH, 4096)
      memory.disk.link(PATH, "/images/alias")
      yield* onDisk(
        memory,
        Effect.scoped(Effect.gen(function*() {
          const { content } = yield* snapshot
          memory.disk.rename("/images/alias", PATH)
          yield* content.unchanged
        }))
      )
    }))

  it.effect("tells that the image vanished", () =>
    withSnapshot(({ disk }, content) =>
      Effect.gen(function*() {
        disk.unlink(PATH)
        assert.strictEqual((yield* Effect.flip(content.unchanged))._tag, "SourceNotReady")
      })
    ))
})

describe("the registry of sources", () => {
  const memory = inMemory()
  const source = (config: { readonly type: string; readonly filename?: string }) =>
    Effect.map(Source, ({ name }) => name).pipe(
      Effect.provide(Registry.layer(config)),
      Effect.provide(outside),
      Effect.provide(DiskFileSystem.layer(memory.disk)),
      Effect.provide(BlockFile.layerDisk(memory.disk))
    )

  it.effect("makes the source that a config describes, with an absolute name", () =>
    Effect.gen(function*() {
      const { config } = { config: { type: "file", filename: "images/vm.img" } }
      assert.strictEqual(yield* source(config), join(process.cwd(), "images/vm.img"))
    }))

  it.effect("says which types it has when asked for another", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(source({ type: "tape" }))
      assert.strictEqual(error._tag, "SourceUnsupported")
      assert.include(error.message, "\"tape\"")
      assert.include(error.message, "file")
    }))
})
