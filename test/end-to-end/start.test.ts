/** .ci/start.cjs with a small program: it may keep what was compiled, and must never run anything but the script. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import * as FS from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const start = fileURLToPath(new URL("../../.ci/start.cjs", import.meta.url))

let root = ""
beforeAll(() => {
  root = FS.mkdtempSync(join(tmpdir(), "backy-start-"))
})
afterAll(() => FS.rmSync(root, { recursive: true, force: true }))

/** A program of two files, the second of which is loaded later. */
const install = (name: string, word = "one") => {
  const folder = join(root, name)
  FS.mkdirSync(folder)
  FS.copyFileSync(start, join(folder, "start.cjs"))
  FS.writeFileSync(
    join(folder, "main.cjs"),
    `exports.name="main";const path=require("node:path");const say=()=>"${word}";
Promise.resolve().then(()=>require("./later.cjs")).then(({later})=>{
  console.log(say(),later(),path.basename(__filename),path.basename(__dirname),process.argv.slice(2).join());
  process.exit(3)
})`
  )
  FS.writeFileSync(join(folder, "later.cjs"), `const main=require("./main.cjs");exports.later=()=>main.name+" later"`)
  return folder
}

const run = (folder: string, env: Record<string, string> = {}, flags: ReadonlyArray<string> = []) => {
  const { status, stderr, stdout } = spawnSync(process.execPath, [...flags, join(folder, "start.cjs"), "a", "b"], {
    encoding: "utf8",
    env
  })
  return { status, stderr, stdout }
}

const right = (folder: string, word = "one") => ({
  status: 3,
  stderr: "",
  stdout: `${word} main later main.cjs ${folder.slice(root.length + 1)} a,b\n`
})

const kept = (folder: string) => join(folder, ".cache", `${process.version}-${process.arch}-plain`, "main.cjs.compiled")

describe("the start of the program", () => {
  it("keeps what was compiled when a run ends, and uses it without writing it again", () => {
    const folder = install("keeps")
    assert.deepStrictEqual(run(folder), right(folder))
    const before = FS.statSync(kept(folder))
    assert.deepStrictEqual(run(folder), right(folder))
    const after = FS.statSync(kept(folder))
    assert.deepStrictEqual([after.ino, after.mtimeMs], [before.ino, before.mtimeMs])
    assert.deepStrictEqual(FS.readdirSync(join(kept(folder), "..")).sort(), ["later.cjs.compiled", "main.cjs.compiled"])
  })

  it("makes it anew in training", () => {
    const folder = install("trains")
    run(folder)
    const before = FS.statSync(kept(folder)).ino
    assert.deepStrictEqual(run(folder, { BACKY_TRAINING: "1" }), right(folder))
    assert.notStrictEqual(FS.statSync(kept(folder)).ino, before)
  })

  it("runs a new script of the same length, not what is left of the old one", () => {
    const folder = install("changes")
    run(folder)
    const other = install("other", "two")
    FS.copyFileSync(join(other, "main.cjs"), join(folder, "main.cjs"))
    assert.deepStrictEqual(run(folder), right(folder, "two"))
    assert.deepStrictEqual(run(folder), right(folder, "two"))
  })

  it("makes it anew when it is cut or damaged anywhere", () => {
    const folder = install("damage")
    run(folder)
    const file = kept(folder)
    const whole = FS.readFileSync(file)
    const flipped = (position: number) => {
      const bytes = Buffer.from(whole)
      bytes.writeUInt8(bytes.readUInt8(position) ^ 0x10, position)
      return bytes
    }
    const damaged = [
      ...[0, 1, 7, 8, 9, 100, whole.length - 1].map((length) => whole.subarray(0, length)),
      ...[0, 4, 8, 20, 200, whole.length - 1].map(flipped),
      Buffer.alloc(whole.length),
      Buffer.concat([whole, Buffer.from("more")])
    ]
    for (const bytes of damaged) {
      FS.writeFileSync(file, bytes)
      assert.deepStrictEqual(run(folder), right(folder))
      assert.isFalse(FS.readFileSync(file).equals(bytes), `${bytes.length} bytes are kept`)
    }
  })

  it("does without where it may not write, and under flags that V8 compiles differently for", () => {
    const folder = install("refused")
    FS.writeFileSync(join(folder, ".cache"), "no folder")
    assert.deepStrictEqual(run(folder), right(folder))
    const flags = install("flags")
    run(flags)
    const before = FS.readFileSync(kept(flags))
    assert.deepStrictEqual(run(flags, {}, ["--no-lazy"]), right(flags))
    assert.isTrue(FS.readFileSync(kept(flags)).equals(before))
  })
})
