/** `backy mount` with the built program: a revision as a file, and as root the files in it. */
import { assert, describe, it } from "@effect/vitest"
import { execFileSync, spawn, spawnSync } from "node:child_process"
import {
  closeSync,
  existsSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
  writeSync
} from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, beforeAll } from "vitest"
import { backy, chunkFiles, fails, MIB, noise, ok, PROGRAM, run, until, workshop } from "./program.ts"

const SCRIPT = fileURLToPath(new URL("../../contrib/restore-single-files", import.meta.url))

const canMount = process.env["BACKY_TEST_ROOT"] === "1" ||
  (process.getuid?.() === 0 && existsSync("/dev/fuse") && existsSync("/dev/loop-control") &&
    ["nbdfuse", "mkfs.ext4", "mkfs.xfs"].every((name) => spawnSync("sh", ["-c", `command -v ${name}`]).status === 0))

/** Runs a program that has to succeed. */
const call = (command: string, args: ReadonlyArray<string>): void => {
  execFileSync(command, args, { stdio: "ignore" })
}

/** A disk whose first partition is an ext4 that was in use, and whose second is XFS: both begin at a whole MiB. */
const makeDisk = (path: string, folder: string): void => {
  const [ext4, xfs] = ["ext4", "xfs"].map((kind) => join(folder, kind))
  const sizes = { ext4: 32 * MIB, xfs: 300 * MIB }
  const files = join(folder, "files")
  mkdirSync(join(files, "etc"), { recursive: true })
  writeFileSync(join(files, "etc/hostname"), "web01\n")
  symlinkSync("etc/hostname", join(files, "link"))
  call("truncate", ["-s", String(sizes.ext4), ext4 ?? ""])
  call("mkfs.ext4", ["-q", "-F", "-d", files, ext4 ?? ""])
  // as a guest leaves it that is backed up while it runs
  call("debugfs", ["-w", "-R", "feature needs_recovery", ext4 ?? ""])
  call("truncate", ["-s", String(sizes.xfs), xfs ?? ""])
  call("mkfs.xfs", ["-q", "-f", xfs ?? ""])
  const disk = openSync(path, "w")
  ftruncateSync(disk, 2 * MIB + sizes.ext4 + sizes.xfs)
  const sector = Buffer.alloc(512)
  for (const [index, [start, count]] of [[1, sizes.ext4 / MIB], [1 + sizes.ext4 / MIB, sizes.xfs / MIB]].entries()) {
    sector.writeUInt8(0x83, 446 + 16 * index + 4)
    sector.writeUInt32LE((start ?? 0) * 2048, 446 + 16 * index + 8)
    sector.writeUInt32LE((count ?? 0) * 2048, 446 + 16 * index + 12)
  }
  sector.writeUInt16BE(0x55aa, 510)
  writeSync(disk, sector, 0, 512, 0)
  closeSync(disk)
  for (const [from, at] of [[ext4, 1], [xfs, 1 + sizes.ext4 / MIB]] as const) {
    call("dd", [`if=${from}`, `of=${path}`, "bs=1M", `seek=${at}`, "conv=notrunc,sparse"])
  }
}

describe("backy mount", () => {
  it("refuses what is no empty directory outside of the repository, and a partition of a negative number", async () => {
    const shop = await workshop(noise(4096))
    try {
      await ok(...shop.args("backup", "daily"))
      const mount = (...words: ReadonlyArray<string>) => shop.args("mount", ...words)
      assert.match(await fails(1, ...mount(shop.folder)), /cannot mount at .*: the directory is not empty/)
      assert.match(await fails(1, ...mount(join(shop.folder, "none"))), /no such file or directory/)
      assert.match(await fails(1, ...mount(shop.image)), /cannot mount at /)
      assert.match(await fails(1, ...mount(join(shop.repository, "chunks"))), /it lies within the repository/)
      assert.match(await fails(2, ...mount("--partition", "-1", shop.folder)), /partitions are numbered from 1/)
    } finally {
      shop.remove()
    }
  })
})

