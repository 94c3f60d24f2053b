/** Real kills and real neighbours: what is left behind, and who is named. */
import { afterEach, assert, beforeEach, describe, it } from "@effect/vitest"
import { readdirSync, readFileSync } from "node:fs"
import { backy, chunkFiles, fails, MIB, noise, ok, start, until, workshop } from "./program.ts"

let shop: Awaited<ReturnType<typeof workshop>>
beforeEach(async () => {
  shop = await workshop(noise(128 * MIB))
})
afterEach(() => shop.remove())

/** A backup that has stored something but is far from its end. */
const underWay = async () => {
  const running = start(shop.args("backup", "daily"), { workers: 1 })
  await until(() => chunkFiles(shop.repository).length > 0)
  return running
}

const nextIsGood = async () => {
  const made = await ok(...shop.args("backup", "daily"))
  assert.strictEqual((await shop.ids()).length, 1)
  assert.isTrue((await shop.restored()).equals(readFileSync(shop.image)))
  await ok(...shop.args("verify"))
  await ok(...shop.args("purge"))
  assert.strictEqual(chunkFiles(shop.repository).length, 32)
  return made
}

describe("a backup", () => {
  it("that is killed leaves no revision, and the next one reuses what it stored", async () => {
    const { child, ended } = await underWay()
    child.kill("SIGKILL")
    assert.strictEqual((await ended).signal, "SIGKILL")
    assert.deepStrictEqual(await shop.ids(), [])
    assert.match(await ok(...shop.args("status")), /incomplete\n0 revisions\n$/)
    const stored = chunkFiles(shop.repository).length
    const made = await nextIsGood()
    assert.include(made, `${32 - stored} chunks stored`)
    assert.include(made, `${stored} already there`)
  })

  it("that is terminated ends with 143 and no complaint, and the next one is fine", async () => {
    const { child, ended } = await underWay()
    child.kill("SIGTERM")
    assert.deepStrictEqual(await ended, { code: 143, signal: null, err: "backy: interrupted\n" })
    assert.deepStrictEqual(await shop.ids(), [])
    await nextIsGood()
  })

  it("that is interrupted at the keyboard ends with 130", async () => {
    const { child, ended } = await underWay()
    child.kill("SIGINT")
    assert.strictEqual((await ended).code, 130)
  })

  it("keeps others out, who are told whom they wait for", async () => {
    const { child, ended } = await underWay()
    child.kill("SIGSTOP")
    try {
      const said = await fails(75, ...shop.args("backup", "daily"))
      assert.match(
        said,
        new RegExp(`\\.backup is locked by backy .*backup .*process ${child.pid} on .*, since 20\\d\\d-`)
      )
      assert.match(await fails(75, ...shop.args("purge")), /locked/)
      assert.match(await fails(75, ...shop.args("forget", "-r", "all")), /locked/)
      assert.strictEqual((await backy(...shop.args("status"))).code, 0)
    } finally {
      child.kill("SIGCONT")
    }
    // who is willing to wait gets it
    const second = start(shop.args("backup", "daily", "--wait", "10m"))
    assert.strictEqual((await ended).code, 0)
    assert.strictEqual((await second.ended).code, 0)
    assert.strictEqual((await shop.ids()).length, 2)
  })
})

describe("a restore", () => {
  it("that is terminated leaves no half image under the target's name", async () => {
    await ok(...shop.args("backup", "daily"))
    const target = `${shop.makeFolder("target")}/vm.img`
    const { child, ended } = start(shop.args("restore", target), { workers: 1 })
    await until(() => readdirSync(`${shop.folder}/target`).some((name) => name.startsWith(".backy-")))
    child.kill("SIGTERM")
    assert.strictEqual((await ended).code, 143)
    assert.deepStrictEqual(readdirSync(`${shop.folder}/target`), [])
  })
})
