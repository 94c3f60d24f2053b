import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import {
  chmodSync,
  existsSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync
} from "node:fs"
import { join } from "node:path"
import { backy, bash, chunkFiles, fails, MIB, noise, ok, workshop } from "./program.ts"

/** Two chunks of noise, two of text, borders with zeros in them, and a hole of two chunks and a bit. */
const image = (): Buffer => {
  const bytes = Buffer.alloc(29 * MIB + 777)
  noise(6 * MIB).copy(bytes)
  return bytes.fill("a line of text\n", 9 * MIB, 17 * MIB)
}

describe("a repository", () => {
  let shop: Awaited<ReturnType<typeof workshop>>
  beforeAll(async () => {
    shop = await workshop(image())
    await ok(...shop.args("backup", "daily"))
    const changed = image()
    changed.fill(0, 0, MIB)
    writeFileSync(shop.image, changed)
    await ok(...shop.args("backup", "daily,weekly"))
  })
  afterAll(() => shop.remove())

  it("gives back what was put in, to a file and to a pipe", async () => {
    const [older = "", newer = ""] = await shop.ids()
    assert.isTrue((await shop.restored(newer)).equals(readFileSync(shop.image)))
    assert.isTrue((await shop.restored(older)).equals(image()))
    const piped = await bash(
      `set -o pipefail; backy -b "${shop.repository}" restore -r latest - | cmp - "${shop.image}"`
    )
    assert.deepStrictEqual(piped, { code: 0, out: "", err: "" })
    const redirected = await bash(`backy -b vm restore - > out.img && cmp out.img vm.img`, shop.folder)
    assert.deepStrictEqual(redirected, { code: 0, out: "", err: "" })
  })

  it("leaves holes where there is nothing", async () => {
    const target = join(shop.folder, "sparse.img")
    await ok(...shop.args("restore", target))
    const { blocks, mode, size } = statSync(target)
    assert.strictEqual(size, image().length)
    assert.isBelow(blocks * 512, 21 * MIB)
    assert.strictEqual(mode & 0o077, 0)
  })

  it("stores no zeros, shares what did not change, and is not for everybody's eyes", async () => {
    assert.isBelow(chunkFiles(shop.repository).length, 7)
    for (const file of [...chunkFiles(shop.repository), join(shop.repository, "config")]) {
      assert.strictEqual(statSync(file).mode & 0o007, 0, file)
    }
  })

  it("can be moved, and read where nothing can be written", async () => {
    const copy = join(shop.folder, "elsewhere")
    await bash(`cp -a vm elsewhere && rm -f elsewhere/.backup elsewhere/.purge elsewhere/config`, shop.folder)
    const before = readdirSync(copy).sort()
    assert.include(await ok("-b", copy, "status"), "2 revisions")
    assert.deepStrictEqual(readdirSync(copy).sort(), before)
    assert.deepStrictEqual((await bash(`backy -b elsewhere restore - | cmp - vm.img`, shop.folder)).code, 0)
  })

  it("answers in JSON that other programs understand", async () => {
    const parsed = JSON.parse(await ok(...shop.args("status", "--json")))
    assert.deepStrictEqual(parsed.map((one: { uuid: string }) => one.uuid), await shop.ids())
    assert.isFalse(Number.isNaN(Date.parse(parsed[0].timestamp)))
  })

  it("says what is wrong with a spec or a target, and loses nothing", async () => {
    const before = readFileSync(shop.image)
    const target = join(shop.folder, "new.img")
    assert.match(await fails(1, ...shop.args("restore", "-r", "dayli", target)), /did you mean "daily"/)
    assert.match(
      await fails(1, ...shop.args("restore", "-r", "all", target)),
      /2 revisions fit, and exactly one is wanted/
    )
    assert.match(await fails(2, ...shop.args("restore", "-r", "first(", target)), /is no revision spec: /)
    assert.match(await fails(1, ...shop.args("restore", shop.folder)), /it is a directory/)
    assert.match(await fails(1, ...shop.args("restore", shop.image)), /it is the source itself/)
    symlinkSync(shop.image, join(shop.folder, "link"))
    assert.match(await fails(1, ...shop.args("restore", join(shop.folder, "link"))), /it is the source itself/)
    const [chunk = ""] = chunkFiles(shop.repository)
    assert.match(await fails(1, ...shop.args("restore", "-f", chunk)), /within the repository/)
    assert.match(await fails(1, ...shop.args("restore", join(shop.folder, "none", "x"))), /there is no directory/)
    assert.isFalse(existsSync(target))
    assert.isTrue(readFileSync(shop.image).equals(before))
    await ok(...shop.args("verify"))
  })

  it("is told from a directory that is none", async () => {
    assert.match(
      await fails(1, "-b", join(shop.folder, "nothing"), "status"),
      /there is no backy repository in .*nothing/
    )
    assert.match(await fails(1, "-b", shop.folder, "status"), /there is no backy repository/)
    assert.match(await fails(1, "-b", shop.image, "backup", "daily"), /vm\.img/)
    assert.match(await fails(1, ...shop.args("init", "file", "x")), /config is there already/)
  })

  it("keeps an old file's bytes out of a restored one", async () => {
    const target = join(shop.folder, "old.img")
    writeFileSync(target, Buffer.alloc(30 * MIB, 0xee))
    assert.match(await fails(1, ...shop.args("restore", target)), /-f overwrites it/)
    await ok(...shop.args("restore", "-f", target))
    assert.isTrue(readFileSync(target).equals(readFileSync(shop.image)))
  })
})

