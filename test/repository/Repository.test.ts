import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as ChunkMap from "../../src/domain/ChunkMap.ts"
import * as BlockFile from "../../src/platform/BlockFile.ts"
import * as DiskFileSystem from "../../src/platform/diskFileSystem.ts"
import * as MemoryDisk from "../../src/platform/MemoryDisk.ts"
import * as NodeBlockFile from "../../src/platform/nodeBlockFile.ts"
import { nodeDisk } from "../../src/platform/nodeDisk.ts"
import * as Repository from "../../src/repository/Repository.ts"
import { repositoryContract, revision } from "../support/contract/Repository.contract.ts"
import { write } from "../support/diskFiles.ts"

const DIRECTORY = "/srv/vm"

const inMemory = () => {
  const memory = MemoryDisk.make()
  memory.plantFile(`${DIRECTORY}/config`, new Uint8Array(0))
  const layer = Repository.layer(DIRECTORY).pipe(
    Layer.provide(BlockFile.layerDisk(memory.disk)),
    Layer.provide(DiskFileSystem.layer(memory.disk))
  )
  return { memory, layer }
}

repositoryContract("on the simulated disk", (test) =>
  Effect.suspend(() => {
    const { layer, memory } = inMemory()
    return Effect.provide(test({ disk: memory.disk, directory: DIRECTORY }), layer)
  }))

repositoryContract("on the real disk", (test) =>
  Effect.acquireUseRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "backy-repository-"))),
    (directory) =>
      Effect.suspend(() => {
        write(nodeDisk, join(directory, "config"), new Uint8Array(0))
        return Effect.provide(
          test({ disk: nodeDisk, directory }),
          Repository.layer(directory).pipe(Layer.provide(NodeBlockFile.layer), Layer.provide(NodeFileSystem.layer))
        )
      }),
    (directory) => Effect.sync(() => rmSync(directory, { recursive: true }))
  ))

describe("Repository", () => {
  const run = <A, E>(
    test: (repository: Repository.Repository["Type"], memory: MemoryDisk.MemoryDisk) => Effect.Effect<A, E>
  ) =>
    Effect.suspend(() => {
      const { layer, memory } = inMemory()
      return Effect.provide(Effect.flatMap(Repository.Repository, (repository) => test(repository, memory)), layer)
    })

  it.effect("has what it published on the medium", () =>
    run((repository, memory) =>
      Effect.gen(function*() {
        yield* repository.publishMap(revision(1).id, ChunkMap.empty(10))
        assert.isTrue(memory.isDurable)
        yield* repository.publish(revision(1))
        assert.isTrue(memory.isDurable)
        assert.deepStrictEqual(
          [...memory.crash(() => 0).disk.list(DIRECTORY)].sort(),
          [
            revision(1).id,
            `${revision(1).id}.rev`,
            "config"
          ].sort()
        )
      })
    ))

  it.effect("never shows half of a revision, whenever the power fails", () =>
    run((repository, memory) =>
      Effect.gen(function*() {
        const before = revision(1, { complete: false })
        yield* repository.publish(before)
        const states: Array<MemoryDisk.MemoryDisk> = []
        memory.onOperation = () => {
          for (const choice of [() => 0, () => 1]) states.push(memory.crash(choice))
        }
        yield* repository.publish(revision(1))
        memory.onOperation = undefined
        assert.isAbove(states.length, 8)
        for (const state of states) {
          const layer = Repository.layer(DIRECTORY).pipe(
            Layer.provide(BlockFile.layerDisk(state.disk)),
            Layer.provide(DiskFileSystem.layer(state.disk))
          )
          const { broken, complete, incomplete } = yield* Effect.provide(
            Effect.flatMap(Repository.Repository, (after) => after.history),
            layer
          )
          assert.deepStrictEqual(broken, [])
          assert.strictEqual(complete.length + incomplete.length, 1)
        }
      })
    ))

  it.effect("reports an I/O error of one .rev as that revision's problem", () =>
    run((repository, memory) =>
      Effect.gen(function*() {
        yield* repository.publish(revision(1))
        yield* repository.publish(revision(2))
        memory.onOperation = (_, name, path) => {
          if (name !== "read" || !path.includes(revision(1).id)) return
          throw Object.assign(new Error("EIO"), { code: "EIO", syscall: "read", path })
        }
        const { broken, complete } = yield* repository.history
        assert.deepStrictEqual(complete, [revision(2)])
        assert.include(broken[0]?.reason, "EIO")
      })
    ))

  it.effect("fails when the directory itself cannot be listed", () =>
    run((repository, memory) =>
      Effect.gen(function*() {
        memory.onOperation = (_, name, path) => {
          if (name === "list") throw Object.assign(new Error("EIO"), { code: "EIO", syscall: "scandir", path })
        }
        const error = yield* Effect.flip(repository.history)
        assert.strictEqual(error._tag, "IoError")
        assert.include(error.message, DIRECTORY)
      })
    ))
})
