/** The built program on repositories that backy 2.5.3 wrote: read, continued, and upgraded with a kill after each step. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { execFile, spawn } from "node:child_process"
import { createHash } from "node:crypto"
import * as FS from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import * as Fixture from "../support/fixture.ts"

const execute = promisify(execFile)
const backy = fileURLToPath(new URL("../../dist/backy", import.meta.url))
const fixtures = fileURLToPath(new URL("../fixtures/backy25", import.meta.url))
const KINDS = ["chunked", "cowfile", "quarantine"] as const

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex")

describe("the built program on what backy 2.5.3 wrote", () => {
  const place = FS.mkdtempSync(join(tmpdir(), "backy-migration-"))
  const repository = join(place, "vm")
  const image = join(place, "disk.img")
  const wanted = Fixture.revisions(...KINDS)

  const run = (...args: ReadonlyArray<string>) =>
    execute(backy, ["-b", repository, ...args], { encoding: "buffer", maxBuffer: 2 ** 28, cwd: repository })
  const checkAll = async () => {
    for (const [id, { sha256: digest }] of Object.entries(wanted)) {
      assert.strictEqual(sha256((await run("restore", "-r", id, "-")).stdout), digest, id)
    }
  }

  /** Upgrades until it says that a revision is done, and kills it there. Whether it had come to its end before. */
  const upgradeAndKill = () =>
    new Promise<boolean>((resolve, reject) => {
      const child = spawn(backy, ["-b", repository, "upgrade"], { stdio: ["ignore", "ignore", "pipe"] })
      let said = ""
      child.stderr.on("data", (text: Buffer) => {
        said += text.toString()
        if (said.includes("is upgraded")) child.kill("SIGKILL")
      })
      child.on("error", reject)
      child.on("close", (code) => code === 0 || code === null ? resolve(code === 0) : reject(new Error(said)))
    })

  beforeAll(() => {
    for (const kind of KINDS) FS.cpSync(join(fixtures, kind), repository, { recursive: true })
    FS.rmSync(join(repository, "config"))
    // as the ancestor's scheduler writes it, with a file name against the current directory
    FS.copyFileSync(join(fixtures, "chunked", "config"), join(repository, "config"))
  })
  afterAll(() => FS.rmSync(place, { recursive: true, force: true }))

  it(
    "restores everything, continues the history, and upgrades through as many kills as there are revisions",
    async () => {
      await checkAll()
      const content = (await run("restore", "-r", "QwA2a9XWGvjB3h5AQdR4WW", "-")).stdout
      content.fill(9, 5_000_000, 5_000_100)
      FS.writeFileSync(image, content)
      await run("backup", "daily")
      const [newest = ""] = (await run("find", "--uuid")).stdout.toString().trim().split("\n")
      wanted[newest] = { sha256: sha256(content), size: content.length }
      await run("verify")
      let kills = 0
      while (!(await upgradeAndKill())) {
        kills++
        assert.isAtMost(kills, 10)
        if (kills === 3) await checkAll()
      }
      await run("purge")
      await checkAll()
      await run("verify")
      const left = FS.readdirSync(repository, { recursive: true, encoding: "utf8" })
      assert.deepStrictEqual(left.filter((name) => /\.(lzo|map|old|tmp)$/.test(name)), [])
      process.stdout.write(`upgrade was killed ${kills} times\n`)
    },
    300_000
  )
})
