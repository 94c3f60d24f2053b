import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as FS from "node:fs"
import { BlockFile, layerDisk } from "../../src/platform/BlockFile.ts"
import * as MemoryDisk from "../../src/platform/MemoryDisk.ts"
import * as NodeBlockFile from "../../src/platform/nodeBlockFile.ts"
import { nodeDisk } from "../../src/platform/nodeDisk.ts"
import { blockFileContract } from "../support/contract/BlockFile.contract.ts"
import * as FaultyDisk from "../support/FaultyDisk.ts"
import { loopDevice, whyNot } from "../support/loopMount.ts"
import { everywhere, inTemporaryDirectory } from "../support/places.ts"

const link = (target: string, path: string) => FS.symlinkSync(target, path)

everywhere((place) => {
  blockFileContract("real", () => ({ layer: NodeBlockFile.layer, root: place.directory(), link }))
})

inTemporaryDirectory((place) => {
  blockFileContract("over the real disk", () => ({ layer: layerDisk(nodeDisk), root: place.directory(), link }))
})

const simulated = () => {
  const memory = MemoryDisk.make()
  memory.plantDirectory("/root")
  return memory
}

blockFileContract("simulated", () => {
  const memory = simulated()
  return { layer: layerDisk(memory.disk), root: "/root", link: memory.plantLink }
})

blockFileContract("simulated, reading and writing a few bytes at a time", () => {
  const memory = simulated()
  const { disk } = FaultyDisk.make(memory.disk, [{ call: ["read", "write"], limit: 100_003 }])
  return { layer: layerDisk(disk), root: "/root", link: memory.plantLink }
})

describe("BlockFile over a faulty disk", () => {
  const run = <A, E>(faults: ReadonlyArray<FaultyDisk.Fault>, body: Effect.Effect<A, E, BlockFile>) => {
    const memory = simulated()
    memory.plantFile("/root/f", new Uint8Array(10))
    const result = Effect.runSync(
      Effect.either(Effect.provide(body, layerDisk(FaultyDisk.make(memory.disk, faults).disk)))
    )
    return { memory, result }
  }
  const withFile = <A, E>(use: Effect.Effect<A, E>) =>
    Effect.flatMap(BlockFile, (files) => files.withFile("/root/f", { access: "read-write" }, () => use))

  it("an error at closing fails withFile, and nothing stays open", () => {
    const { memory, result } = run([{ call: "close", code: "EIO" }], withFile(Effect.succeed(1)))
    assert.strictEqual(Either.isLeft(result) ? result.left.message : "", "cannot close /root/f: i/o error (EIO)")
    assert.deepStrictEqual(memory.openDescriptors, [])
  })

  it("an error at closing does not hide the one before", () => {
    const { result } = run([{ call: "close", code: "EIO" }], withFile(Effect.fail("first")))
    assert.deepStrictEqual(result, Either.left("first"))
  })

  it("an error at closing a scoped file is not the scope's", () => {
    const { result } = run(
      [{ call: "close", code: "EIO" }],
      Effect.scoped(Effect.flatMap(BlockFile, (files) => files.open("/root/f", { access: "read" }))).pipe(
        Logger.withMinimumLogLevel(LogLevel.None)
      )
    )
    assert.isTrue(Either.isRight(result))
  })

  it("a write that takes nothing fails instead of going on for ever", () => {
    const { result } = run(
      [{ call: "write", limit: 0 }],
      Effect.flatMap(
        BlockFile,
        (files) => files.withFile("/root/f", { access: "write" }, (file) => file.writeAt(new Uint8Array(5), 0))
      )
    )
    assert.strictEqual(Either.isLeft(result) ? result.left.code : "", "EIO")
  })
})

inTemporaryDirectory((place) => {
  describe("the real BlockFile", () => {
    it.effect("waits for a call that has begun when it is interrupted", () =>
      Effect.gen(function*() {
        const path = `${place.directory()}/f`
        FS.writeFileSync(path, new Uint8Array(64_000_000).fill(1))
        const files = yield* BlockFile
        const started = yield* Deferred.make<void>()
        const buffer = new Uint8Array(64_000_000)
        const reading = files.withFile(
          path,
          { access: "read" },
          (file) => Effect.zipRight(Deferred.succeed(started, undefined), file.readAt(buffer, 0))
        )
        const fiber = yield* Effect.fork(reading)
        yield* Deferred.await(started)
        yield* Effect.yieldNow()
        yield* Fiber.interrupt(fiber)
        // It has been read to its end: nothing writes into the buffer any more.
        assert.strictEqual(buffer.at(-1), 1)
      }).pipe(Effect.provide(NodeBlockFile.layer)))
  })
})

describe.skipIf(whyNot("ext4") !== undefined)("a block device", () => {
  it.scoped("has a size, is read and written, punched where the kernel can, and not cut", () =>
    Effect.gen(function*() {
      const device = yield* Effect.acquireRelease(
        Effect.sync(() => loopDevice(3 * 1024 * 1024)),
        ({ detach }) => Effect.sync(detach)
      )
      for (const layer of [NodeBlockFile.layer, layerDisk(nodeDisk)]) {
        yield* Effect.gen(function*() {
          const files = yield* BlockFile
          assert.deepInclude(yield* files.lstat(device.path), { kind: "block-device", size: 3 * 1024 * 1024 })
          yield* files.withFile(device.path, { access: "read-write" }, (file) =>
            Effect.gen(function*() {
              assert.deepInclude(yield* file.stat, { kind: "block-device", size: 3 * 1024 * 1024 })
              assert.deepStrictEqual(yield* file.dataExtents(0, 5 * 1024 * 1024), [{
                offset: 0,
                length: 3 * 1024 * 1024
              }])
              yield* file.writeAt(new Uint8Array(100_000).fill(3), 1_000_000)
              const buffer = new Uint8Array(200_000)
              assert.strictEqual(yield* file.readAt(buffer, 3 * 1024 * 1024 - 1000), 1000)
              const punched = yield* file.punch(0, 1024 * 1024)
              yield* file.sync
              yield* file.readAt(buffer, 1_000_000)
              assert.isTrue(buffer.subarray(0, 1024 * 1024 - 1_000_000).every((byte) => byte === (punched ? 0 : 3)))
              assert.isTrue(buffer.subarray(1024 * 1024 - 1_000_000, 100_000).every((byte) => byte === 3))
              assert.isFalse(yield* file.punch(1, 100))
              const full = yield* Effect.flip(file.writeAt(new Uint8Array(10_000), 3 * 1024 * 1024 - 5000))
              assert.strictEqual(full.code, "ENOSPC")
              assert.strictEqual((yield* Effect.flip(file.truncate(0))).code, "EINVAL")
            }))
        }).pipe(Effect.provide(layer))
      }
    }))
})
