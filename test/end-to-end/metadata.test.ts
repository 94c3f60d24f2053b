/**
 * Damaged metadata under the built program: a sample of what test/simulation/metadata.test.ts tries, and the cases that
 * operators met. `BACKY_METADATA_RUNS` tries so many damages (each starts the program seven times), `BACKY_SEED` the same
 * again.
 */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as FS from "node:fs"
import { join } from "node:path"
import { type Damage, damages } from "../support/metadataDamage.ts"
import { backy, chunkFiles, fails, MIB, noise, ok, workshop } from "./program.ts"

const SEED = Number(process.env["BACKY_SEED"] ?? Date.now() % 1_000_000)
const RUNS = Number(process.env["BACKY_METADATA_RUNS"] ?? 2)

let shop: Awaited<ReturnType<typeof workshop>>
let ids: ReadonlyArray<string>
const first = noise(5 * MIB)
const second = Buffer.concat([noise(4 * MIB), noise(MIB, 2)])

beforeAll(async () => {
  shop = await workshop(first)
  await ok(...shop.args("backup", "daily"))
  FS.writeFileSync(shop.image, second)
  await ok(...shop.args("backup", "daily"))
  ids = await shop.ids()
}, 120_000)
afterAll(() => shop.remove())

/** A copy of the repository in which one file is another one. */
const damaged = (file: string, change: (bytes: Buffer) => Uint8Array): string => {
  const copy = shop.makeFolder(`copy-${Math.random().toString(36).slice(2)}`)
  FS.cpSync(shop.repository, copy, { recursive: true })
  const path = join(copy, file)
  FS.chmodSync(path, 0o640)
  FS.writeFileSync(path, change(FS.readFileSync(path)))
  return copy
}

const restored = async (repository: string, id: string) => {
  const target = join(repository, "..", `out-${Math.random().toString(36).slice(2)}`)
  const result = await backy("-b", repository, "restore", "-r", id, target)
  return { ...result, bytes: FS.existsSync(target) ? FS.readFileSync(target) : undefined }
}

const edited = (from: RegExp | string, to: string) => (bytes: Buffer): Buffer =>
  Buffer.from(bytes.toString().replace(from, to))

describe("metadata that is damaged", () => {
  it("of one bit, by which the revision looked like an image, costs no chunk", async () => {
    const copy = damaged(`${ids[0]}.rev`, edited("backend_type", "backend_typd"))
    const before = chunkFiles(copy)
    const { code, err } = await backy("-b", copy, "purge")
    assert.strictEqual(code, 0, err)
    assert.include(err, `${ids[0]}.rev cannot be used`)
    assert.deepStrictEqual(chunkFiles(copy), before)
  }, 120_000)

  it("of one bit, by which the revision looked like one that was never completed, is not removed", async () => {
    const copy = damaged(`${ids[0]}.rev`, edited("duration", "durauion"))
    const before = chunkFiles(copy)
    await ok("-b", copy, "backup", "daily")
    await ok("-b", copy, "purge")
    assert.includeMembers([...chunkFiles(copy)], [...before])
    assert.isTrue(FS.existsSync(join(copy, `${ids[0]}.rev`)))
    FS.writeFileSync(join(copy, `${ids[0]}.rev`), FS.readFileSync(join(shop.repository, `${ids[0]}.rev`)))
    assert.isTrue((await restored(copy, ids[0] ?? "")).bytes?.equals(first))
  }, 120_000)

  it("without the digest of its map does not let another map be believed", async () => {
    const copy = damaged(`${ids[0]}.rev`, edited(/^map_digest.*\n/m, ""))
    const { bytes, code, err } = await restored(copy, ids[0] ?? "")
    assert.strictEqual(code, 1, err)
    assert.isUndefined(bytes)
    assert.include(await fails(1, "-b", copy, "restore", `${copy}-image`), "name a revision by its full id")
  }, 120_000)

  it("in a map stops purge, which says how to go on, and that is so", async () => {
    const copy = damaged(ids[0] ?? "", edited(/^-?\w/m, "x"))
    const line = await fails(1, "-b", copy, "purge")
    assert.include(line, `backy forget -r ${ids[0]}`)
    await ok("-b", copy, "forget", "-r", ids[0] ?? "")
    await ok("-b", copy, "purge")
    assert.isTrue((await restored(copy, ids[1] ?? "")).bytes?.equals(second))
  }, 120_000)

  it(`somewhere (seed ${SEED}) loses no file and gives no wrong byte`, async () => {
    let state = SEED
    const next = (below: number): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
      return (state >>> 8) % below
    }
    const files = [`${ids[0]}.rev`, ids[1] ?? "", `${ids[1]}.rev`, ids[0] ?? ""]
    for (let n = 0; n < RUNS; n++) {
      const file = files[n % files.length] ?? ""
      const all: ReadonlyArray<Damage> = [...damages(FS.readFileSync(join(shop.repository, file)))]
      const damage = all[next(all.length)]
      if (damage === undefined) continue
      const what = `seed ${SEED}: ${file}, ${damage.what}`
      const copy = damaged(file, () => damage.content)
      const before = chunkFiles(copy)
      for (const argv of [["verify"], ["backup", "daily"], ["expire"], ["purge"]]) {
        const { code, err } = await backy("-b", copy, ...argv)
        assert.include([0, 1], code, `${what}: ${err}`)
        assert.includeMembers([...chunkFiles(copy)], [...before], `${what}: ${argv.join(" ")}`)
      }
      for (const [at, image] of [first, second].entries()) {
        const { bytes, code } = await restored(copy, ids[at] ?? "")
        if (code === 0) assert.isTrue(bytes?.equals(image), `${what}: restore`)
      }
      FS.chmodSync(join(copy, file), 0o640)
      FS.writeFileSync(join(copy, file), FS.readFileSync(join(shop.repository, file)))
      const whole = await backy("-b", copy, "verify")
      assert.strictEqual(whole.code, 0, `${what}: put back: ${whole.err}`)
      FS.rmSync(copy, { recursive: true })
    }
  }, 3_600_000)
})
