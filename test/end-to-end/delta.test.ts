/** `backy restore --delta` with the built program, on real files and devices. */
import { assert, describe, it } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import {
  closeSync,
  cpSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  statSync,
  writeFileSync,
  writeSync
} from "node:fs"
import { basename, join } from "node:path"
import { onTestFinished } from "vitest"
import { whyNot } from "../support/loopMount.ts"
import { fails, MIB, noise, ok, start, until, workshop } from "./program.ts"

/** Workshops go with the test that made them. */
const shopOf = async (image: Uint8Array) => {
  const shop = await workshop(image)
  onTestFinished(() => shop.remove())
  return shop
}

const change = (path: string, places: ReadonlyArray<number>): void => {
  const file = openSync(path, "r+")
  for (const at of places) writeSync(file, "changed", at)
  closeSync(file)
}

const image = Buffer.concat([noise(9 * MIB), Buffer.alloc(8 * MIB), noise(3 * MIB + 512, 2)])

describe("backy restore --delta", () => {
  it("says with -n what it would write, and writes that", async () => {
    const shop = await shopOf(image)
    await ok(...shop.args("backup", "daily"))
    const target = join(shop.folder, "target")
    writeFileSync(target, image)
    change(target, [5 * MIB, 12 * MIB, 18 * MIB])
    const before = readFileSync(target)
    const [id = ""] = await shop.ids()
    const plan = await ok(...shop.args("restore", "--delta", "-n", target))
    assert.strictEqual(
      plan,
      `would write 8.00 KiB and clear 4.00 KiB of 20.0 MiB to make ${target} revision ${id}\n`
    )
    assert.isTrue(readFileSync(target).equals(before))
    assert.match(await fails(1, ...shop.args("restore", "--delta", target)), /not empty \(-f overwrites it\)/)
    const { ino } = statSync(target)
    const said = await ok(...shop.args("restore", "--delta", "-f", target))
    assert.strictEqual(
      said,
      `restored revision ${id} to ${target}: 20.0 MiB, every byte checked; 12.5 KiB written, 4.00 KiB cleared\n`
    )
    assert.isTrue(readFileSync(target).equals(image))
    assert.strictEqual(statSync(target).ino, ino)
    assert.include(await ok(...shop.args("restore", "--delta", "-n", target)), "would write 0 bytes of 20.0 MiB")
  })

  it("is understood only with a file or device, and -n only with it", async () => {
    const shop = await shopOf(Buffer.alloc(512, 1))
    const wrong = (...words: ReadonlyArray<string>) => fails(2, ...shop.args("restore", ...words))
    assert.include(await wrong("--delta", "-"), "--delta changes a file or a block device: name one")
    assert.include(await wrong("--delta", "rbd:pool/image"), "--delta changes a file or a block device")
    assert.include(await wrong("-n", "target"), "-n goes with --delta")
    assert.include(await wrong("--delta", "-n", "--salvage", "target"), "leave --salvage out")
  })

  it("leaves a note when it is ended before its end, and goes on with the next one", async () => {
    const size = 64 * MIB
    const shop = await shopOf(noise(size))
    await ok(...shop.args("backup", "daily"))
    const target = join(shop.folder, "target")
    writeFileSync(target, noise(size, 5))
    const { child, ended } = start(shop.args("restore", "--delta", "-f", target), { workers: 1 })
    let err = ""
    child.stderr.on("data", (text: string) => err += text)
    await until(() => err.includes("is a mixture of what was there and of revision"))
    child.kill("SIGTERM")
    assert.strictEqual((await ended).code, 143)
    assert.include(err, `${target} is not restored: it is a mixture, and its first 512 bytes are a note that says so`)
    assert.match(
      readFileSync(target).subarray(0, 200).toString("latin1"),
      /^backy: a delta restore to this has not ended;/
    )
    await ok(...shop.args("restore", "--delta", "-f", target))
    assert.isTrue(readFileSync(target).equals(noise(size)))
  })
})

const reason = whyNot("ext4")
describe.skipIf(reason !== undefined)(
  `restore --delta to a device${reason === undefined ? "" : ` (${reason})`}`,
  () => {
    it("writes one percent of a large sparse image when one percent was changed", async () => {
      const shop = await shopOf(new Uint8Array(0))
      // 1 GiB, of which 64 MiB are data
      const file = openSync(shop.image, "r+")
      ftruncateSync(file, 1024 * MIB)
      for (let n = 0; n < 16; n++) writeSync(file, noise(4 * MIB, n + 1), 0, 4 * MIB, n * 64 * MIB)
      closeSync(file)
      await ok(...shop.args("backup", "daily"))
      const before = join(shop.folder, "device.img")
      execFileSync("cp", ["--sparse=always", shop.image, before])
      // one page of 4 KiB of each hundred
      change(before, Array.from({ length: 16 * 10 }, (_, n) => Math.floor(n / 10) * 64 * MIB + (n % 10) * 400 * 1024))
      const device = execFileSync("losetup", ["--find", "--show", before], { encoding: "utf8" }).trim()
      onTestFinished(() => {
        execFileSync("losetup", ["--detach", device])
      })
      const sectors = () => Number(readFileSync(`/sys/block/${basename(device)}/stat`, "utf8").trim().split(/\s+/)[6])
      const first = sectors()
      /** Bytes that reached the device. */
      const written = () => 512 * (sectors() - first)
      assert.match(await fails(1, ...shop.args("restore", "--delta", device)), /it holds data at byte 0/)
      assert.include(await ok(...shop.args("restore", "--delta", "-n", device)), "would write 640 KiB of 1.00 GiB")
      assert.strictEqual(written(), 0)
      await ok(...shop.args("restore", "--delta", "-f", device))
      assert.isAtLeast(written(), 160 * 4096)
      assert.isAtMost(written(), 163 * 4096)
      execFileSync("cmp", [device, shop.image])
    })

    it("rolls the source back through a loop device", async () => {
      const shop = await shopOf(image)
      await ok(...shop.args("backup", "daily"))
      const copy = join(shop.folder, "copy")
      mkdirSync(copy)
      cpSync(shop.image, join(copy, "image"))
      change(shop.image, [0, 13 * MIB])
      const device = execFileSync("losetup", ["--find", "--show", shop.image], { encoding: "utf8" }).trim()
      onTestFinished(() => {
        execFileSync("losetup", ["--detach", device])
      })
      assert.match(await fails(1, ...shop.args("restore", "--delta", device)), /it is the source itself/)
      await ok(...shop.args("restore", "--delta", "-f", device))
      execFileSync("cmp", [device, join(copy, "image")])
    })
  }
)
