/** The man pages, which .ci/manual.ts makes of the help and of docs/. */
import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { onTestFinished } from "vitest"
import { commandNames } from "../../src/cli/Cli.ts"

const generator = fileURLToPath(new URL("../../.ci/manual.ts", import.meta.url))

const isMissing = spawnSync("mandoc", ["-T", "lint", "/dev/null"]).error !== undefined
// where everything is supposed to be installed, a missing program is a failure
const isSkipped = isMissing && process.env["BACKY_TEST_ROOT"] !== "1"

describe.skipIf(isSkipped)(`the man pages${isMissing ? " (skipped: mandoc not installed)" : ""}`, () => {
  it("pass mandoc's lint, and tell of every command and setting", () => {
    const folder = mkdtempSync(join(tmpdir(), "backy-manual-"))
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
    const made = spawnSync(process.execPath, [generator, folder], { encoding: "utf8" })
    assert.strictEqual(made.status, 0, made.stderr)
    const render = (file: string) => {
      const lint = spawnSync("mandoc", ["-T", "lint", "-W", "warning", join(folder, file)], { encoding: "utf8" })
      assert.deepStrictEqual([lint.status, lint.stdout], [0, ""])
      const { stdout } = spawnSync("mandoc", ["-T", "ascii", join(folder, file)], { encoding: "utf8" })
      // bold letters are struck twice
      return stdout.split("\b").map((part, index, all) => index < all.length - 1 ? part.slice(0, -1) : part).join("")
    }

    const program = render("man1/backy.1")
    for (const name of commandNames()) assert.match(program, new RegExp(`^ {3}${name}\\b`, "m"), name)
    assert.include(program, "REVISION SPECS")
    assert.match(program, /^ {5}75 +locked by another process/m)

    const config = render("man5/backy.conf.5")
    const keys = [...readFileSync(join(folder, "man5/backy.conf.5"), "utf8").matchAll(/^\.It (.*)$/gm)]
    assert.isAbove(keys.length, 20)
    assert.match(config, /^ {5}free-space-floor$/m)
  })
})
