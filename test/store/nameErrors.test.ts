import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as MemoryDisk from "../../src/platform/MemoryDisk.ts"
import { nodeDisk } from "../../src/platform/nodeDisk.ts"
import * as Blocks from "../../src/store/Blocks.ts"
import { nameErrors } from "../../src/store/nameErrors.ts"

const CHUNK = 4096

const open = (path: string, access: "read" | "write") =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => nodeDisk.open(path, { access })),
      (descriptor) => Effect.sync(() => nodeDisk.close(descriptor))
    ),
    (descriptor) => ({ path, descriptor })
  )

describe("errors of the block loops", () => {
  it.effect("name the file and say in words what was done, though the kernel was given a descriptor", () =>
    Effect.acquireUseRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), "backy-errors-"))),
      (directory) =>
        Effect.gen(function*() {
          writeFileSync(join(directory, "image"), new Uint8Array(CHUNK).fill(1))
          const blocks = yield* Blocks.Blocks
          const request = { repository: directory, size: CHUNK, chunkSize: CHUNK, indexes: [0] }
          const ids = new Uint8Array(32)
          // zeros written to a device that is always full
          const target = yield* open("/dev/full", "write")
          const full = yield* Effect.flip(blocks.restore({ ...request, ids, target, zeros: "write" }))
          assert.strictEqual(full.message, "cannot write /dev/full: no space left on device (ENOSPC)")
          const store = { ...request, source: yield* open(join(directory, "image"), "read"), run: "run", base: ids }
          const missing = yield* Effect.flip(blocks.store(store))
          assert.strictEqual(
            missing.message.replace(/[0-9a-f]{2}:/, "xx:"),
            `cannot create directory ${directory}/chunks/xx: no such file or directory (ENOENT)`
          )
          const folder = yield* open(directory, "read")
          const source = yield* Effect.flip(blocks.store({ ...store, source: folder }))
          assert.strictEqual(source.message, `cannot read ${directory}: is a directory (EISDIR)`)
        }).pipe(Effect.scoped, Effect.provide(Blocks.layerInline(nodeDisk))),
      (directory) => Effect.sync(() => rmSync(directory, { recursive: true }))
    ))

  it("forget a descriptor that was closed", () => {
    const memory = MemoryDisk.make()
    memory.plantFile("/file", new Uint8Array(1))
    const disk = nameErrors(memory.disk)
    const descriptor = disk.open("/file", { access: "read" })
    disk.close(descriptor)
    try {
      disk.close(descriptor)
      assert.fail("it was open")
    } catch (cause) {
      assert.propertyVal(cause, "code", "EBADF")
      assert.notProperty(cause, "path")
    }
  })
})
