/** What a target really is: devices, mounts, links and locks of the machine, told by the built program. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { execFileSync, spawn } from "node:child_process"
import { linkSync, mkdirSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { setTimeout } from "node:timers/promises"
import { whyNot } from "../support/loopMount.ts"
import { backy, chunkFiles, fails, MIB, noise, ok, start, until, workshop } from "./program.ts"

const image = noise(6 * MIB)
let shop: Awaited<ReturnType<typeof workshop>>
/** What is to be undone in the end, the last first. */
const undo: Array<() => void> = []

const run = (command: string, ...args: ReadonlyArray<string>): string =>
  execFileSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }).trim()

const loop = (file: string): string => {
  const device = run("losetup", "--find", "--show", file)
  undo.push(() => run("losetup", "--detach", device))
  return device
}

const mounted = (...args: ReadonlyArray<string>): void => {
  const target = args.at(-1) ?? ""
  mkdirSync(target, { recursive: true })
  run("mount", ...args)
  undo.push(() => run("umount", target))
}

const sparse = (name: string, size: number): string => {
  const path = join(shop.folder, name)
  writeFileSync(path, "")
  truncateSync(path, size)
  return path
}

beforeAll(async () => {
  shop = await workshop(image)
  await ok(...shop.args("backup", "daily"))
}, 120_000)
afterAll(() => {
  for (const step of undo.toReversed()) step()
  shop.remove()
}, 60_000)

const refused = async (target: string, reason: RegExp, ...options: ReadonlyArray<string>) => {
  const said = await fails(1, ...shop.args("restore", ...options, target))
  assert.include(said, `cannot restore to ${target}: `)
  assert.match(said, reason)
}

describe("a source that lost its content", () => {
  it.skipIf(whyNot("ext4") !== undefined)("as a loop device that was detached, or shows an empty file", async () => {
    const file = sparse("source.img", 0)
    writeFileSync(file, image)
    const device = run("losetup", "--find", "--show", file)
    const repository = shop.makeFolder("of-device")
    await ok("-b", repository, "init", "file", device)
    await ok("-b", repository, "backup", "daily")
    run("losetup", "--detach", device)
    const said = await fails(1, "-b", repository, "backup", "daily")
    assert.include(said, `the source lost its content: ${device}: it has 0 bytes, and revision `)
    const empty = loop(sparse("empty.img", 0))
    const other = shop.makeFolder("of-empty-device")
    await ok("-b", other, "init", "file", empty)
    assert.include(await fails(1, "-b", other, "backup", "daily"), `${empty}: it has 0 bytes`)
    assert.strictEqual((await ok("-b", repository, "find", "-r", "all", "--uuid")).trim().split("\n").length, 1)
    assert.strictEqual((await ok("-b", other, "find", "-r", "all", "--uuid")).trim(), "")
  }, 120_000)
})

describe("restore", () => {
  it("makes no file where a device is missing", async () => {
    await refused("/dev/backy-no-such-device", /there is no such device/)
    await refused("/proc/backy", /no image can be kept in \/proc/)
    assert.notInclude(readdirSync("/dev"), "backy-no-such-device")
  }, 60_000)

  it("calls things by their names", async () => {
    await refused("/dev/null", /it is a character device, not a file or block device/)
    const said = await fails(2, ...shop.args("restore", ""))
    assert.include(said, "the target is an empty text")
  }, 60_000)

  it("refuses what a VM has open", async () => {
    const target = sparse("running.img", MIB)
    const qemu = spawn("qemu-io", ["-f", "raw", target], { stdio: ["pipe", "pipe", "ignore"] })
    await setTimeout(1000)
    await refused(target, /it is locked by another program, as a running VM does/, "-f")
    const ended = new Promise((resolve) => qemu.once("close", resolve))
    qemu.stdin.end()
    await ended
    await ok(...shop.args("restore", "-f", target))
    assert.isTrue(readFileSync(target).equals(image))
  }, 60_000)

  it("refuses a hard link to a chunk", async () => {
    const [chunk = ""] = chunkFiles(shop.repository)
    const target = join(shop.folder, "second-name")
    linkSync(chunk, target)
    await refused(target, /hard links/, "-f")
    run("rm", target)
    assert.strictEqual(statSync(chunk).nlink, 1)
  }, 60_000)

  it("goes on after kill -9: what is left is gone with the next restore to that name", async () => {
    const large = await workshop(noise(64 * MIB))
    try {
      await ok(...large.args("backup", "daily"))
      const folder = large.makeFolder("target")
      const { child, ended } = start(large.args("restore", `${folder}/vm.img`), { workers: 1 })
      // it has begun to write, so that it holds the lock of its file
      await until(() => readdirSync(folder).some((name) => statSync(join(folder, name)).blocks > 0))
      // so that it has not ended before the other one has begun
      child.kill("SIGSTOP")
      const second = await fails(1, ...large.args("restore", `${folder}/vm.img`))
      assert.include(second, "another restore to it is under way")
      child.kill("SIGKILL")
      await ended
      assert.match(readdirSync(folder).join(), /^\.backy-[0-9a-f]{8}-[0-9a-z]{12}$/)
      await ok(...large.args("restore", `${folder}/vm.img`))
      assert.deepStrictEqual(readdirSync(folder), ["vm.img"])
      assert.isTrue(readFileSync(`${folder}/vm.img`).equals(noise(64 * MIB)))
    } finally {
      large.remove()
    }
  }, 120_000)
})

