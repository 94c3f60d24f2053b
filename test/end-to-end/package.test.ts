/** The tarball of `npm run package`, unpacked where nothing else is. */
import { assert, describe, it } from "@effect/vitest"
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { onTestFinished } from "vitest"
import { run } from "./program.ts"

const root = fileURLToPath(new URL("../..", import.meta.url))

describe("the tarball", () => {
  it("holds all that the program needs but Node.js and flock", async () => {
    const folder = mkdtempSync(join(tmpdir(), "backy-package-"))
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
    const packed = await run(process.execPath, [join(root, ".ci/package.mjs"), folder])
    assert.strictEqual(packed.code, 0, packed.err)
    assert.strictEqual((await run("tar", ["-C", folder, "-xf", packed.out.trim()])).code, 0)
    const unpacked = join(folder, readdirSync(folder).find((name) => !name.endsWith(".tgz")) ?? "")

    const programs = join(folder, "programs")
    mkdirSync(programs)
    symlinkSync(realpathSync(process.execPath), join(programs, "node"))
    const flock = await run("sh", ["-c", "command -v flock"])
    symlinkSync(flock.out.trim(), join(programs, "flock"))

    writeFileSync(join(folder, "image"), Buffer.alloc(5 * 1024 ** 2, "some content"))
    for (const command of ["init file image", "backup daily", "verify", "restore restored"]) {
      const argv = ["-b", "vm", ...command.split(" ")]
      const { code, err } = await run(join(unpacked, "dist/backy"), argv, { cwd: folder, env: { PATH: programs } })
      assert.strictEqual(code, 0, err)
      assert.notInclude(err, "native BLAKE3", "the native parts are there")
    }
    assert.isTrue(readFileSync(join(folder, "image")).equals(readFileSync(join(folder, "restored"))))
    assert.includeMembers(readdirSync(unpacked), ["LICENSE", "README.md", "contrib", "docs", "man"])
  })
})
