/** Disks that are full or cannot be written, and devices: only root can make those. */
import { assert, describe, it } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { loopDevice, loopMount, type Mount, whyNot } from "../support/loopMount.ts"
import { backy, chunkFiles, fails, MIB, noise, ok, workshop } from "./program.ts"

const onMount = async (mebibytes: number, use: (mount: Mount) => Promise<void>): Promise<void> => {
  const mount = loopMount("ext4", mebibytes)
  try {
    await use(mount)
  } finally {
    mount.unmount()
  }
}

describe.skipIf(whyNot("ext4") !== undefined)("a full disk", () => {
  it("fails the backup in one sentence; nothing is lost, and purge makes room", async () => {
    const shop = await workshop(noise(8 * MIB))
    await onMount(32, async ({ path }) => {
      const repository = join(path, "vm")
      await ok("-b", repository, "init", "file", shop.image)
      await ok("-b", repository, "backup", "daily")
      writeFileSync(shop.image, noise(40 * MIB, 2))
      assert.match(await fails(1, "-b", repository, "backup", "daily"), /no space left on device \(ENOSPC\)/)
      // nothing but whole revisions, and those restore
      assert.match(await ok("-b", repository, "status"), /1 revision,/)
      const target = join(shop.folder, "out.img")
      await ok("-b", repository, "restore", "-r", "first", target)
      assert.isTrue(readFileSync(target).equals(noise(8 * MIB)))

      // to the last byte
      writeFileSync(join(path, "filler"), "")
      try {
        writeFileSync(join(path, "filler"), noise(32 * MIB))
      } catch {
        // that was the point
      }
      await ok("-b", repository, "status")
      await ok("-b", repository, "purge")
      assert.strictEqual(chunkFiles(repository).length, 2)
      rmSync(join(path, "filler"))
      writeFileSync(shop.image, noise(9 * MIB, 3))
      await ok("-b", repository, "backup", "daily")
      await ok("-b", repository, "verify")
    })
    shop.remove()
  })

  it("fails the restore, and leaves nothing of it", async () => {
    const shop = await workshop(noise(40 * MIB))
    await ok(...shop.args("backup", "daily"))
    await onMount(32, async ({ path }) => {
      assert.match(await fails(1, ...shop.args("restore", join(path, "out.img"))), /no space left on device \(ENOSPC\)/)
      assert.deepStrictEqual(readdirSync(path).filter((name) => name !== "lost+found"), [])
    })
    shop.remove()
  })
})

describe.skipIf(whyNot("ext4") !== undefined)("a read-only file system", () => {
  it("refuses what would change the repository, and gives everything else", async () => {
    const shop = await workshop(noise(5 * MIB))
    await onMount(32, async ({ path, remount }) => {
      const repository = join(path, "vm")
      await ok("-b", repository, "init", "file", shop.image)
      await ok("-b", repository, "backup", "daily")
      remount("ro")
      assert.match(await fails(1, "-b", repository, "backup", "daily"), /read-only file system \(EROFS\)/)
      assert.match(await fails(1, "-b", repository, "forget", "-f", "-r", "latest"), /read-only file system \(EROFS\)/)
      assert.match(await fails(1, "-b", join(path, "other"), "init", "file", "x"), /read-only file system \(EROFS\)/)
      assert.match(await ok("-b", repository, "status"), /1 revision,/)
      const target = join(shop.folder, "out.img")
      await ok("-b", repository, "restore", target)
      assert.isTrue(readFileSync(target).equals(readFileSync(shop.image)))
    })
    shop.remove()
  })
})

describe.skipIf(whyNot("ext4") !== undefined)("a block device", () => {
  it("is a source and a target; one that is too small, or the source itself, is refused untouched", async () => {
    const shop = await workshop(noise(6 * MIB))
    const source = loopDevice(6 * MIB)
    const large = loopDevice(8 * MIB)
    const small = loopDevice(4 * MIB)
    try {
      writeFileSync(source.path, noise(6 * MIB))
      const repository = join(shop.folder, "device")
      await ok("-b", repository, "init", "file", source.path)
      await ok("-b", repository, "backup", "daily")

      // old bytes where the image has zeros are gone, too
      writeFileSync(source.path, Buffer.alloc(5 * MIB))
      await ok("-b", repository, "backup", "daily")
      writeFileSync(large.path, Buffer.alloc(8 * MIB, 0xee))
      assert.match(
        await fails(1, "-b", repository, "restore", large.path),
        /it holds data at byte 0 \(-f overwrites it\)/
      )
      await ok("-b", repository, "restore", "-f", large.path)
      execFileSync("cmp", ["-n", String(6 * MIB), large.path, source.path])

      assert.match(
        await fails(1, "-b", repository, "restore", small.path),
        /the device has 4194304 bytes, the image 6291456/
      )
      assert.isTrue(readFileSync(small.path).equals(Buffer.alloc(4 * MIB)))
      assert.match(await fails(1, "-b", repository, "restore", "-r", "first", source.path), /it is the source itself/)
      await ok("-b", repository, "restore", "-f", "-r", "first", source.path)
      assert.isTrue(readFileSync(source.path).equals(noise(6 * MIB)))
    } finally {
      for (const device of [source, large, small]) device.detach()
    }
    shop.remove()
  })
})

describe("what a mistyped path would do", () => {
  it("is nothing: no directory and no file is made", async () => {
    const shop = await workshop(Buffer.alloc(1))
    const before = readdirSync(shop.folder, { recursive: true, encoding: "utf8" }).sort()
    for (
      const command of [["status"], ["find"], ["verify"], ["purge"], ["backup", "daily"], ["expire"], [
        "reports",
        "list"
      ]]
    ) {
      await backy("-b", join(shop.folder, "typo"), ...command)
    }
    await ok(...shop.args("status"))
    await ok(...shop.args("reports", "list"))
    assert.isFalse(existsSync(join(shop.folder, "typo")))
    assert.deepStrictEqual(readdirSync(shop.folder, { recursive: true, encoding: "utf8" }).sort(), before)
    shop.remove()
  })
})
