/** Names that are not what they seem: with a slash at their end, of bytes that are no UTF-8, of a folder that was renamed. */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { afterEach, assert, beforeEach, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { execFileSync } from "node:child_process"
import * as FS from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Partial from "../../src/operation/partial.ts"
import * as BlockFile from "../../src/platform/nodeBlockFile.ts"
import * as FileLock from "../../src/platform/nodeFileLock.ts"
import { loopsOver } from "../support/loopsOver.ts"
import { image } from "./backy.ts"
import { run } from "./onDisk.ts"

let folder = ""
let repository = ""
const at = (...names: ReadonlyArray<string>) => join(folder, ...names)
/** A name in the folder whose second byte is no UTF-8. */
const strange = (name = "b") => Buffer.concat([Buffer.from(`${folder}/${name}`), Buffer.from([0xe4])])

beforeEach(async () => {
  folder = FS.mkdtempSync(join(tmpdir(), "backy-names-"))
  repository = at("vm")
  FS.writeFileSync(at("vm.img"), image(1))
  assert.strictEqual((await run(repository, "init", "file", at("vm.img"))).code, 0)
  assert.strictEqual((await run(repository, "backup", "daily")).code, 0)
})
afterEach(() => FS.rmSync(folder, { recursive: true, force: true }))

/** Names in a folder, as bytes. */
const names = (directory: string) =>
  FS.readdirSync(directory, { encoding: "buffer" }).map((name) => name.toString("latin1"))

/** What a restore that is refused says, having made nothing. */
const refused = async (target: string): Promise<string> => {
  const before = names(folder)
  const { code, said } = await run(repository, "restore", target)
  assert.strictEqual(code, 1, said)
  assert.deepStrictEqual(names(folder), before)
  return said
}

describe("a target", () => {
  it("whose name ends with a slash is no file", async () => {
    assert.include(await refused(`${at("nodir")}/`), "there is no such directory, and it is to be a file")
    assert.include(await refused(`${at("nodir")}/.`), "there is no such directory, and it is to be a file")
    assert.include(await refused(`${at("vm.img")}/`), "it is no directory, as the slash says")
    FS.mkdirSync(at("there"))
    assert.include(await refused(`${at("there")}/`), "it is a directory, not a file or block device")
  })

  it("to which a link with a strange name leads is refused, and no other one is made", async () => {
    FS.writeFileSync(strange(), "")
    FS.symlinkSync(strange(), at("link"))
    assert.include(await refused(at("link")), "a link on the way leads to a name that is not UTF-8")
    FS.mkdirSync(strange("folder"))
    FS.symlinkSync(strange("folder"), at("way"))
    assert.include(await refused(at("way", "new")), "a link on the way leads to a name that is not UTF-8")
    assert.deepStrictEqual(FS.readdirSync(strange("folder")), [])
  })

  it("whose folder is renamed meanwhile leaves nothing in it when it is given up", async () => {
    FS.mkdirSync(at("old"))
    const layer = Layer.provideMerge(FileLock.layer, Layer.merge(NodeFileSystem.layer, BlockFile.layer))
    const givenUp = Effect.scoped(Effect.map(Partial.make(at("old", "image")), () => {
      assert.strictEqual(names(at("old")).length, 1)
      FS.renameSync(at("old"), at("new"))
    }))
    await Effect.runPromise(Effect.provide(givenUp, layer))
    assert.deepStrictEqual(names(at("new")), [])
  })

  it("may have the character that stands for such bytes elsewhere", async () => {
    const target = at("b\ufffd")
    assert.strictEqual((await run(repository, "restore", target)).code, 0)
    assert.isTrue(FS.readFileSync(target).equals(image(1)))
  })

  it("is known as the image that is backed up, also by a link to a strange name", async () => {
    FS.renameSync(at("vm.img"), strange())
    FS.symlinkSync(strange(), at("vm.img"))
    FS.linkSync(strange(), at("other"))
    const { code, said } = await run(repository, "restore", at("other"))
    assert.strictEqual(code, 1, said)
    assert.include(said, "it is the source itself")
  })
})

describe("a repository", () => {
  it("may hold files with strange names, which are nobody's", async () => {
    const strangers = [`${repository}/x`, `${repository}/chunks/x`, `${repository}/quarantine/x`]
    FS.mkdirSync(join(repository, "quarantine"))
    for (const path of strangers) {
      for (const ending of ["", ".rev", ".tmp"]) {
        FS.writeFileSync(Buffer.concat([Buffer.from(path), Buffer.from([0xe4]), Buffer.from(ending)]), "x")
      }
    }
    // as a temporary file of ours, but for one byte
    const temporary = Buffer.concat([
      Buffer.from(`${repository}/.a`),
      Buffer.from([0xe4]),
      Buffer.from(".abcdefghijkl.tmp")
    ])
    FS.writeFileSync(temporary, "x")
    const before = names(repository)
    for (const command of [["status"], ["verify"], ["backup", "daily"], ["expire"], ["purge"], ["reports", "list"]]) {
      const { code, said } = await run(repository, ...command)
      assert.strictEqual(code, 0, `${command.join(" ")}: ${said}`)
    }
    assert.includeMembers(names(repository), before)
  })
})

describe("a loop device", () => {
  it.runIf(process.getuid?.() === 0)("over a file with a strange name is found", () => {
    FS.writeFileSync(strange(), Buffer.alloc(1 << 20))
    FS.linkSync(strange(), at("plain"))
    const script = "losetup --find --show \"$(printf '%s/b\\344' \"$0\")\""
    const device = execFileSync("bash", ["-c", script, folder], { encoding: "utf8" }).trim()
    try {
      assert.deepStrictEqual(loopsOver(at("plain")), [device])
    } finally {
      execFileSync("losetup", ["--detach", device])
    }
  })
})
