import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as ChunkId from "../../src/domain/ChunkId.ts"
import * as BlockFile from "../../src/platform/BlockFile.ts"
import * as DiskFileSystem from "../../src/platform/diskFileSystem.ts"
import * as MemoryDisk from "../../src/platform/MemoryDisk.ts"
import * as NodeBlockFile from "../../src/platform/nodeBlockFile.ts"
import { nodeDisk } from "../../src/platform/nodeDisk.ts"
import * as Blocks from "../../src/store/Blocks.ts"
import * as ChunkStore from "../../src/store/ChunkStore.ts"
import { chunkStoreContract } from "../support/contract/ChunkStore.contract.ts"

const overMemory = (memory: MemoryDisk.MemoryDisk) =>
  ChunkStore.layerFile("/vm").pipe(
    Layer.provide(Blocks.layerInline(memory.disk)),
    Layer.provide(BlockFile.layerDisk(memory.disk)),
    Layer.provide(DiskFileSystem.layer(memory.disk))
  )

const emptyDisk = () => {
  const memory = MemoryDisk.make()
  memory.disk.makeDirectory("/vm", 0o750)
  memory.syncAll()
  return memory
}

const overNode = <E>(blocks: Layer.Layer<Blocks.Blocks>, test: Effect.Effect<void, E, ChunkStore.ChunkStore>) =>
  Effect.acquireUseRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "backy-store-"))),
    (directory) =>
      Effect.provide(
        test,
        ChunkStore.layerFile(directory).pipe(
          Layer.provide(blocks),
          Layer.provide(NodeBlockFile.layer),
          Layer.provide(NodeFileSystem.layer)
        )
      ),
    (directory) => Effect.sync(() => rmSync(directory, { recursive: true }))
  )

chunkStoreContract("in memory", (test) => Effect.provide(test, ChunkStore.layerMemory))

chunkStoreContract(
  "files on the simulated disk",
  (test) => Effect.suspend(() => Effect.provide(test, overMemory(emptyDisk())))
)

chunkStoreContract("files on the real disk", (test) => overNode(Blocks.layerInline(nodeDisk), test))

chunkStoreContract("files on the real disk, by worker threads", (test) =>
  overNode(
    Blocks.layer({ workers: 2, level: 1, entry: new URL("../../src/store/blockWorker.ts", import.meta.url) }),
    test
  ))

describe("ChunkStore as files", () => {
  it.effect("has everything durable that was put, its folders and the ancestor's marker", () =>
    Effect.gen(function*() {
      const memory = emptyDisk()
      yield* Effect.gen(function*() {
        const store = yield* ChunkStore.ChunkStore
        yield* store.prepare
        assert.isTrue(memory.isDurable)
        assert.strictEqual(new TextDecoder().decode(memory.bytesAt("/vm/chunks/store")), "v2")
        const id = yield* store.put(new Uint8Array(100).fill(1))
        assert.isTrue(memory.isDurable)
        assert.deepStrictEqual(memory.openDescriptors, [])
        const lost = memory.crash(() => 0)
        assert.strictEqual(lost.disk.lstat(`/vm/${ChunkId.relativePath(id)}`).mode, 0o440)
      }).pipe(Effect.provide(overMemory(memory)))
    }))

  it.effect("tells chunks, leftovers of killed writers and strange files apart", () =>
    Effect.gen(function*() {
      const memory = emptyDisk()
      const hex = `ab${"0".repeat(62)}`
      const plant = (name: string) => memory.plantFile(`/vm/chunks/ab/${name}`, new Uint8Array(1))
      const leftover = `.${hex}.chunk.zst.0123456789ab.tmp`
      const strange = [`${hex}.chunk.lzo`, `cd${hex.slice(2)}.chunk.zst`, `${hex.toUpperCase()}.chunk.zst`, "tmpabc"]
      for (const name of [`${hex}.chunk.zst`, leftover, ...strange]) plant(name)
      memory.plantDirectory("/vm/chunks/zz")
      yield* Effect.gen(function*() {
        const store = yield* ChunkStore.ChunkStore
        assert.deepStrictEqual(yield* store.folders, ["ab"])
        const folder = yield* store.list("ab")
        assert.deepStrictEqual<ReadonlyArray<string>>(folder.chunks, [hex])
        assert.deepStrictEqual(folder.leftovers, [leftover])
        assert.deepStrictEqual([...folder.unknown].sort(), [...strange].sort())
      }).pipe(Effect.provide(overMemory(memory)))
    }))

  it.effect("reports a chunk that cannot be read as unreadable", () =>
    Effect.gen(function*() {
      const memory = emptyDisk()
      yield* Effect.gen(function*() {
        const store = yield* ChunkStore.ChunkStore
        yield* store.prepare
        const id = yield* store.put(new Uint8Array(100).fill(1))
        memory.onOperation = (_, name, path) => {
          if (name === "read") throw Object.assign(new Error("EIO"), { code: "EIO", syscall: "read", path })
        }
        assert.strictEqual((yield* Effect.flip(store.get(id, 100))).state, "unreadable")
      }).pipe(Effect.provide(overMemory(memory)))
    }))
})
