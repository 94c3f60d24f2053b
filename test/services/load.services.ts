import { assert, describe, it } from "@effect/vitest"
import { spawn } from "node:child_process"
import { closeSync, existsSync, mkdirSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as pass } from "node:timers/promises"
import * as Backy from "./backy.ts"
import * as Cluster from "./cluster.ts"

const MiB = 1024 * 1024

/** The image as a file that can be written, until `close`: what a kernel with rbd would give as a device. */
const attached = async (directory: string, image: string) => {
  const file = join(directory, "disk")
  const pidFile = join(directory, "pid")
  writeFileSync(file, "")
  const daemon = spawn("qemu-storage-daemon", [
    "--blockdev",
    `driver=rbd,node-name=n,pool=${Cluster.POOL},image=${image},conf=${process.env["CEPH_CONF"]}`,
    "--export",
    `type=fuse,id=e,node-name=n,mountpoint=${file},writable=on`,
    "--pidfile",
    pidFile
  ], { stdio: "inherit" })
  const ended = new Promise((resolve) => daemon.once("close", resolve))
  while (!existsSync(pidFile) && daemon.exitCode === null) await pass(50)
  return {
    file,
    close: async () => {
      daemon.kill()
      await ended
    }
  }
}

/** Writes, overwrites and removes files until it is told to stop. */
const load = (directory: string) => {
  let isOver = false
  const running = (async () => {
    for (let step = 0; !isOver; step++) {
      const path = join(directory, `file${step % 17}`)
      if (step % 5 === 4) rmSync(path, { force: true })
      else {
        const file = openSync(path, "w")
        for (let part = 0; part < 1 + step % 7; part++) writeSync(file, Buffer.alloc(100_000, `${step} ${part} `))
        closeSync(file)
      }
      await pass(20)
    }
  })()
  return () => {
    isOver = true
    return running
  }
}

describe.runIf(process.getuid?.() === 0)("a file system under load", () => {
  it("is backed up as of each snapshot: byte for byte, mendable, with what was synced before", async () => {
    using directory = Backy.temporary()
    const image = Cluster.fresh()
    await Cluster.create(image, 128 * MiB)
    const repository = join(directory.path, "vm")
    await Backy.done(repository, ["init", "ceph-rbd", `rbd/${image}`])
    const { close, file } = await attached(directory.path, image)
    const mountpoint = join(directory.path, "mnt")
    mkdirSync(mountpoint)
    try {
      await Cluster.run("mkfs.ext4", ["-q", "-F", file])
      await Cluster.run("mount", ["-o", "loop", file, mountpoint])
      const stop = load(mountpoint)
      const restored = join(directory.path, "restored")
      try {
        for (let run = 0; run < 4; run++) {
          writeFileSync(join(mountpoint, "marker"), `run ${run}`, { flush: true })
          await Cluster.run("sync", ["-f", join(mountpoint, "marker")])
          await Backy.done(repository, ["backup", "daily"])
          const id = (await Backy.revisions(repository)).at(-1) ?? ""
          await Backy.done(repository, ["restore", "-f", restored])
          const digest = Backy.sha256(await Cluster.exported(image, `backy-${id}`))
          assert.strictEqual((await Backy.done(repository, ["restore", "-"])).digest, digest)
          // as after a power cut: the journal is replayed, then nothing is wrong
          await Cluster.run("e2fsck", ["-p", restored]).catch((error: unknown) => {
            if (!/exited with 1:/.test(String(error))) throw error
          })
          await Cluster.run("e2fsck", ["-fn", restored])
          assert.strictEqual((await Cluster.run("debugfs", ["-R", "cat marker", restored])).toString(), `run ${run}`)
        }
      } finally {
        await stop()
        await Cluster.run("umount", [mountpoint])
      }
    } finally {
      await close()
    }
    assert.strictEqual((await Backy.revisions(repository)).length, 4)
  }, 600_000)
})
