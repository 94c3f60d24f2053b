/**
 * What every `Disk` promises: the real one on each file system, and the simulated one.
 */
import { assert, beforeEach, describe, it } from "@effect/vitest"
import { type Disk, isSame } from "../../../src/platform/Disk.ts"
import { codeOf } from "../../../src/platform/errno.ts"

/** A disk, an empty directory on it, and how to plant what `Disk` itself cannot make. */
export interface DiskFixture {
  readonly disk: Disk
  readonly root: string
  readonly link: (target: string, path: string) => void
  readonly pipe: (path: string) => void
  /** Makes the disk read-only, or writable again. */
  readonly readOnly?: ((on: boolean) => void) | undefined
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

/** The errno of what a call throws; fails when it does not. */
export const codeThrown = (call: () => unknown): string => {
  try {
    call()
  } catch (cause) {
    return codeOf(cause)
  }
  return "nothing was thrown"
}

/** Checks one kind of disk; `make` gives a new empty directory each time. */
export const diskContract = (name: string, make: () => DiskFixture): void => {
  describe(`as a disk: ${name}`, () => {
    let fixture: DiskFixture
    let disk: Disk
    const at = (path: string) => `${fixture.root}/${path}`
    beforeEach(() => {
      fixture = make()
      disk = fixture.disk
    })

    const put = (path: string, text: string): void => {
      const descriptor = disk.open(at(path), { access: "write", create: "if-missing", truncate: true })
      assert.strictEqual(disk.write(descriptor, bytes(text), 0), text.length)
      disk.close(descriptor)
    }
    const get = (path: string): string => {
      const descriptor = disk.open(at(path), { access: "read" })
      const buffer = new Uint8Array(1000)
      const count = disk.read(descriptor, buffer, 0)
      disk.close(descriptor)
      return new TextDecoder().decode(buffer.subarray(0, count))
    }

    it("reads back what was written, at any position", () => {
      const descriptor = disk.open(at("f"), { access: "read-write", create: "exclusive" })
      assert.strictEqual(disk.write(descriptor, bytes("hello"), 3), 5)
      assert.strictEqual(disk.write(descriptor, bytes("J"), 3), 1)
      const buffer = new Uint8Array(20).fill(1)
      assert.strictEqual(disk.read(descriptor, buffer, 0), 8)
      assert.deepStrictEqual(buffer.subarray(0, 9), Uint8Array.of(0, 0, 0, 74, 101, 108, 108, 111, 1))
      assert.strictEqual(disk.read(descriptor, buffer, 8), 0)
      assert.strictEqual(disk.read(descriptor, buffer, 100_000), 0)
      assert.strictEqual(disk.write(descriptor, new Uint8Array(0), 50), 0)
      assert.strictEqual(disk.stat(descriptor).size, 8)
      disk.close(descriptor)
    })

    it("does not keep the caller's buffer", () => {
      const descriptor = disk.open(at("f"), { access: "read-write", create: "exclusive" })
      const block = new Uint8Array(8192).fill(7)
      disk.write(descriptor, block, 0)
      block.fill(9)
      const buffer = new Uint8Array(8192)
      disk.read(descriptor, buffer, 0)
      assert.deepStrictEqual(buffer, new Uint8Array(8192).fill(7))
      disk.close(descriptor)
    })

    it("refuses a negative position", () => {
      const descriptor = disk.open(at("f"), { access: "read-write", create: "exclusive" })
      assert.strictEqual(codeThrown(() => disk.read(descriptor, new Uint8Array(1), -1)), "EINVAL")
      assert.strictEqual(codeThrown(() => disk.write(descriptor, new Uint8Array(1), -1)), "EINVAL")
      disk.close(descriptor)
    })

    it("reads no further than opened for, and writes no more", () => {
      put("f", "abc")
      const reader = disk.open(at("f"), { access: "read" })
      assert.strictEqual(codeThrown(() => disk.write(reader, bytes("x"), 0)), "EBADF")
      assert.strictEqual(codeThrown(() => disk.truncate(reader, 0)), "EINVAL")
      disk.close(reader)
      const writer = disk.open(at("f"), { access: "write" })
      assert.strictEqual(codeThrown(() => disk.read(writer, new Uint8Array(1), 0)), "EBADF")
      disk.close(writer)
      assert.strictEqual(get("f"), "abc")
    })

    it("knows a closed descriptor no more", () => {
      const descriptor = disk.open(at("f"), { access: "read-write", create: "exclusive" })
      disk.close(descriptor)
      assert.strictEqual(codeThrown(() => disk.close(descriptor)), "EBADF")
      assert.strictEqual(codeThrown(() => disk.read(descriptor, new Uint8Array(1), 0)), "EBADF")
      assert.strictEqual(codeThrown(() => disk.sync(descriptor)), "EBADF")
    })

    it("creates as told", () => {
      assert.strictEqual(codeThrown(() => disk.open(at("f"), { access: "read" })), "ENOENT")
      put("f", "abc")
      assert.strictEqual(codeThrown(() => disk.open(at("f"), { access: "write", create: "exclusive" })), "EEXIST")
      disk.close(disk.open(at("f"), { access: "write", create: "if-missing" }))
      assert.strictEqual(get("f"), "abc")
      disk.close(disk.open(at("f"), { access: "write", truncate: true }))
      assert.strictEqual(get("f"), "")
      assert.strictEqual(codeThrown(() => disk.open(at("f"), { access: "read", truncate: true })), "EINVAL")
    })

    it("gives new files and directories exactly their mode, whatever the umask", () => {
      const before = process.umask(0o077)
      try {
        for (const mode of [0o440, 0o664, 0o600]) {
          const descriptor = disk.open(at(`f${mode}`), { access: "write", create: "exclusive", mode })
          assert.strictEqual(disk.stat(descriptor).mode, mode)
          // Even a file that nobody may write can be written by who made it.
          assert.strictEqual(disk.write(descriptor, bytes("x"), 0), 1)
          disk.close(descriptor)
        }
        disk.close(disk.open(at("default"), { access: "write", create: "if-missing" }))
        disk.makeDirectory(at("d"), 0o775)
      } finally {
        process.umask(before)
      }
      assert.strictEqual(disk.lstat(at("default")).mode, 0o640)
      assert.strictEqual(disk.lstat(at("d")).mode, 0o775)
      // An existing file keeps its own.
      disk.close(disk.open(at("default"), { access: "write", create: "if-missing", mode: 0o600 }))
      assert.strictEqual(disk.lstat(at("default")).mode, 0o640)
      disk.chmod(at("default"), 0o400)
      assert.strictEqual(disk.lstat(at("default")).mode, 0o400)
    })

    it("cuts, and extends with zeros; nothing old comes back", () => {
      const descriptor = disk.open(at("f"), { access: "read-write", create: "exclusive" })
      disk.write(descriptor, new Uint8Array(10_000).fill(5), 0)
      disk.truncate(descriptor, 3)
      disk.truncate(descriptor, 20_000)
      const buffer = new Uint8Array(30_000)
      assert.strictEqual(disk.read(descriptor, buffer, 0), 20_000)
      assert.deepStrictEqual(buffer.subarray(0, 5), Uint8Array.of(5, 5, 5, 0, 0))
      assert.isTrue(buffer.subarray(3).every((byte) => byte === 0))
      disk.close(descriptor)
    })

    it("says where data may lie; the rest reads as zeros", () => {
      const descriptor = disk.open(at("f"), { access: "read-write", create: "exclusive" })
      const size = 8 * 1024 * 1024
      disk.truncate(descriptor, size)
      assert.strictEqual(disk.nextData(descriptor, size), undefined)
      disk.write(descriptor, new Uint8Array(4096).fill(1), 1024 * 1024)
      disk.write(descriptor, new Uint8Array(10).fill(2), 5 * 1024 * 1024 + 5)
      disk.sync(descriptor)
      const buffer = new Uint8Array(size)
      disk.read(descriptor, buffer, 0)
      let position = 0
      for (let data = disk.nextData(descriptor, 0); data !== undefined; data = disk.nextData(descriptor, position)) {
        assert.isAtLeast(data.offset, position)
        assert.isAbove(data.length, 0)
        assert.isTrue(buffer.subarray(position, data.offset).every((byte) => byte === 0))
        position = data.offset + data.length
        assert.isAtMost(position, size)
      }
      assert.isTrue(buffer.subarray(position).every((byte) => byte === 0))
      disk.close(descriptor)
    })

    it("punches a hole that reads as zeros, or changes nothing", () => {
      const descriptor = disk.open(at("f"), { access: "read-write", create: "exclusive" })
      disk.write(descriptor, new Uint8Array(20_000).fill(5), 0)
      disk.sync(descriptor)
      const punched = disk.punch(descriptor, 3000, 10_000)
      const buffer = new Uint8Array(30_000)
      assert.strictEqual(disk.read(descriptor, buffer, 0), 20_000)
      assert.isTrue(buffer.subarray(0, 3000).every((byte) => byte === 5))
      assert.isTrue(buffer.subarray(3000, 13_000).every((byte) => byte === (punched ? 0 : 5)))
      assert.isTrue(buffer.subarray(13_000, 20_000).every((byte) => byte === 5))
      assert.isTrue(disk.punch(descriptor, 0, 0))
      if (punched) {
        assert.isTrue(disk.punch(descriptor, 19_000, 50_000))
        assert.strictEqual(disk.stat(descriptor).size, 20_000)
      }
      disk.dropCache(descriptor, 0, 0)
      disk.close(descriptor)
    })

    it("refuses a link in the last place unless told to follow it, and follows those before", () => {
      disk.makeDirectory(at("d"), 0o755)
      put("d/f", "abc")
      fixture.link("d/f", at("to-file"))
      fixture.link("d", at("to-directory"))
      fixture.link("nowhere", at("dangling"))
      fixture.link("loop", at("loop"))
      assert.strictEqual(codeThrown(() => disk.open(at("to-file"), { access: "read" })), "ELOOP")
      assert.strictEqual(codeThrown(() => disk.open(at("to-file"), { access: "write", create: "if-missing" })), "ELOOP")
      assert.strictEqual(codeThrown(() => disk.open(at("to-file"), { access: "write", create: "exclusive" })), "EEXIST")
      assert.strictEqual(
        codeThrown(() => disk.open(at("dangling"), { access: "write", create: "if-missing" })),
        "ELOOP"
      )
      assert.strictEqual(codeThrown(() => disk.open(at("dangling"), { access: "read", follow: true })), "ENOENT")
      assert.strictEqual(codeThrown(() => disk.open(at("loop"), { access: "read", follow: true })), "ELOOP")
      disk.close(disk.open(at("to-file"), { access: "read", follow: true }))
      assert.strictEqual(get("to-directory/f"), "abc")
      assert.strictEqual(get("to-directory/../d/f"), "abc")
      assert.strictEqual(disk.lstat(at("to-file")).kind, "symlink")
      assert.strictEqual(disk.readLink(at("to-file")), "d/f")
      assert.strictEqual(codeThrown(() => disk.readLink(at("d/f"))), "EINVAL")
      assert.strictEqual(codeThrown(() => disk.chmod(at("to-file"), 0o600)), "ELOOP")
      assert.deepStrictEqual(disk.list(at("to-directory")), ["f"])
      disk.unlink(at("to-file"))
      assert.strictEqual(get("d/f"), "abc")
    })

    it("does not wait for whoever should write into a pipe", () => {
      fixture.pipe(at("p"))
      assert.strictEqual(disk.lstat(at("p")).kind, "pipe")
      const descriptor = disk.open(at("p"), { access: "read" })
      assert.strictEqual(disk.stat(descriptor).kind, "pipe")
      assert.strictEqual(codeThrown(() => disk.read(descriptor, new Uint8Array(1), 0)), "ESPIPE")
      disk.close(descriptor)
      assert.strictEqual(codeThrown(() => disk.open(at("p"), { access: "write" })), "ENXIO")
    })

    it("renames over files and empty directories of the same kind only", () => {
      put("a", "a")
      put("b", "b")
      disk.makeDirectory(at("d"), 0o755)
      disk.makeDirectory(at("e"), 0o755)
      put("e/f", "f")
      disk.rename(at("a"), at("b"))
      assert.strictEqual(get("b"), "a")
      assert.strictEqual(codeThrown(() => disk.lstat(at("a"))), "ENOENT")
      disk.rename(at("b"), at("b"))
      assert.strictEqual(codeThrown(() => disk.rename(at("a"), at("c"))), "ENOENT")
      assert.strictEqual(codeThrown(() => disk.rename(at("b"), at("d"))), "EISDIR")
      assert.strictEqual(codeThrown(() => disk.rename(at("d"), at("b"))), "ENOTDIR")
      // XFS says it the other way that POSIX allows.
      assert.include(["ENOTEMPTY", "EEXIST"], codeThrown(() => disk.rename(at("d"), at("e"))))
      assert.strictEqual(codeThrown(() => disk.rename(at("e"), at("e/f2"))), "EINVAL")
      assert.strictEqual(codeThrown(() => disk.rename(at("e/f"), at("e"))), "ENOTEMPTY")
      assert.strictEqual(codeThrown(() => disk.rename(at("b"), at("no/b"))), "ENOENT")
      assert.strictEqual(codeThrown(() => disk.rename(at("b"), at("e/f/b"))), "ENOTDIR")
      disk.rename(at("e"), at("d"))
      assert.deepStrictEqual(Array.from(disk.list(fixture.root)).sort(), ["b", "d"])
      assert.strictEqual(get("d/f"), "f")
    })

    it("gives a file a second name, and takes none that is there", () => {
      put("a", "abc")
      put("b", "b")
      disk.makeDirectory(at("d"), 0o755)
      fixture.link("a", at("to-a"))
      disk.link(at("a"), at("d/second"))
      assert.isTrue(isSame(disk.lstat(at("a")), disk.lstat(at("d/second"))))
      assert.isFalse(isSame(disk.lstat(at("a")), disk.lstat(at("b"))))
      assert.strictEqual(disk.lstat(at("a")).nlink, 2)
      assert.strictEqual(codeThrown(() => disk.link(at("a"), at("b"))), "EEXIST")
      assert.strictEqual(codeThrown(() => disk.link(at("a"), at("to-a"))), "EEXIST")
      assert.strictEqual(codeThrown(() => disk.link(at("a"), at("d"))), "EEXIST")
      assert.strictEqual(codeThrown(() => disk.link(at("no"), at("c"))), "ENOENT")
      assert.strictEqual(codeThrown(() => disk.link(at("a"), at("no/c"))), "ENOENT")
      assert.strictEqual(codeThrown(() => disk.link(at("d"), at("e"))), "EPERM")
      disk.unlink(at("a"))
      assert.strictEqual(get("d/second"), "abc")
      assert.strictEqual(disk.lstat(at("d/second")).nlink, 1)
    })

    it("does not mind a claim on what is no block device", () => {
      put("f", "abc")
      const one = disk.open(at("f"), { access: "read-write", exclusive: true })
      disk.close(disk.open(at("f"), { access: "read", exclusive: true }))
      assert.strictEqual(disk.stat(one).size, 3)
      disk.close(one)
    })

    it("keeps a file that was removed or replaced for those who have it open", () => {
      put("f", "old")
      put("g", "new")
      const descriptor = disk.open(at("f"), { access: "read-write" })
      disk.rename(at("g"), at("f"))
      disk.write(descriptor, bytes("O"), 0)
      const buffer = new Uint8Array(3)
      disk.read(descriptor, buffer, 0)
      assert.deepStrictEqual(buffer, bytes("Old"))
      assert.strictEqual(disk.stat(descriptor).nlink, 0)
      assert.strictEqual(get("f"), "new")
      disk.close(descriptor)
      assert.strictEqual(disk.lstat(at("f")).nlink, 1)
    })

    it("makes and removes directories", () => {
      disk.makeDirectory(at("d"), 0o750)
      assert.strictEqual(disk.lstat(at("d")).kind, "directory")
      assert.strictEqual(codeThrown(() => disk.makeDirectory(at("d"), 0o750)), "EEXIST")
      assert.strictEqual(codeThrown(() => disk.makeDirectory(at("no/d"), 0o750)), "ENOENT")
      put("d/f", "x")
      assert.strictEqual(codeThrown(() => disk.removeDirectory(at("d"))), "ENOTEMPTY")
      assert.strictEqual(codeThrown(() => disk.removeDirectory(at("d/f"))), "ENOTDIR")
      assert.strictEqual(codeThrown(() => disk.makeDirectory(at("d/f/e"), 0o750)), "ENOTDIR")
      assert.strictEqual(codeThrown(() => disk.unlink(at("d"))), "EISDIR")
      disk.unlink(at("d/f"))
      disk.removeDirectory(at("d"))
      assert.strictEqual(codeThrown(() => disk.removeDirectory(at("d"))), "ENOENT")
      assert.strictEqual(codeThrown(() => disk.unlink(at("d"))), "ENOENT")
      assert.strictEqual(codeThrown(() => disk.list(at("d"))), "ENOENT")
      put("f", "x")
      assert.strictEqual(codeThrown(() => disk.list(at("f"))), "ENOTDIR")
    })

    it("syncs files and directories, which open for reading only", () => {
      put("f", "x")
      const directory = disk.open(fixture.root, { access: "read" })
      assert.strictEqual(disk.stat(directory).kind, "directory")
      disk.sync(directory)
      disk.datasync(directory)
      assert.strictEqual(codeThrown(() => disk.read(directory, new Uint8Array(1), 0)), "EISDIR")
      disk.close(directory)
      const file = disk.open(at("f"), { access: "read" })
      disk.sync(file)
      disk.datasync(file)
      disk.close(file)
      assert.strictEqual(codeThrown(() => disk.open(fixture.root, { access: "write" })), "EISDIR")
    })

    it("tells sizes, modes and times", () => {
      put("f", "12345")
      const before = disk.lstat(at("f"))
      assert.strictEqual(before.kind, "file")
      assert.strictEqual(before.size, 5)
      const descriptor = disk.open(at("f"), { access: "write" })
      disk.write(descriptor, bytes("6"), 5)
      disk.sync(descriptor)
      const after = disk.stat(descriptor)
      disk.close(descriptor)
      assert.strictEqual(after.ino, before.ino)
      assert.strictEqual(after.size, 6)
      assert.isTrue(after.mtimeNs >= before.mtimeNs && after.ctimeNs >= before.ctimeNs)
    })

    it("refuses names that no file can have", () => {
      assert.strictEqual(codeThrown(() => disk.lstat(at("x".repeat(256)))), "ENAMETOOLONG")
      assert.strictEqual(codeThrown(() => disk.lstat("")), "ENOENT")
      assert.strictEqual(codeThrown(() => disk.lstat(at("a\0b"))), "EINVAL")
      put("x".repeat(255), "x")
    })

    it("changes nothing on a read-only file system", () => {
      // Not every place is ours to remount; those that are suffice.
      if (fixture.readOnly === undefined) return
      put("f", "abc")
      disk.makeDirectory(at("d"), 0o755)
      fixture.readOnly(true)
      try {
        const calls: ReadonlyArray<readonly [string, () => unknown]> = [
          ["EROFS", () => disk.open(at("f"), { access: "write" })],
          ["EROFS", () => disk.open(at("f"), { access: "read-write", create: "if-missing" })],
          ["EROFS", () => disk.open(at("g"), { access: "read", create: "if-missing" })],
          ["EROFS", () => disk.open(at("g"), { access: "write", create: "exclusive" })],
          ["EEXIST", () => disk.open(at("f"), { access: "write", create: "exclusive" })],
          ["ENOENT", () => disk.open(at("g"), { access: "write" })],
          ["EISDIR", () => disk.open(at("d"), { access: "write" })],
          ["EROFS", () => disk.link(at("f"), at("g"))],
          ["EROFS", () => disk.unlink(at("f"))],
          ["EROFS", () => disk.unlink(at("g"))],
          ["EROFS", () => disk.rename(at("f"), at("g"))],
          ["EROFS", () => disk.makeDirectory(at("e"), 0o755)],
          ["EEXIST", () => disk.makeDirectory(at("d"), 0o755)],
          ["EROFS", () => disk.removeDirectory(at("d"))],
          ["EROFS", () => disk.chmod(at("f"), 0o600)],
          ["ENOENT", () => disk.chmod(at("g"), 0o600)]
        ]
        assert.deepStrictEqual(calls.map(([, call]) => codeThrown(call)), calls.map(([code]) => code))
        disk.close(disk.open(at("f"), { access: "read", create: "if-missing" }))
        assert.strictEqual(get("f"), "abc")
      } finally {
        fixture.readOnly(false)
      }
    })
  })
}
