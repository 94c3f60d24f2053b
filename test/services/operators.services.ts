/** Kinds of images that operators have, each on the real cluster. */
import { assert, beforeAll, describe, it } from "@effect/vitest"
import { randomBytes } from "node:crypto"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import * as Backy from "./backy.ts"
import * as Cluster from "./cluster.ts"

const MiB = 1024 * 1024
const DATA_POOL = "backy-data"
const NAMESPACE = "tenant"

const repositoryFor = async (directory: string, image: string): Promise<string> => {
  const repository = join(directory, "vm")
  await Backy.done(repository, ["init", "ceph-rbd", image])
  return repository
}

const writeTo = (directory: string, image: string, offset: number, bytes: Uint8Array) => {
  const file = join(directory, "bytes")
  writeFileSync(file, bytes)
  return Cluster.run("qemu-io", ["-f", "raw", "-c", `write -q -s ${file} ${offset} ${bytes.length}`, `rbd:${image}`])
}

const digestOf = async (image: string): Promise<string> =>
  Backy.sha256(await Cluster.rbd("export", "--no-progress", image, "-"))

const newest = async (repository: string): Promise<string> => (await Backy.revisions(repository)).at(-1) ?? ""

/** Backs an image up and restores what was stored, which must be what its snapshot holds. */
const backedUp = async (repository: string, image: string, env?: Record<string, string>) => {
  const result = await Backy.done(repository, ["backup", "daily"], env)
  const id = await newest(repository)
  const { digest } = await Backy.done(repository, ["restore", "-r", id, "-"])
  assert.strictEqual(digest, await digestOf(`${image}@backy-${id}`))
  return result
}