describe("an image", () => {
  it("of any size comes back as it was", async () => {
    const sizes = [0, 1, 511, 4 * MIB - 1, 4 * MIB, 4 * MIB + 1]
    const shop = await workshop(Buffer.alloc(0))
    for (const size of [...sizes, ...sizes.toReversed()]) {
      writeFileSync(shop.image, noise(size, size + 1))
      await ok(...shop.args("backup", "--accept-shrink", "daily"))
      assert.isTrue((await shop.restored()).equals(readFileSync(shop.image)), `${size} bytes`)
    }
    shop.remove()
  })

  it("with holes costs nothing for them", async () => {
    const shop = await workshop(Buffer.alloc(MIB, 1))
    truncateSync(shop.image, 2 ** 40)
    await ok(...shop.args("backup", "daily"))
    assert.strictEqual(chunkFiles(shop.repository).length, 1)
    assert.include(await ok(...shop.args("status")), "1.00 TiB")
    shop.remove()
  })

  it("that is missing or cannot be read is named, with its absolute path", async () => {
    const shop = await workshop(Buffer.alloc(1))
    const other = join(shop.folder, "other")
    const { code, err } = await bash(`backy -b other init file gone.img`, shop.folder)
    assert.strictEqual(code, 0)
    assert.match(err, /^warning: .*gone\.img: there is no such file\n$/)
    assert.strictEqual(
      await fails(1, "-b", other, "backup", "daily"),
      `backy: cannot back up ${join(shop.folder, "gone.img")}: there is no such file`
    )
    await bash("mkdir gone.img", shop.folder)
    assert.match(await fails(1, "-b", other, "backup", "daily"), /it is a directory, not an image file or block device/)
    if (process.getuid?.() !== 0) {
      chmodSync(shop.image, 0)
      assert.match(await fails(1, ...shop.args("backup", "daily")), /vm\.img.*permission denied \(EACCES\)/)
    }
    assert.deepStrictEqual(await shop.ids(), [])
    shop.remove()
  })

  it("with a relative name in the config is looked for from the current directory", async () => {
    const shop = await workshop(Buffer.from("here"))
    const config = join(shop.repository, "config")
    writeFileSync(config, readFileSync(config, "utf8").replace(shop.image, "vm.img"))
    assert.strictEqual((await bash("backy -b vm backup daily", shop.folder)).code, 0)
    const elsewhere = await bash("mkdir -p else && cd else && backy -b ../vm backup daily", shop.folder)
    assert.strictEqual(elsewhere.err, `backy: cannot back up ${shop.folder}/else/vm.img: there is no such file\n`)
    shop.remove()
  })
})

describe("a config", () => {
  it("with mistakes is refused with all of them, their lines and what was probably meant", async () => {
    const shop = await workshop(Buffer.alloc(1))
    const file = join(shop.repository, "config")
    writeFileSync(file, "source:\n  type: file\n  filname: x\nschedule:\n  daily:\n    interval: 1 day\n    keep: 0\n")
    const { code, err, out } = await backy(...shop.args("backup", "daily"))
    assert.strictEqual(code, 1)
    assert.strictEqual(out, "")
    const lines = err.trimEnd().split("\n")
    assert.isTrue(
      lines.some((line) => line.includes(`${file}:3: source.filname: `) && line.includes("\"filename\"")),
      err
    )
    assert.isTrue(lines.some((line) => line.includes(`${file}:6: schedule.daily.interval: expected a duration`)), err)
    assert.isTrue(lines.some((line) => line.includes(`${file}:7: schedule.daily.keep: expected a whole number`)), err)
    assert.isFalse(/ at .*\.m?[jt]s/.test(err), err)
    shop.remove()
  })

  it("is not needed to read what is there", async () => {
    const shop = await workshop(Buffer.from("content"))
    await ok(...shop.args("backup", "daily"))
    writeFileSync(join(shop.repository, "config"), "{")
    assert.include(await ok(...shop.args("status")), "1 revision")
    assert.strictEqual((await shop.restored()).toString(), "content")
    await ok(...shop.args("verify"))
    await ok(...shop.args("tags", "remove", "-r", "all", "none"))
    assert.match(await fails(1, ...shop.args("backup", "daily")), /config:1: /)
    shop.remove()
  })
})
