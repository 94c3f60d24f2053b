import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import * as Backy from "./backy.ts"
import * as Cluster from "./cluster.ts"

const MiB = 1024 * 1024

/** All that is to be known of an image's snapshots, by its id: its name may be another one by now. */
const snapshotsOf = async (id: string): Promise<ReadonlyArray<string>> =>
  JSON.parse((await Cluster.rbd("snap", "ls", "--format", "json", "--pool", "rbd", "--image-id", id)).toString())
    .map(({ name }: { readonly name: string }) => name)

const idOf = async (image: string): Promise<string> =>
  JSON.parse((await Cluster.rbd("info", "--format", "json", `rbd/${image}`)).toString()).id

/** A repository with one backup of an image, which was changed since then. */
const setUp = async (directory: string, make: (image: string) => Promise<void>) => {
  const image = Cluster.fresh()
  await make(image)
  const repository = join(directory, "vm")
  await Backy.done(repository, ["init", "ceph-rbd", `rbd/${image}`])
  await Backy.done(repository, ["backup", "daily"])
  const [base = ""] = await Backy.revisions(repository)
  await Cluster.write(image, 0, new Uint8Array(14 * MiB).fill(2))
  return { image, id: await idOf(image), repository, base }
}

/** `rbd`, which does something else when so much of the diff was written. */
const whileReading = (directory: string, commands: string) =>
  Backy.instead(
    directory,
    `[ "$1" = export-diff ] || exec rbd "$@"
    rbd "$@" | { head -c 5000000; ${commands}; cat; }
    exit \${PIPESTATUS[0]}`
  )

const plain = async (image: string) => {
  await Cluster.create(image, 20 * MiB)
  await Cluster.write(image, 0, new Uint8Array(20 * MiB).fill(1))
}

/** The next backup is well: byte for byte what its snapshot has, and the only snapshot of ours. */
const goesOn = async (repository: string, image: string) => {
  await Backy.done(repository, ["backup", "daily"])
  const last = (await Backy.revisions(repository)).at(-1) ?? ""
  const { digest } = await Backy.done(repository, ["restore", "-r", last, "-"])
  assert.strictEqual(digest, Backy.sha256(await Cluster.exported(image, `backy-${last}`)))
  assert.deepStrictEqual(await snapshotsOf(await idOf(image)), [`backy-${last}`])
  // The last line is the digest of the one before it.
  assert.match(
    readFileSync(join(repository, "snapshots"), "utf8"),
    new RegExp(`^rbd/${image}@backy-${last}\ndigest \\w+\n$`)
  )
}

/** A failed backup: one sentence, and nothing that was not there before. */
const failsWith = async (repository: string, base: string, id: string, wrapper: string, sentence: RegExp) => {
  const { code, stderr } = await Backy.run(repository, ["backup", "daily"], { BACKY_RBD: wrapper })
  assert.strictEqual(code, 1, stderr)
  assert.match(stderr, sentence)
  assert.strictEqual(stderr.trimEnd().split("\n").length, 1, stderr)
  assert.deepStrictEqual(await Backy.revisions(repository), [base])
  assert.deepStrictEqual((await snapshotsOf(id)).filter((name) => name !== `backy-${base}`), [])
}

const gone =
  /^backy: cannot back up rbd\/\S+: the image was renamed, moved to the trash or deleted while it was backed up$/m

describe("images that somebody changes in the middle of a backup", () => {
  it("renamed: fails, leaves no snapshot under the new name, and goes on when the name is back", async () => {
    using directory = Backy.temporary()
    const { base, id, image, repository } = await setUp(directory.path, plain)
    const wrapper = whileReading(directory.path, `rbd rename rbd/${image} rbd/${image}-moved`)
    await failsWith(repository, base, id, wrapper, gone)
    const missing = await Backy.run(repository, ["backup", "daily"])
    assert.match(missing.stderr, /^backy: cannot back up rbd\/\S+: there is no such image$/m)
    await Cluster.rbd("rename", `rbd/${image}-moved`, `rbd/${image}`)
    await goesOn(repository, image)
  })

  it("moved to the trash: fails, leaves no snapshot in the trash, and goes on when it is restored", async () => {
    using directory = Backy.temporary()
    const { base, id, image, repository } = await setUp(directory.path, plain)
    const wrapper = whileReading(directory.path, `rbd trash mv rbd/${image}`)
    await failsWith(repository, base, id, wrapper, gone)
    assert.include((await Cluster.rbd("trash", "ls", "rbd")).toString(), id)
    await Cluster.rbd("trash", "restore", "--pool", "rbd", id)
    await goesOn(repository, image)
  })

  it("its snapshot removed, or that of the base: fails, and goes on", async () => {
    using directory = Backy.temporary()
    const { base, id, image, repository } = await setUp(directory.path, plain)
    const removed = /^backy: cannot back up rbd\/\S+: somebody removed its snapshot backy-\w+ while it was backed up$/m
    const list = `rbd snap ls rbd/${image} | grep -o 'backy-[^ ]*'`
    const own = `rbd snap rm --no-progress rbd/${image}@$(${list} | grep -v ${base})`
    await failsWith(repository, base, id, whileReading(directory.path, own), removed)
    assert.deepStrictEqual(await snapshotsOf(id), [`backy-${base}`])
    const ofBase = `rbd snap rm --no-progress rbd/${image}@backy-${base}`
    await failsWith(repository, base, id, whileReading(directory.path, ofBase), removed)
    await goesOn(repository, image)
  })

  it("flattened and resized: what is backed up is the snapshot, and the next increment is right, too", async () => {
    using directory = Backy.temporary()
    const { image, repository } = await setUp(directory.path, async (image) => {
      await plain(`${image}-parent`)
      await Cluster.rbd("snap", "create", "--no-progress", `rbd/${image}-parent@golden`)
      await Cluster.rbd("snap", "protect", `rbd/${image}-parent@golden`)
      await Cluster.rbd("clone", `rbd/${image}-parent@golden`, `rbd/${image}`)
    })
    const commands = `rbd flatten --no-progress rbd/${image} >&2; rbd resize --no-progress --size 30M rbd/${image} >&2`
    await Backy.done(repository, ["backup", "daily"], { BACKY_RBD: whileReading(directory.path, commands) })
    const last = (await Backy.revisions(repository)).at(-1) ?? ""
    const { digest } = await Backy.done(repository, ["restore", "-r", last, "-"])
    assert.strictEqual(digest, Backy.sha256(await Cluster.exported(image, `backy-${last}`)))
    await Cluster.write(image, 25 * MiB, new Uint8Array(3000).fill(7))
    await goesOn(repository, image)
  })
})