const reason = whyNot("ext4")
describe.skipIf(reason !== undefined)(`restore, as root${reason === undefined ? "" : ` (skipped: ${reason})`}`, () => {
  it("overwrites no mounted file system, and no unmounted one without force", async () => {
    const disk = sparse("disk.img", 64 * MIB)
    run("mkfs.ext4", "-q", "-F", disk)
    const device = loop(disk)
    await refused(device, /it holds ext4 \(-f overwrites it\)/)
    const at = join(shop.folder, "mounted")
    mounted(device, at)
    const alias = join(shop.folder, "alias")
    const { rdev } = statSync(device)
    run("mknod", alias, "b", String(rdev >> 8), String(rdev & 0xff))
    for (const name of [device, alias]) await refused(name, /the device is in use: it is mounted/, "-f")
    await refused(disk, new RegExp(`it is in use as ${device}`), "-f")
    run("umount", at)
    undo.pop()
    await ok(...shop.args("restore", "-f", alias))
    assert.isTrue(readFileSync(device).subarray(0, image.length).equals(image))
  }, 120_000)

  it("takes an empty device as it is", async () => {
    const device = loop(sparse("empty.img", 40 * MIB))
    await ok(...shop.args("restore", device))
    assert.isTrue(readFileSync(device).subarray(0, image.length).equals(image))
    await refused(device, /it holds data at byte 0/)
  }, 60_000)

  it("finds the repository through bind mounts of it, of a part of it, and of a single file", async () => {
    const whole = join(shop.folder, "bind")
    mounted("--bind", shop.repository, whole)
    const [chunk = ""] = chunkFiles(shop.repository)
    const inside = chunk.slice(shop.repository.length)
    const part = join(shop.folder, "bind-part")
    mounted("--bind", join(shop.repository, "chunks"), part)
    const single = join(shop.folder, "bind-file")
    writeFileSync(single, "")
    run("mount", "--bind", chunk, single)
    undo.push(() => run("umount", single))
    for (const target of [`${whole}${inside}`, `${part}${inside.slice("/chunks".length)}`, single, `${whole}/new`]) {
      await refused(target, /it lies within the repository/, "-f")
    }
    assert.notInclude(readdirSync(shop.repository), "new")
  }, 60_000)

  it("finds a chunk and the source behind loop devices", async () => {
    const [chunk = ""] = chunkFiles(shop.repository)
    await refused(loop(chunk), /it shows a file of the repository/, "-f")
    await refused(loop(shop.image), /it is the source itself/)
    await refused(shop.image, /it is in use as \/dev\/loop/, "-f")
    assert.isTrue(readFileSync(shop.image).equals(image))
  }, 60_000)

  it("rolls the source back by force and says so", async () => {
    const own = await workshop(image)
    try {
      await ok(...own.args("backup", "daily"))
      writeFileSync(own.image, noise(6 * MIB, 7))
      const { code, err } = await backy(...own.args("restore", "-f", own.image))
      assert.strictEqual(code, 0, err)
      assert.include(err, "is the image that this repository backs up; it is overwritten")
      assert.isTrue(readFileSync(own.image).equals(image))
    } finally {
      own.remove()
    }
  }, 60_000)
})
