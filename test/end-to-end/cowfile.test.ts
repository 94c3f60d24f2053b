/** `backend: cowfile` with the built program on real file systems: what a revision costs, and that its image mounts. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { execFile, execFileSync } from "node:child_process"
import { createCipheriv, createHash } from "node:crypto"
import * as FS from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { type FileSystemKind, loopMount, type Mount, whyNot } from "../support/loopMount.ts"

// not synchronously: the test runner wants to hear of its worker
const execute = promisify(execFile)
const backy = fileURLToPath(new URL("../../dist/backy", import.meta.url))
const MIB = 1024 * 1024
/** Bytes of the image; a hundredth of it changes. */
const SIZE = 100 * MIB + 25 * 512

/** Bytes that no compression makes smaller, the same for the same seed. */
const noise = (seed: number, length: number): Buffer =>
  createCipheriv("aes-128-ctr", Buffer.alloc(16, seed), Buffer.alloc(16)).update(Buffer.alloc(length))

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex")

/** Bytes in use on a file system, when all is written. */
const used = (path: string): number => {
  execFileSync("sync", ["-f", path])
  const { bfree, blocks, bsize } = FS.statfsSync(path)
  return (blocks - bfree) * bsize
}

for (const kind of ["btrfs", "xfs", "ext4"] as const satisfies ReadonlyArray<FileSystemKind>) {
  const reason = whyNot(kind)
  describe.skipIf(reason !== undefined)(`cowfile on ${kind}${reason === undefined ? "" : ` (${reason})`}`, () => {
    let mount: Mount | undefined
    beforeAll(() => {
      mount = loopMount(kind, 700)
    })
    afterAll(() => mount?.unmount())

    it(
      "makes a second revision with a hundredth changed, which costs about as much where blocks can be shared",
      async () => {
        const place = mount?.path ?? assert.fail("nothing is mounted")
        const repository = join(place, "vm")
        const image = join(place, "vm.img")
        const run = (...args: ReadonlyArray<string>) =>
          execute(backy, ["-b", repository, ...args], { encoding: "utf8" })
        FS.mkdirSync(repository)
        FS.writeFileSync(
          join(repository, "config"),
          `source: {type: file, filename: ${image}, backend: cowfile}\nschedule: {daily: {interval: 1d, keep: 2}}\n`
        )
        const content = noise(1, SIZE)
        content.fill(0, 20 * MIB, 40 * MIB)
        FS.writeFileSync(image, content)
        const empty = used(place)
        const first = await run("backup", "daily")
        const full = used(place) - empty
        // zeros take no room
        assert.isBelow(full, SIZE - 15 * MIB)
        assert.isAbove(full, SIZE - 25 * MIB)
        const before = sha256(content)

        noise(2, MIB).copy(content, 60 * MIB + 512 * 1024)
        FS.writeFileSync(image, content)
        const between = used(place)
        const second = await run("backup", "daily")
        const increment = used(place) - between
        process.stdout.write(
          `cowfile on ${kind}: first revision ${(full / MIB).toFixed(1)} MiB, second ${
            (increment / MIB).toFixed(1)
          } MiB\n`
        )
        const warning = /cannot share blocks/
        assert.notMatch(first.stderr, warning)
        if (kind === "ext4") {
          assert.match(second.stderr, warning)
          assert.strictEqual(second.stderr.split("cannot share blocks").length, 2)
        } else {
          assert.notMatch(second.stderr, warning)
          // two blocks of 4 MiB at most, for the change may lie across their border, and some metadata
          assert.isBelow(increment, 10 * MIB)
        }

        const restored = async (spec: string) => {
          const args = ["-b", repository, "restore", "-r", spec, "-"]
          return sha256((await execute(backy, args, { encoding: "buffer", maxBuffer: 2 * SIZE })).stdout)
        }
        assert.strictEqual(await restored("0"), sha256(content))
        assert.strictEqual(await restored("1"), before)
        await run("verify")
        const path = (await run("find")).stdout.trim()
        assert.strictEqual(sha256(FS.readFileSync(path)), sha256(content))
        const device = execFileSync("losetup", ["--find", "--show", "--read-only", path], { encoding: "utf8" }).trim()
        execFileSync("losetup", ["--detach", device])

        await run("forget", "-r", "1")
        await run("purge")
        assert.isBelow(used(place) - between, kind === "ext4" ? 10 * MIB : increment + 10 * MIB)
        assert.strictEqual(await restored("latest"), sha256(content))
      },
      240_000
    )
  })
}
