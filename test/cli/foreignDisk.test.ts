/** Repositories on file systems that refuse what Linux's own allow. */
import { afterEach, assert, beforeEach, describe, it } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import * as FS from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { image } from "./backy.ts"
import { run } from "./onDisk.ts"

let folder = ""
beforeEach(() => {
  folder = FS.mkdtempSync(join(tmpdir(), "backy-foreign-"))
  FS.writeFileSync(join(folder, "vm.img"), image(1))
})
afterEach(() => FS.rmSync(folder, { recursive: true, force: true }))

const succeeds = (command: string, ...args: ReadonlyArray<string>): boolean => {
  try {
    execFileSync(command, args, { stdio: "ignore" })
    return true
  } catch {
    return false
  }
}

/** With BACKY_TEST_ROOT=1 nothing is an excuse. */
const excused = process.env["BACKY_TEST_ROOT"] !== "1"

describe("a file system that", () => {
  it("does not let modes and owners be changed works, with one warning", async (context) => {
    const [below, mount] = [join(folder, "below"), join(folder, "mount")]
    for (const path of [below, mount]) FS.mkdirSync(path)
    if (!succeeds("bindfs", "--chmod-deny", "--chown-deny", below, mount) && excused) return context.skip()
    try {
      const repository = join(mount, "vm")
      const init = await run(repository, "init", "file", join(folder, "vm.img"))
      assert.strictEqual(init.code, 0, init.said)
      const said = [init.said]
      for (const command of [["backup", "daily"], ["backup", "daily"], ["verify"], ["purge"], ["status"]]) {
        const one = await run(repository, ...command)
        assert.strictEqual(one.code, 0, one.said)
        said.push(one.said)
      }
      assert.strictEqual(said.join("\n").split("does not let modes be changed").length, 2, said.join("\n"))
      assert.isTrue((await run(repository, "restore", "-")).restored.equals(image(1)))
    } finally {
      succeeds("fusermount", "-u", mount)
    }
  })

  it("keeps a file from being removed is told as what it is", async (context) => {
    const repository = join(folder, "vm")
    await run(repository, "init", "file", join(folder, "vm.img"))
    assert.strictEqual((await run(repository, "backup", "daily")).code, 0)
    const rev = FS.readdirSync(repository).find((name) => name.endsWith(".rev")) ?? ""
    if (!succeeds("chattr", "+i", join(repository, rev)) && excused) return context.skip()
    try {
      const { code, said } = await run(repository, "forget", "-f", "-r", "all")
      assert.strictEqual(code, 1)
      assert.match(said, new RegExp(`^backy: cannot remove .*/${rev}: operation not permitted \\(EPERM\\)$`, "m"))
    } finally {
      succeeds("chattr", "-i", join(repository, rev))
    }
    assert.strictEqual((await run(repository, "forget", "-f", "-r", "all")).code, 0)
  })
})
