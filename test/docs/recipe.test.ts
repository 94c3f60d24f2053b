/** The recipe of docs/format.md is part of the product: it is taken from the page as it is and run. */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { spawnSync } from "node:child_process"
import * as FS from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { backup } from "../../src/operation/backup.ts"
import * as FileLock from "../../src/platform/FileLock.ts"
import * as NodeBlockFile from "../../src/platform/nodeBlockFile.ts"
import * as NodeDevices from "../../src/platform/nodeDevices.ts"
import * as Repository from "../../src/repository/Repository.ts"
import * as FileSource from "../../src/source/FileSource.ts"
import * as Blocks from "../../src/store/Blocks.ts"
import * as ChunkStore from "../../src/store/ChunkStore.ts"
import { schedule } from "../support/World.ts"

const MIB = 1024 * 1024

/** The one shell block of the page. */
const recipe = (): string => {
  const page = FS.readFileSync(new URL("../../docs/format.md", import.meta.url), "utf8")
  const found = [...page.matchAll(/^```sh\n(.*?)^```$/gms)].map(([_, text]) => text ?? "")
  assert.strictEqual(found.length, 1, "docs/format.md has one shell block")
  return found[0] ?? ""
}

const missing = ["zstd", "b3sum"].filter((program) => spawnSync(program, ["--version"]).error !== undefined)
const why = missing.length === 0 ? "" : ` (skipped: ${missing.join(" and ")} not installed; apt-get install zstd b3sum)`
// where everything is supposed to be installed, a missing program is a failure
const isSkipped = missing.length > 0 && process.env["BACKY_TEST_ROOT"] !== "1"

/** Bytes without a pattern, the same for the same seed. */
const noise = (seed: number, length: number): Uint8Array => {
  const words = new Uint32Array(Math.ceil(length / 4))
  let state = seed
  for (let index = 0; index < words.length; index++) {
    state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9 | 0
    words[index] = state
  }
  return new Uint8Array(words.buffer, 0, length)
}

/** Data, holes of several chunks, a zero block over old data, a last chunk that is not whole. */
const images = (): ReadonlyArray<Uint8Array> => {
  const first = new Uint8Array(21 * MIB + 777)
  first.set(noise(1, 5 * MIB), 0)
  first.set(noise(2, MIB), 18 * MIB)
  first.set(noise(3, 777), 21 * MIB)
  const second = Uint8Array.from(first.subarray(0, 18 * MIB + 5))
  second.fill(0, 0, 4 * MIB)
  return [first, second, new Uint8Array(0), first.subarray(0, 1)]
}

const overNode = (directory: string, image: string) =>
  Layer.mergeAll(
    Repository.layer(directory),
    ChunkStore.layerFile(directory),
    FileSource.layer(image)
  ).pipe(Layer.provideMerge(Layer.mergeAll(
    NodeFileSystem.layer,
    NodeBlockFile.layer,
    FileLock.layerMemory(),
    NodeDevices.layer,
    Blocks.layer({ workers: 2, level: 1, entry: new URL("../../src/store/blockWorker.ts", import.meta.url) })
  )))

/** A real repository with a revision of each image, and the recipe as a file. */
const prepared = Effect.gen(function*() {
  assert.deepStrictEqual(missing, [], "install them: apt-get install zstd b3sum")
  const place = yield* Effect.acquireRelease(
    Effect.sync(() => FS.mkdtempSync(join(tmpdir(), "backy-recipe-"))),
    (path) => Effect.sync(() => FS.rmSync(path, { recursive: true, force: true }))
  )
  const [repository, image, script] = ["repository", "image", "restore.sh"].map((name) => join(place, name))
  if (repository === undefined || image === undefined || script === undefined) return yield* Effect.dieMessage("paths")
  FS.mkdirSync(repository)
  FS.writeFileSync(join(repository, "config"), "")
  FS.writeFileSync(script, recipe())
  const revisions = yield* Effect.forEach(images(), (bytes) =>
    Effect.gen(function*() {
      FS.writeFileSync(image, bytes)
      const { revision } = yield* backup({
        tags: ["daily"],
        schedule,
        force: false,
        acceptShrink: true,
        wait: Duration.zero
      })
      return { id: revision.id, bytes }
    })).pipe(Effect.provide(overNode(repository, image)))
  const restore = (id: string) => {
    const target = join(place, `restored-${id}`)
    const { status, stderr } = spawnSync("sh", [script, repository, id, target], { encoding: "utf8" })
    return { status, stderr, target }
  }
  return { repository, revisions, restore }
})

