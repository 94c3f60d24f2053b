import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as MemoryRbd from "../../src/platform/MemoryRbd.ts"
import { Rbd } from "../../src/platform/Rbd.ts"
import { rbdContract } from "../support/contract/Rbd.contract.ts"

rbdContract("twin", () => {
  const memory = MemoryRbd.make(4096)
  let images = 0
  const call = (run: () => void) => Promise.resolve().then(run)
  const path = (image: string) => `rbd/${image}`
  return {
    layer: Layer.succeed(Rbd, memory.rbd),
    pool: "rbd",
    fresh: () => `image-${++images}`,
    objectSize: 4096,
    create: (image, size) => call(() => memory.create(path(image), size)),
    write: (image, offset, bytes) => call(() => memory.write(path(image), offset, bytes)),
    resize: (image, size) => call(() => memory.resize(path(image), size)),
    setProtected: (image, snapshot, on) => call(() => memory.setProtected(path(image), snapshot, on))
  }
})

describe("a copy of the twin", () => {
  it("goes its own way, and the original its own", () => {
    const memory = MemoryRbd.make(512)
    memory.create("rbd/vm", 1024)
    memory.write("rbd/vm", 0, Uint8Array.of(1))
    memory.snapshot("rbd/vm", "a")
    memory.addName("rbd/vm", "rbd/same")
    const copy = memory.copy()
    copy.write("rbd/vm", 0, Uint8Array.of(2))
    memory.write("rbd/vm", 0, Uint8Array.of(3))
    copy.setProtected("rbd/vm", "a", true)
    memory.removeSnapshot("rbd/vm", "a")
    copy.snapshot("rbd/vm", "b")
    assert.strictEqual(copy.content("rbd/same")?.[0], 2)
    assert.strictEqual(copy.content("rbd/vm", "a")?.[0], 1)
    assert.deepStrictEqual(copy.snapshotNames("rbd/vm"), ["a", "b"])
    assert.strictEqual(memory.content("rbd/vm")?.[0], 3)
    assert.deepStrictEqual(memory.snapshotNames("rbd/vm"), [])
  })

  it.effect("has nothing open that programs of ours had open, and what a VM has open still is", () =>
    Effect.gen(function*() {
      const memory = MemoryRbd.make(512)
      memory.create("rbd/vm", 512)
      memory.setWatched("rbd/vm", true)
      let copy = memory
      const piece = Effect.sync(() => {
        copy = memory.copy()
        return new Uint8Array(512)
      })
      yield* memory.rbd.importImage({ pool: "rbd", image: "new" }, Stream.fromEffect(piece))
      assert.isTrue(copy.isWatched("rbd/vm"))
      assert.isFalse(copy.isWatched("rbd/new"))
      yield* copy.rbd.removeImage({ pool: "rbd", image: "new" })
      assert.isDefined(memory.content("rbd/new"))
    }))
})
