import * as Effect from "effect/Effect"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { portable } from "../../src/platform/hash.ts"
import * as MemoryDisk from "../../src/platform/MemoryDisk.ts"
import { nodeDisk } from "../../src/platform/nodeDisk.ts"
import * as Blocks from "../../src/store/Blocks.ts"
import { blocksContract } from "../support/contract/Blocks.contract.ts"

const temporaryDirectory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "backy-blocks-"))),
  (directory) => Effect.sync(() => rmSync(directory, { recursive: true }))
)

blocksContract("inline over the simulated disk", (test) =>
  Effect.suspend(() => {
    const { disk } = MemoryDisk.make()
    disk.makeDirectory("/work", 0o750)
    return test({ disk, directory: "/work", layer: Blocks.layerInline(disk, { hash: portable }) })
  }))

blocksContract("inline over the simulated disk, in pieces", (test) =>
  Effect.suspend(() => {
    const { disk } = MemoryDisk.make()
    disk.makeDirectory("/work", 0o750)
    return test({ disk, directory: "/work", layer: Blocks.layerInline(disk, { piece: 1000 }) })
  }))

blocksContract("inline over the real disk", (test) =>
  Effect.scoped(Effect.flatMap(
    temporaryDirectory,
    (directory) => test({ disk: nodeDisk, directory, layer: Blocks.layerInline(nodeDisk) })
  )))

blocksContract("worker threads", (test) =>
  Effect.scoped(Effect.flatMap(
    temporaryDirectory,
    (directory) =>
      test({
        disk: nodeDisk,
        directory,
        layer: Blocks.layer({
          workers: 2,
          level: 1,
          entry: new URL("../../src/store/blockWorker.ts", import.meta.url)
        })
      })
  )))
