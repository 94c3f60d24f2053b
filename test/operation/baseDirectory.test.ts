import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { DaemonJob } from "../../src/config/DaemonConfig.ts"
import { mark, requireMarker, unmountedHint } from "../../src/operation/baseDirectory.ts"
import * as BlockFile from "../../src/platform/BlockFile.ts"
import * as DiskFileSystem from "../../src/platform/diskFileSystem.ts"
import * as MemoryDisk from "../../src/platform/MemoryDisk.ts"

const jobs: ReadonlyArray<DaemonJob> = [{ name: "web01", scheduleName: "x", source: { type: "file" }, schedule: {} }]
const base = { baseDir: "/srv/backy/", baseMarker: ".backy-base" }

const machine = () => {
  const memory = MemoryDisk.make()
  for (const directory of ["/srv", "/srv/backy"]) memory.disk.makeDirectory(directory, 0o750)
  memory.syncAll()
  const layer = Layer.merge(DiskFileSystem.layer(memory.disk), BlockFile.layerDisk(memory.disk))
  return {
    memory,
    run: <A, E>(effect: Effect.Effect<A, E, Layer.Layer.Success<typeof layer>>) => Effect.provide(effect, layer)
  }
}

describe("the marker of a base directory", () => {
  it.effect("is made once and durably, and is a file", () => {
    const { memory, run } = machine()
    return run(Effect.gen(function*() {
      assert.match(
        (yield* Effect.flip(requireMarker(base))).message,
        /^the base directory \/srv\/backy\/ has no file \.backy-base, which marks it: is its file system mounted\?/
      )
      assert.deepStrictEqual(yield* mark(base.baseDir, base.baseMarker), {
        path: "/srv/backy/.backy-base",
        isNew: true
      })
      assert.isTrue(memory.isDurable)
      yield* requireMarker(base)
      assert.isFalse((yield* mark(base.baseDir, base.baseMarker)).isNew)
      for (
        const plant of [
          () => memory.plantDirectory("/srv/backy/.other"),
          () => memory.plantLink("/etc", "/srv/backy/.third")
        ]
      ) plant()
      for (const baseMarker of [".other", ".third"]) {
        assert.strictEqual((yield* Effect.flip(requireMarker({ ...base, baseMarker })))._tag, "BaseUnmarked")
      }
    }))
  })

  it.effect("cannot be made where the base directory is missing, which stays missing", () => {
    const { memory, run } = machine()
    return run(Effect.gen(function*() {
      assert.strictEqual((yield* Effect.flip(mark("/mnt/none", ".backy-base")))._tag, "IoError")
      assert.strictEqual((yield* Effect.flip(requireMarker({ ...base, baseDir: "/mnt/none" })))._tag, "BaseUnmarked")
      assert.deepStrictEqual(memory.disk.list("/"), ["srv"])
    }))
  })

  it.effect("is not needed without the key, but an empty base directory is told of as long as there are jobs", () => {
    const { memory, run } = machine()
    const { baseMarker: _, ...unmarked } = { ...base, jobs }
    return run(Effect.gen(function*() {
      yield* requireMarker(unmarked)
      for (const name of [".lock", ".scheduler.yaml", "status"]) {
        memory.plantFile(`/srv/backy/${name}`, new Uint8Array(1))
      }
      memory.plantDirectory("/srv/backy/lost+found")
      assert.include(yield* unmountedHint(unmarked), "is empty and on the root file system: is its own one mounted?")
      assert.strictEqual(yield* unmountedHint({ ...unmarked, jobs: [] }), undefined)
      assert.strictEqual(yield* unmountedHint({ ...base, jobs }), undefined)
      assert.strictEqual(yield* unmountedHint({ ...unmarked, baseDir: "/srv/none" }), undefined)
      memory.plantDirectory("/srv/backy/web01")
      assert.strictEqual(yield* unmountedHint(unmarked), undefined)
    }))
  })
})
