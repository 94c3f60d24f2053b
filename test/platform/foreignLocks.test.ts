import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { spawn } from "node:child_process"
import * as FS from "node:fs"
import { setTimeout } from "node:timers/promises"
import { FileLock } from "../../src/platform/FileLock.ts"
import { foreignLock, holderIn } from "../../src/platform/foreignLocks.ts"
import { nodeDisk } from "../../src/platform/nodeDisk.ts"
import * as NodeFileLock from "../../src/platform/nodeFileLock.ts"
import { everywhere } from "../support/places.ts"

describe("the table of locks", () => {
  const locks = [
    "1: POSIX  ADVISORY  WRITE 12582 fe:00:2164077 0 EOF",
    "1: -> POSIX  ADVISORY  WRITE 77 fe:00:2164078 0 EOF",
    "2: OFDLCK ADVISORY  READ -1 fe:10:30 100 101",
    "3: FLOCK  ADVISORY  WRITE 99 00:2a:31 0 EOF",
    "4: DELEG  ACTIVE    READ 98 00:2a:32 0 EOF"
  ].join("\n")

  it("names who holds a lock by fcntl, by device and inode, and nobody who waits or has another kind", () => {
    assert.deepStrictEqual(
      ["254:0:2164077", "254:0:2164078", "254:16:30", "254:16:301", "0:42:31", "0:42:32"].map((file) =>
        holderIn(locks, file)
      ),
      [12582, undefined, -1, undefined, undefined, undefined]
    )
  })
})

everywhere((place) => {
  describe("a file that a VM has open", () => {
    it.live("is locked for us, until the VM ends", () =>
      Effect.gen(function*() {
        const path = `${place.directory()}/vm image`
        FS.writeFileSync(path, new Uint8Array(1024 * 1024))
        const descriptor = nodeDisk.open(path, { access: "write" })
        const { ino } = nodeDisk.stat(descriptor)
        assert.isUndefined(foreignLock(descriptor, ino))
        // the locks of qemu's block layer, as a whole VM takes them
        const qemu = spawn("qemu-io", ["-f", "raw", path], { stdio: ["pipe", "ignore", "ignore"] })
        const ended = new Promise((resolve) => qemu.once("close", resolve))
        const until = async (wanted: boolean) => {
          while ((foreignLock(descriptor, ino) === undefined) === wanted) await setTimeout(20)
        }
        yield* Effect.promise(() => until(true))
        const acquired = Effect.scoped(
          Effect.flatMap(FileLock, (locks) => locks.acquireOpen({ path, descriptor }))
        )
        const error = yield* Effect.flip(acquired)
        assert.strictEqual(error._tag, "FileInUse")
        assert.include(error.message, "another program, as a running VM does")
        qemu.stdin.end()
        yield* Effect.promise(() => ended)
        yield* Effect.promise(() => until(false))
        nodeDisk.close(descriptor)
      }).pipe(Effect.provide(NodeFileLock.layer)), 60_000)
  })
})
