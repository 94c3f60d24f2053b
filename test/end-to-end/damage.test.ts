/** Broken files: one clear sentence, nothing else affected, nothing deleted. */
import { afterEach, assert, beforeEach, describe, it } from "@effect/vitest"
import { chmodSync, existsSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { backy, bash, chunkFiles, fails, MIB, noise, ok, workshop } from "./program.ts"

let shop: Awaited<ReturnType<typeof workshop>>
let older = ""
let newer = ""
beforeEach(async () => {
  shop = await workshop(noise(12 * MIB))
  await ok(...shop.args("backup", "weekly"))
  const changed = Buffer.concat([noise(8 * MIB), noise(4 * MIB, 2)])
  writeFileSync(shop.image, changed)
  await ok(...shop.args("backup", "daily"))
  const [first = "", second = ""] = await shop.ids()
  older = first
  newer = second
})
afterEach(() => shop.remove())

/** Files of the repository are read-only; damage does not ask. */
const overwrite = (path: string, change: (bytes: Buffer) => Buffer): void => {
  const bytes = readFileSync(path)
  chmodSync(path, 0o640)
  writeFileSync(path, change(bytes))
}

/** The chunk that only the newer revision has. */
const ownChunk = (): string => {
  const map = readFileSync(join(shop.repository, older), "utf8")
  return chunkFiles(shop.repository).find((path) => !map.includes(/(\w{64})\.chunk/.exec(path)?.[1] ?? "")) ?? ""
}

const flipped = (bytes: Buffer): Buffer => {
  const copy = Buffer.from(bytes)
  const middle = copy.length >> 1
  copy[middle] = (copy[middle] ?? 0) ^ 1
  return copy
}

describe("a damaged chunk", () => {
  for (
    const [kind, change] of [
      ["with one flipped bit", flipped],
      ["that was cut", (bytes: Buffer) => bytes.subarray(0, bytes.length - 10)],
      ["that is empty", () => Buffer.alloc(0)]
    ] as const
  ) {
    it(`${kind} fails the restore, costs salvage its range only, and is healed by the next backup`, async () => {
      const chunk = ownChunk()
      overwrite(chunk, change)
      const target = join(shop.folder, "out.img")
      assert.match(
        await fails(1, ...shop.args("restore", target)),
        /cannot be restored whole .*bytes 8388608 to 12582911/
      )
      assert.isFalse(existsSync(target))
      assert.isTrue((await shop.restored(older)).equals(noise(12 * MIB)))

      const salvaged = await backy(...shop.args("restore", "--salvage", target))
      assert.strictEqual(salvaged.code, 1)
      assert.match(salvaged.err, /^lost: bytes 8388608 to 12582911 .*\nbacky: .*except for 4194304 bytes/)
      assert.isTrue(readFileSync(target).equals(Buffer.concat([noise(8 * MIB), Buffer.alloc(4 * MIB)])))

      const verified = await backy(...shop.args("verify"))
      assert.strictEqual(verified.code, 1)
      assert.match(verified.out, new RegExp(`^${older} {2}verified\n${newer} {2}damaged\n`))
      assert.isTrue(existsSync(chunk))

      await ok(...shop.args("backup", "daily"))
      await ok(...shop.args("verify"))
      assert.isTrue((await shop.restored(newer)).equals(readFileSync(shop.image)))
    })
  }

  it("that is gone is noticed by verify and made again by the next backup", async () => {
    rmSync(ownChunk())
    assert.strictEqual((await backy(...shop.args("verify"))).code, 1)
    await ok(...shop.args("backup", "daily"))
    await ok(...shop.args("verify"))
  })
})

describe("a damaged map", () => {
  it("costs one revision only, and blocks purge until that is given up", async () => {
    overwrite(join(shop.repository, newer), (bytes) => bytes.subarray(0, 60))
    assert.match(await fails(1, ...shop.args("restore", join(shop.folder, "x"))), /chunk map .* cannot be used/)
    assert.isTrue((await shop.restored(older)).equals(noise(12 * MIB)))
    assert.match(await fails(1, ...shop.args("purge")), new RegExp(`nothing was purged.*backy forget -r ${newer}`))
    assert.strictEqual((await backy(...shop.args("verify"))).code, 1)
    await ok(...shop.args("backup", "daily"))
    assert.isTrue((await shop.restored()).equals(readFileSync(shop.image)))
    await ok(...shop.args("forget", "-r", newer))
    await ok(...shop.args("purge"))
    await ok(...shop.args("verify"))
  })

  it("with another chunk's name in it is noticed, too", async () => {
    overwrite(join(shop.repository, newer), (bytes) => {
      const lines = bytes.toString().split("\n")
      return Buffer.from([...lines.slice(0, 3), lines[4], lines[3], ...lines.slice(5)].join("\n"))
    })
    assert.match(await fails(1, ...shop.args("restore", join(shop.folder, "x"))), /changed since it was written/)
  })
})

describe("damaged metadata", () => {
  for (
    const [kind, text] of [["that is cut", "uuid: "], ["of nonsense", "\u0000{{{"], ["that is empty", ""]] as const
  ) {
    it(`${kind} hides one revision and nothing else`, async () => {
      overwrite(join(shop.repository, `${newer}.rev`), () => Buffer.from(text))
      const { code, err, out } = await backy(...shop.args("status"))
      assert.strictEqual(code, 0)
      assert.match(err, new RegExp(`^warning: ignoring .*${newer}\\.rev: .*\n$`))
      assert.include(out, older)
      assert.isTrue((await shop.restored(older)).equals(noise(12 * MIB)))
      // its map keeps its chunks
      const before = chunkFiles(shop.repository)
      await backy(...shop.args("purge"))
      assert.deepStrictEqual(chunkFiles(shop.repository), before)
      await ok(...shop.args("backup", "daily"))
      assert.isTrue(existsSync(join(shop.repository, `${newer}.rev`)))
    })
  }
})

describe("the source", () => {
  it("that is not what was stored is found out: no revision, evidence, and no exit code 0", async () => {
    // the copy is spoiled behind backy's back while the source stays as it is
    overwrite(ownChunk(), flipped)
    assert.strictEqual((await backy(...shop.args("verify"))).code, 1)
    writeFileSync(shop.image, noise(12 * MIB, 3))
    await ok(...shop.args("backup", "daily"))
    // the source no longer has the content of the damaged chunk
    assert.match(await ok(...shop.args("status")), new RegExp(`${newer}.*distrusted \\(damaged\\)`))
    assert.strictEqual((await backy(...shop.args("verify"))).code, 1)
    assert.match(await ok(...shop.args("reports", "list")), /damaged/)
  })

  it("is only ever read", async () => {
    const before = statSync(shop.image, { bigint: true })
    chmodSync(shop.image, 0o440)
    await ok(...shop.args("backup", "daily"))
    const after = statSync(shop.image, { bigint: true })
    assert.strictEqual(after.mtimeNs, before.mtimeNs)
    assert.strictEqual(after.size, before.size)
    assert.strictEqual((await bash("b3sum vm.img || true", shop.folder)).code, 0)
  })
})

describe("an image that was cut since", () => {
  it("is backed up as it is now when that is accepted, and the older revision keeps its size", async () => {
    truncateSync(shop.image, 5 * MIB + 1)
    assert.include(await fails(1, ...shop.args("backup", "daily")), "the source lost its content")
    await ok(...shop.args("backup", "--accept-shrink", "daily"))
    assert.strictEqual((await shop.restored()).length, 5 * MIB + 1)
    assert.strictEqual((await shop.restored(newer)).length, 12 * MIB)
  })
})
