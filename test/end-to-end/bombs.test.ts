/**
 * Small files that become huge, and huge files in the place of small ones: the built program finds them damaged with
 * the memory that it always needs. The heap is limited as well.
 */
import { afterEach, assert, beforeEach, describe, it } from "@effect/vitest"
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs"
import { basename, dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { zstdDecompressSync } from "node:zlib"
import { chunkFiles, MIB, noise, ok, PROGRAM, run, workshop } from "./program.ts"

const GIB = 1024 * MIB
/** A process of ours has about 150 MiB when it has read a few chunks; a bomb that went off would take gigabytes. */
const MOST = 512 * MIB
const preload = fileURLToPath(new URL("../support/tellPeak.mjs", import.meta.url))

let shop: Awaited<ReturnType<typeof workshop>>
beforeEach(async () => {
  shop = await workshop(noise(6 * MIB))
  await ok(...shop.args("backup", "daily"))
})
afterEach(() => shop.remove())

/** Runs the program with little heap, and looks at the most memory it had. */
const bounded = async (...argv: ReadonlyArray<string>) => {
  const peak = join(shop.folder, "peak")
  const result = await run(PROGRAM, shop.args(...argv), {
    env: { NODE_OPTIONS: `--import=${preload} --max-old-space-size=96`, BACKY_TEST_PEAK: peak }
  })
  const bytes = 1024 * Number(readFileSync(peak, "utf8"))
  assert.isAbove(bytes, 10 * MIB)
  assert.isBelow(bytes, MOST, `${argv.join(" ")} took ${Math.round(bytes / MIB)} MiB`)
  return result
}

/**
 * A zstd frame of so many zero bytes, written by hand (RFC 8878): 128 KiB in each block of four bytes. `window`: the
 * exponent of the memory that the decoder is asked to keep; `claims`: the size in the header, if there is one.
 */
const bomb = (bytes: number, options: { readonly window: number; readonly claims?: bigint }): Buffer => {
  const block = 128 * 1024
  const count = bytes / block
  const header = Buffer.from([
    0x28,
    0xb5,
    0x2f,
    0xfd,
    options.claims === undefined ? 0 : 0xc0,
    (options.window - 10) << 3
  ])
  const claim = Buffer.alloc(options.claims === undefined ? 0 : 8)
  if (options.claims !== undefined) claim.writeBigUInt64LE(options.claims)
  const blocks = Buffer.alloc(4 * count)
  for (let index = 0; index < count; index++) {
    // size, kind (1: one byte again and again), and whether it is the last
    blocks.writeUIntLE(block << 3 | 1 << 1 | (index === count - 1 ? 1 : 0), 4 * index, 3)
  }
  return Buffer.concat([header, claim, blocks])
}

const replace = (path: string, bytes: Uint8Array): void => {
  chmodSync(path, 0o640)
  writeFileSync(path, bytes)
}

/** A file of that size that takes no room. */
const inflate = (path: string, size: number): void => {
  rmSync(path, { force: true })
  writeFileSync(path, "")
  truncateSync(path, size)
}

describe("a chunk that becomes gigabytes", () => {
  it("is a valid frame: the bomb of this test works", () => {
    assert.strictEqual(zstdDecompressSync(bomb(16 * MIB, { window: 20 })).length, 16 * MIB)
    assert.strictEqual(zstdDecompressSync(bomb(16 * MIB, { window: 20, claims: BigInt(16 * MIB) })).length, 16 * MIB)
    assert.throws(() => zstdDecompressSync(bomb(16 * MIB, { window: 20 }), { maxOutputLength: 16 * MIB - 1 }))
  })

  for (
    const [kind, make] of [
      ["without saying so", () => bomb(16 * GIB, { window: 20 })],
      ["and says so", () => bomb(16 * GIB, { window: 20, claims: BigInt(16 * GIB) })],
      ["and claims exabytes", () => bomb(GIB, { window: 20, claims: 1n << 62n })],
      ["and claims to be small", () => bomb(16 * GIB, { window: 20, claims: BigInt(4 * MIB) })],
      ["and wants a window of 128 MiB", () => bomb(16 * GIB, { window: 27 })],
      ["and wants a window of terabytes", () => bomb(GIB, { window: 41 })]
    ] as const
  ) {
    it(`${kind} is damage like any other, for little memory, and is healed`, async () => {
      const [path = ""] = chunkFiles(shop.repository)
      const content = make()
      assert.isBelow(content.length, MIB)
      replace(path, content)
      const target = join(shop.folder, "restored.img")
      const refused = await bounded("restore", target)
      assert.strictEqual(refused.code, 1, refused.err)
      assert.match(refused.err, /cannot be restored whole \(chunk \S+ is no zstd frame of \d+ bytes/)
      assert.strictEqual((await bounded("restore", "--salvage", target)).code, 1)
      assert.strictEqual((await bounded("verify")).code, 1)
      assert.strictEqual((await bounded("backup", "daily")).code, 0)
      assert.strictEqual((await bounded("verify", "-r", "all")).code, 0)
    })
  }
})

describe("a file of 64 GiB in the place of a small one", () => {
  it("is a damaged chunk, and is healed", async () => {
    const [path = ""] = chunkFiles(shop.repository)
    inflate(path, 64 * GIB)
    assert.strictEqual((await bounded("verify")).code, 1)
    assert.strictEqual((await bounded("backup", "daily")).code, 0)
    assert.strictEqual((await bounded("verify", "-r", "all")).code, 0)
  })

  it("is no map: the revision is lost, the next backup is whole, and purge stops", async () => {
    const [id = ""] = await shop.ids()
    inflate(join(shop.repository, id), 64 * GIB)
    assert.strictEqual((await bounded("restore", join(shop.folder, "x"))).code, 1)
    assert.strictEqual((await bounded("verify")).code, 1)
    assert.match((await bounded("purge")).err, /nothing was purged/)
    assert.strictEqual((await bounded("backup", "daily")).code, 0)
  })

  it("is no metadata: other revisions are as they were", async () => {
    const [id = ""] = await shop.ids()
    await ok(...shop.args("backup", "daily"))
    inflate(join(shop.repository, `${id}.rev`), 64 * GIB)
    for (const argv of [["status"], ["backup", "daily"], ["purge"]]) {
      assert.strictEqual((await bounded(...argv)).code, 0, argv.join(" "))
    }
    const verified = await bounded("verify", "-r", "all")
    assert.strictEqual(verified.code, 1)
    assert.include(verified.out + verified.err, id)
  })

  it("is no config, no report and no note of who holds a lock", async () => {
    mkdirSync(join(shop.repository, "quarantine"))
    inflate(join(shop.repository, "quarantine", "KDYVkEfuhFx5cpRJDZbZGm.report"), 64 * GIB)
    assert.include(
      (await bounded("reports", "list")).out + (await bounded("reports", "list")).err,
      "KDYVkEfuhFx5cpRJDZbZGm"
    )
    inflate(join(shop.repository, ".backup"), 64 * GIB)
    assert.strictEqual((await bounded("backup", "daily")).code, 0)
    inflate(join(shop.repository, "config"), 64 * GIB)
    const refused = await bounded("backup", "daily")
    assert.strictEqual(refused.code, 1)
    assert.match(refused.err, /^backy: .*config.*\n$/)
  })

  it("is left alone where it is none of ours", async () => {
    const [path = ""] = chunkFiles(shop.repository)
    const strange = join(dirname(path), `${basename(path)}.copy`)
    inflate(strange, 64 * GIB)
    for (const argv of [["verify"], ["backup", "daily"], ["purge"]]) {
      assert.strictEqual((await bounded(...argv)).code, 0, argv.join(" "))
    }
    assert.isTrue(existsSync(strange))
  })
})
