import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as FileSystem from "@effect/platform/FileSystem"
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as FS from "node:fs"
import * as DiskFileSystem from "../../src/platform/diskFileSystem.ts"
import { fromPlatform } from "../../src/platform/IoError.ts"
import * as MemoryDisk from "../../src/platform/MemoryDisk.ts"
import { nodeDisk } from "../../src/platform/nodeDisk.ts"
import { fileSystemContract } from "../support/contract/FileSystem.contract.ts"
import * as FaultyDisk from "../support/FaultyDisk.ts"
import { everywhere, inTemporaryDirectory } from "../support/places.ts"

const link = (target: string, path: string) => FS.symlinkSync(target, path)

everywhere((place) =>
  fileSystemContract("real", () => ({ layer: NodeFileSystem.layer, root: place.directory(), link }))
)

inTemporaryDirectory((place) =>
  fileSystemContract(
    "over the real disk",
    () => ({ layer: DiskFileSystem.layer(nodeDisk), root: place.directory(), link })
  )
)

const simulated = (faults: ReadonlyArray<FaultyDisk.Fault>) => () => {
  const memory = MemoryDisk.make()
  memory.plantDirectory("/root")
  memory.plantDirectory("/tmp")
  return {
    layer: DiskFileSystem.layer(FaultyDisk.make(memory.disk, faults).disk),
    root: "/root",
    link: memory.plantLink
  }
}

fileSystemContract("simulated", simulated([]))
fileSystemContract(
  "simulated, reading and writing a few bytes at a time",
  simulated([{ call: ["read", "write"], limit: 101 }])
)

it.effect("a file system over a disk says clearly what it cannot do", () =>
  Effect.gen(function*() {
    const system = yield* FileSystem.FileSystem
    const calls = [
      system.chown("/root", 1, 1),
      system.symlink("/root", "/x"),
      system.utimes("/root", 1, 1),
      Stream.runDrain(system.watch("/root"))
    ]
    for (const call of calls) {
      assert.strictEqual(fromPlatform(yield* Effect.flip(call)).code, "ENOSYS")
    }
  }).pipe(Effect.provide(simulated([])().layer)))

it.effect("the errno survives the way through a PlatformError", () =>
  Effect.gen(function*() {
    const system = yield* FileSystem.FileSystem
    const error = fromPlatform(yield* Effect.flip(system.writeFileString("/root/f", "x")))
    assert.strictEqual(error.message, "cannot write /root/f: no space left on device (ENOSPC)")
  }).pipe(Effect.provide(simulated([{ call: "write", code: "ENOSPC" }])().layer)))