describe.skipIf(!canMount)("backy mount, as root", () => {
  let shop: Awaited<ReturnType<typeof workshop>>
  let empty = ""
  beforeAll(async () => {
    shop = await workshop(new Uint8Array(0))
    makeDisk(shop.image, shop.makeFolder("parts"))
    await ok(...shop.args("backup", "daily"))
    empty = shop.makeFolder("empty")
  })
  afterAll(() => shop.remove())
  const isMounted = () => readFileSync("/proc/self/mounts", "utf8").includes(shop.folder)
  const mount = (...words: ReadonlyArray<string>) => shop.args("mount", ...words)

  it("shows the image as a file as long as a command runs", async () => {
    const said = await backy(...mount("--run", `cmp "$mounted" '${shop.image}' && echo "$mounted"`, empty))
    assert.strictEqual(said.code, 0, said.err)
    assert.strictEqual(said.out, `${empty}/image\n`)
    assert.isFalse(isMounted())
    assert.strictEqual((await backy(...mount("--run", "echo x >> \"$mounted\"", empty))).code, 1)
  })

  it("shows it until it is ended, or somebody unmounts it", async () => {
    for (const end of ["SIGTERM", "unmount"] as const) {
      const child = spawn(PROGRAM, mount(empty), { stdio: ["ignore", "pipe", "inherit"] })
      let out = ""
      child.stdout.setEncoding("utf8").on("data", (text: string) => out += text)
      const ended = new Promise((resolve) => child.once("close", resolve))
      await until(() => out.includes("\n"))
      assert.strictEqual(out, `${empty}/image\n`)
      if (end === "unmount") call("umount", [empty])
      else child.kill(end)
      assert.strictEqual(await ended, 0)
      assert.isFalse(isMounted())
      assert.deepStrictEqual(readdirSync(empty), [])
    }
  })

  it("shows the file systems of its partitions, although they were in use, and changes nothing", async () => {
    const files = `cat "$mounted/etc/hostname" "$mounted/link"; touch "$mounted/new" 2>/dev/null || echo read-only`
    const said = await backy(...mount("--partition", "1", "--run", files, empty))
    assert.strictEqual(said.out, "web01\nweb01\nread-only\n", said.err)
    assert.strictEqual(said.code, 0, said.err)
    const second = await backy(...mount("--partition", "2", "--run", "stat -f -c %T \"$mounted\"", empty))
    assert.strictEqual(second.out, "xfs\n", second.err)
    assert.match(
      await fails(1, ...mount("--partition", "3", empty)),
      /there is no partition 3: the image has 1, 2$/
    )
    assert.isFalse(isMounted())
    await ok(...shop.args("verify"))
  })

  it("ends although somebody is still in the directory", async () => {
    const line = "(cd \"$mounted\" && exec sleep 60 >/dev/null 2>&1) & echo $!; sleep 0.5"
    const said = await backy(...mount("--partition", "1", "--run", line, empty))
    assert.strictEqual(said.code, 0, said.err)
    assert.isFalse(isMounted())
    process.kill(Number(said.out))
  })

  it("is what restore-single-files needs", async () => {
    const env = {
      PATH: `${join(PROGRAM, "..")}:${process.env["PATH"]}`,
      BACKY_BASE: shop.folder,
      BACKY_RESTORE: join(shop.folder, "restored")
    }
    const line = `mkfifo enter && (sleep 60 > enter & echo $! > writer) && ${SCRIPT} vm latest < enter & ` +
      "until [ -e restored/vm/etc/hostname ]; do sleep 0.1; done; cat restored/vm/etc/hostname; kill $(cat writer); wait $!"
    const said = await run("bash", ["-c", line], { cwd: shop.folder, env })
    assert.include(said.out, "web01\n")
    assert.include(said.out, `The files are in ${shop.folder}/restored/vm.`)
    assert.isFalse(isMounted())
    assert.strictEqual((await run(SCRIPT, ["vm"], { env })).code, 3)
    assert.strictEqual((await run(SCRIPT, ["../x", "latest"], { env })).code, 3)
  })

  it("gives an I/O error for a damaged chunk, and the rest", async () => {
    for (const chunk of chunkFiles(shop.repository)) {
      call("sh", [
        "-c",
        `chmod u+w '${chunk}' && printf x | dd of='${chunk}' bs=1 seek=30 conv=notrunc status=none`
      ])
    }
    const said = await backy(...mount("--run", "cat \"$mounted\" >/dev/null", empty))
    assert.strictEqual(said.code, 1)
    assert.include(said.err, "clients get an I/O error for image bytes")
    assert.isFalse(isMounted())
  })
})
