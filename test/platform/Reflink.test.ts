import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { errnoError } from "../../src/platform/errno.ts"
import * as MemoryDisk from "../../src/platform/MemoryDisk.ts"
import { nodeDisk } from "../../src/platform/nodeDisk.ts"
import * as NodeReflink from "../../src/platform/nodeReflink.ts"
import * as Reflink from "../../src/platform/Reflink.ts"
import { reflinkContract } from "../support/contract/Reflink.contract.ts"
import { loopMount, whyNot } from "../support/loopMount.ts"

const simulated = () => {
  const memory = MemoryDisk.make()
  memory.disk.makeDirectory("/work", 0o750)
  return memory
}

reflinkContract("the simulated disk", (use) =>
  Effect.suspend(() => {
    const { disk } = simulated()
    return use({ disk, directory: "/work", layer: Reflink.layerDisk(disk), shares: true })
  }))

for (const [kind, shares] of [["btrfs", true], ["xfs", true], ["ext4", false]] as const) {
  describe.skipIf(whyNot(kind) !== undefined)(`on ${kind}`, () => {
    reflinkContract(kind, (use) =>
      Effect.acquireUseRelease(
        Effect.sync(() => loopMount(kind)),
        ({ path }) => use({ disk: nodeDisk, directory: path, layer: NodeReflink.layer, shares }),
        (mount) => Effect.sync(mount.unmount)
      ))
  })
}

describe("a copy on the simulated disk", () => {
  it.effect("that fails leaves nothing, and nothing open", () =>
    Effect.gen(function*() {
      for (const call of ["open", "read", "write", "stat"] as const) {
        const memory = simulated()
        memory.plantFile("/work/from", new Uint8Array(1000).fill(1))
        memory.onOperation = (_, name, path) => {
          if (name === call) throw errnoError("EIO", name, path)
        }
        const layer = Reflink.layerDisk(memory.disk)
        const clone = Effect.flatMap(Reflink.Reflink, (reflink) => reflink.clone("/work/from", "/work/to"))
        assert.strictEqual((yield* Effect.flip(Effect.provide(clone, layer))).code, "EIO", call)
        memory.onOperation = undefined
        assert.deepStrictEqual([memory.disk.list("/work"), memory.openDescriptors], [["from"], []], call)
      }
    }))
})