describe("an image of the real cluster", { timeout: 300_000 }, () => {
  beforeAll(async () => {
    await Cluster.run("ceph", ["osd", "pool", "create", DATA_POOL, "8"])
    await Cluster.rbd("pool", "init", DATA_POOL)
    const known = (await Cluster.rbd("namespace", "ls", "--format", "json", "rbd")).toString()
    // the cluster may be one that stays
    if (!known.includes(NAMESPACE)) await Cluster.rbd("namespace", "create", `rbd/${NAMESPACE}`)
  })

  it("is backed up from a namespace, and restored into one", async () => {
    using directory = Backy.temporary()
    const name = Cluster.fresh()
    const image = `rbd/${NAMESPACE}/${name}`
    // one of the same name outside of it has nothing to do with it
    await Cluster.create(name, MiB)
    await Cluster.rbd("create", "--size", "12M", image)
    const repository = await repositoryFor(directory.path, image)
    assert.match(readFileSync(join(repository, "config"), "utf8"), new RegExp(`namespace: ${NAMESPACE}`))
    await Cluster.run("bash", ["-c", `head -c 9M /dev/urandom | rbd import --no-progress - ${image}-data`])
    await Cluster.rbd("rm", "--no-progress", image)
    await Cluster.rbd("rename", `${image}-data`, image)
    await backedUp(repository, image)
    const first = await newest(repository)
    const { stdout } = await backedUp(repository, image)
    assert.match(stdout, /0 chunks stored/)
    assert.match(readFileSync(join(repository, "snapshots"), "utf8"), new RegExp(`^${image}@backy-`))
    const snapshots = JSON.parse((await Cluster.rbd("snap", "ls", "--format", "json", image)).toString())
    assert.strictEqual(snapshots.length, 1)
    assert.deepStrictEqual(
      JSON.parse((await Cluster.rbd("snap", "ls", "--format", "json", `rbd/${name}`)).toString()),
      []
    )
    const restored = `rbd/${NAMESPACE}/${Cluster.fresh()}`
    await Backy.done(repository, ["restore", "-r", first, `rbd:${restored}`])
    assert.strictEqual(await digestOf(restored), await digestOf(image))
    const again = await Backy.run(repository, ["restore", `rbd:${restored}`])
    assert.match(again.stderr, new RegExp(`${restored}.*there is an image of that name`))
    const nowhere = await Backy.run(repository, ["restore", "rbd:rbd/nowhere/x"])
    assert.strictEqual(nowhere.code, 1)
    assert.match(nowhere.stderr, /no namespace "nowhere"/)
  })

  it("has its data in another pool", async () => {
    using directory = Backy.temporary()
    const image = `rbd/${Cluster.fresh()}`
    await Cluster.rbd("create", "--size", "12M", "--data-pool", DATA_POOL, image)
    const repository = await repositoryFor(directory.path, image)
    await writeTo(directory.path, image, 3 * MiB, randomBytes(3 * MiB))
    await backedUp(repository, image)
    await writeTo(directory.path, image, MiB, randomBytes(5000))
    assert.match((await backedUp(repository, image)).stdout, /1 chunk stored/)
  })

  it("is a clone: what its parent has is in the backup, and stays when it is flattened", async () => {
    using directory = Backy.temporary()
    const parent = `rbd/${Cluster.fresh()}`
    const image = `rbd/${Cluster.fresh()}`
    await Cluster.rbd("create", "--size", "12M", parent)
    await writeTo(directory.path, parent, 0, randomBytes(9 * MiB))
    await Cluster.rbd("snap", "create", "--no-progress", `${parent}@golden`)
    await Cluster.rbd("snap", "protect", `${parent}@golden`)
    await Cluster.rbd("clone", `${parent}@golden`, image)
    await writeTo(directory.path, image, 5 * MiB, randomBytes(1000))
    const repository = await repositoryFor(directory.path, image)
    await backedUp(repository, image)
    await writeTo(directory.path, image, 2 * MiB, randomBytes(1000))
    await Cluster.rbd("flatten", "--no-progress", image)
    await backedUp(repository, image)
    // the parent itself, whose snapshot is protected
    const own = join(directory.path, "parent")
    await Backy.done(own, ["init", "ceph-rbd", parent])
    assert.match((await backedUp(own, parent)).stdout, /3 chunks stored/)
  })

  it("keeps a journal", async () => {
    using directory = Backy.temporary()
    const image = `rbd/${Cluster.fresh()}`
    await Cluster.rbd("create", "--size", "12M", "--image-feature", "layering,exclusive-lock,journaling", image)
    const repository = await repositoryFor(directory.path, image)
    await writeTo(directory.path, image, 0, randomBytes(5 * MiB))
    await backedUp(repository, image)
    await writeTo(directory.path, image, 4 * MiB, randomBytes(7000))
    assert.match((await backedUp(repository, image)).stdout, /1 chunk stored/)
  })

  it("is encrypted: its header and what is enciphered are stored as they are", async () => {
    using directory = Backy.temporary()
    const image = `rbd/${Cluster.fresh()}`
    await Cluster.rbd("create", "--size", "24M", image)
    const passphrase = join(directory.path, "passphrase")
    writeFileSync(passphrase, "secret")
    await Cluster.rbd("encryption", "format", image, "luks1", passphrase)
    const repository = await repositoryFor(directory.path, image)
    await backedUp(repository, image)
    const restored = `rbd/${Cluster.fresh()}`
    await Backy.done(repository, ["restore", `rbd:${restored}`])
    assert.strictEqual(await digestOf(restored), await digestOf(image))
    const header = (await Cluster.rbd("export", "--no-progress", restored, "-")).subarray(0, 4)
    assert.strictEqual(header.toString("latin1"), "LUKS")
  })

  it("is reached by an rbd that has much to say on standard error", async () => {
    using directory = Backy.temporary()
    const image = `rbd/${Cluster.fresh()}`
    await Cluster.rbd("create", "--size", "12M", image)
    const repository = await repositoryFor(directory.path, image)
    await writeTo(directory.path, image, 0, randomBytes(5 * MiB))
    const talkative = { CEPH_ARGS: "--log-to-stderr=true --err-to-stderr=true --debug-rbd=10 --debug-monc=5" }
    await backedUp(repository, image, talkative)
    const { stdout } = await backedUp(repository, image, talkative)
    assert.match(stdout, /0 chunks stored/)
    await Cluster.rbd("rename", image, `${image}-gone`)
    const gone = await Backy.run(repository, ["backup", "daily"], talkative)
    assert.match(gone.stderr, /there is no such image/)
  })
})
