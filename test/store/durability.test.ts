/** What storing promises of the medium, where nothing that comes later would notice. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { Disk } from "../../src/platform/Disk.ts"
import { portable, toHex } from "../../src/platform/hash.ts"
import { loseAll } from "../../src/platform/MemoryCrash.ts"
import * as MemoryDisk from "../../src/platform/MemoryDisk.ts"
import * as Blocks from "../../src/store/Blocks.ts"
import * as ChunkFile from "../../src/store/chunkFile.ts"
import * as FaultyDisk from "../support/FaultyDisk.ts"
import { setFile } from "../support/World.ts"

const CHUNK = 512
const content = new Uint8Array(CHUNK).fill(7)
const path = ChunkFile.pathOf("/work", toHex(portable(content)))

const begin = () => {
  const memory = MemoryDisk.make()
  for (const directory of ["/work", "/work/chunks", path.slice(0, path.lastIndexOf("/"))]) {
    memory.disk.makeDirectory(directory, 0o750)
  }
  setFile(memory.disk, "/image", content)
  memory.syncAll()
  return memory
}

/** The source, open for as long as the disk is there. */
const sourceOn = (disk: Disk) => ({ path: "/image", descriptor: disk.open("/image", { access: "read" }) })

const store = (disk: Disk) =>
  Effect.flatMap(Blocks.Blocks, (blocks) =>
    blocks.store({
      repository: "/work",
      source: sourceOn(disk),
      run: "run",
      size: CHUNK,
      chunkSize: CHUNK,
      indexes: [0],
      base: new Uint8Array(32)
    }))

describe("storing blocks", () => {
  it.effect("fails when a chunk cannot be synced, though it could still be read", () => {
    const { disk } = FaultyDisk.make(begin().disk, [{ call: "datasync", code: "EIO" }])
    return Effect.gen(function*() {
      const outcome = yield* Effect.either(store(disk))
      const message = outcome._tag === "Left" ? outcome.left.message : "it succeeded"
      assert.match(message, /^cannot (data)?sync \/work\/chunks\/.*: .*\(EIO\)$/)
      assert.deepStrictEqual(disk.list(path.slice(0, path.lastIndexOf("/"))), [])
    }).pipe(Effect.provide(Blocks.layerInline(disk, { hash: portable })))
  })

  it.effect("fails when a chunk cannot be closed: some file systems write only then", () => {
    const { disk } = FaultyDisk.make(begin().disk, [{ call: "close", path: /\.tmp$/, code: "EIO" }])
    return Effect.gen(function*() {
      const outcome = yield* Effect.either(store(disk))
      assert.match(outcome._tag === "Left" ? outcome.left.message : "it succeeded", /close .*: .*\(EIO\)$/)
      assert.deepStrictEqual(disk.list(path.slice(0, path.lastIndexOf("/"))), [])
    }).pipe(Effect.provide(Blocks.layerInline(disk, { hash: portable })))
  })

  it.effect("syncs a chunk that it finds: who put it there, cp or rsync, may not have done so", () => {
    const memory = begin()
    const { disk } = memory
    return Effect.gen(function*() {
      yield* store(disk)
      const frame = memory.bytesAt(path)
      setFile(disk, path, new Uint8Array(3))
      memory.syncAll()
      setFile(disk, path, frame)
      assert.notDeepEqual(memory.crash(loseAll).bytesAt(path), frame)
      const { found, written } = yield* store(disk).pipe(Effect.provide(Blocks.layerInline(disk, { hash: portable })))
      assert.deepStrictEqual([found, written], [1, 0])
      assert.deepStrictEqual(memory.crash(loseAll).bytesAt(path), frame)
    }).pipe(Effect.provide(Blocks.layerInline(disk, { hash: portable })))
  })

  it.effect("fails when a block of an image that is written anew cannot be synced", () => {
    const memory = begin()
    memory.plantFile("/work/vm", new Uint8Array(CHUNK).fill(8))
    const { disk } = FaultyDisk.make(memory.disk, [{ call: "datasync", code: "EIO" }])
    return Effect.gen(function*() {
      const blocks = yield* Blocks.Blocks
      const outcome = yield* Effect.either(blocks.compare({
        repository: "/work",
        source: sourceOn(disk),
        image: "/work/vm",
        size: CHUNK,
        chunkSize: CHUNK,
        indexes: [0],
        ids: portable(content),
        evidence: 0
      }))
      assert.match(outcome._tag === "Left" ? outcome.left.message : "it succeeded", /sync \/work\/vm: .*\(EIO\)$/)
    }).pipe(Effect.provide(Blocks.layerInline(disk, { hash: portable })))
  })
})