describe.skipIf(isSkipped)(`the recipe of docs/format.md${why}`, () => {
  it.scoped("restores every revision of a repository without backy", () =>
    Effect.gen(function*() {
      const { restore, revisions } = yield* prepared
      for (const { bytes, id } of revisions) {
        const { status, stderr, target } = restore(id)
        assert.deepStrictEqual([status, stderr], [0, ""])
        assert.isTrue(Buffer.compare(FS.readFileSync(target), bytes) === 0, `image of ${bytes.length} bytes`)
      }
    }))

  it.scoped("leaves holes as holes and clears a target that was there", () =>
    Effect.gen(function*() {
      const { restore, revisions } = yield* prepared
      const [first] = revisions
      if (first === undefined) return assert.fail("no revision")
      const { target } = restore(first.id)
      assert.isBelow(FS.statSync(target).blocks * 512, 18 * MIB)
      FS.writeFileSync(target, noise(9, 30 * MIB))
      assert.strictEqual(restore(first.id).status, 0)
      assert.isTrue(Buffer.compare(FS.readFileSync(target), first.bytes) === 0)
    }))

  it.scoped("refuses a chunk that is damaged, cut or missing, by name, and what is no map", () =>
    Effect.gen(function*() {
      const { repository, restore, revisions } = yield* prepared
      const id = revisions[0]?.id ?? ""
      const name = FS.readFileSync(join(repository, id), "utf8").split("\n")[3] ?? ""
      const other = FS.readFileSync(join(repository, id), "utf8").split("\n")[4] ?? ""
      const pathOf = (hex: string) => join(repository, "chunks", hex.slice(0, 2), `${hex}.chunk.zst`)
      const path = pathOf(name)
      const good = FS.readFileSync(path)
      const refused = (what: string) => {
        const { status, stderr } = restore(id)
        assert.strictEqual(status, 1, what)
        assert.include(stderr, name, what)
      }
      FS.rmSync(path)
      refused("missing")
      FS.writeFileSync(path, good.subarray(0, good.length - 10))
      refused("cut")
      FS.writeFileSync(path, FS.readFileSync(pathOf(other)))
      refused("swapped")
      FS.writeFileSync(path, good)
      assert.strictEqual(restore(id).status, 0)
      const map = FS.readFileSync(join(repository, id), "utf8")
      const lines = map.split("\n")
      const maps = {
        "a digit is another one": map.replace(name, name.replace(/./, (first) => first === "0" ? "1" : "0")),
        "a line is missing": lines.toSpliced(4, 1).join("\n"),
        "a line stands twice": lines.toSpliced(4, 0, lines[4] ?? "").join("\n"),
        "its digest is missing": `${lines.slice(0, -2).join("\n")}\n`,
        "it was cut": map.slice(0, 200)
      }
      for (const [what, text] of Object.entries(maps)) {
        FS.chmodSync(join(repository, id), 0o640)
        FS.writeFileSync(join(repository, id), text)
        const { status, stderr } = restore(id)
        assert.strictEqual(status, 1, what)
        assert.include(stderr, "is damaged", what)
      }
      FS.writeFileSync(join(repository, id), map)
      assert.strictEqual(restore(id).status, 0)
      const { status, stderr } = restore(`${id}.rev`)
      assert.strictEqual(status, 1)
      assert.include(stderr, "is no chunk map")
    }))
})
