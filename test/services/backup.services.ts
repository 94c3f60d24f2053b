import { assert, describe, it } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as pass } from "node:timers/promises"
import * as Backy from "./backy.ts"
import * as Cluster from "./cluster.ts"

const MiB = 1024 * 1024

/** Numbers that look random and are the same in every run. */
const makeRandom = (seed: number) => (below: number): number => {
  seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fff_ffff
  return Math.floor(seed / 0x8000_0000 * below)
}

const snapshotsOf = async (image: string): Promise<ReadonlyArray<string>> =>
  JSON.parse((await Cluster.rbd("snap", "ls", "--format", "json", `rbd/${image}`)).toString())
    .map(({ name }: { readonly name: string }) => name)

/** A repository for a new image of some size. */
const setUp = async (directory: string, size: number) => {
  const image = Cluster.fresh()
  await Cluster.create(image, size)
  const repository = join(directory, "vm")
  await Backy.done(repository, ["init", "ceph-rbd", `rbd/${image}`])
  return { image, repository }
}

describe("backy against a real cluster", () => {
  it("restores each of 30 increments byte for byte: writes, discards, resizes, foreign snapshots", async () => {
    using directory = Backy.temporary()
    const { image, repository } = await setUp(directory.path, 20 * MiB + 1024)
    const random = makeRandom(4)
    const expected: Array<string> = []
    let size = 20 * MiB + 1024
    for (let run = 0; run < 30; run++) {
      for (let change = 0; change < 3; change++) {
        const offset = random(size)
        const length = Math.min(size - offset, 1 + random(run % 3 === 0 ? 6 * MiB : 9000))
        const kind = random(10)
        if (kind < 6) await Cluster.write(image, offset, new Uint8Array(length).fill(1 + random(250)))
        else if (kind < 7) await Cluster.write(image, offset, new Uint8Array(length))
        else if (kind < 8) {
          await Cluster.discard(image, offset - offset % 512, length - length % 512 + 512).catch(() => undefined)
        } else {
          size = 4 * MiB + 512 * random(60_000)
          await Cluster.resize(image, size)
          // somebody else's snapshot of a small image in between is what breaks --whole-object
          await Cluster.rbd("snap", "create", "--no-progress", `rbd/${image}@other-${run}-${change}`)
        }
      }
      await Backy.done(repository, ["backup", "--accept-shrink", "daily"])
      const id = (await Backy.revisions(repository)).at(-1) ?? ""
      expected.push(`${id} ${Backy.sha256(await Cluster.exported(image, `backy-${id}`))}`)
    }
    const ids = await Backy.revisions(repository)
    const restored: Array<string> = []
    for (const id of ids) restored.push(`${id} ${(await Backy.done(repository, ["restore", "-r", id, "-"])).digest}`)
    assert.deepStrictEqual(restored, expected)
    assert.strictEqual((await snapshotsOf(image)).filter((name) => name.startsWith("backy-")).length, 1)
    assert.match((await Backy.run(repository, ["verify"])).stdout, /./)
  }, 900_000)

  it("starts seven programs for an increment of nothing", async () => {
    using directory = Backy.temporary()
    const { image, repository } = await setUp(directory.path, 12 * MiB)
    await Cluster.write(image, 0, new Uint8Array(5 * MiB).fill(1))
    await Backy.done(repository, ["backup", "daily"])
    const log = join(directory.path, "started")
    const logging = (program: string, words: string) =>
      Backy.instead(directory.path, `echo "${words}" >>${log}; exec ${program} "$@"`)
    await Backy.done(repository, ["backup", "daily"], {
      BACKY_RBD: logging("rbd", "rbd $1 $2"),
      BACKY_QEMU_NBD: logging("qemu-nbd", "qemu-nbd")
    })
    assert.deepStrictEqual(readFileSync(log, "utf8").trim().split("\n").sort(), [
      "qemu-nbd",
      "rbd export-diff --no-progress",
      "rbd info --format",
      "rbd snap create",
      "rbd snap ls",
      "rbd snap ls",
      "rbd snap rm"
    ])
    const [, last] = await Backy.revisions(repository)
    assert.deepStrictEqual(await snapshotsOf(image), [`backy-${last}`])
  })

  it("keeps to the truth when a snapshot in between was smaller, where --whole-object would lose data", async () => {
    using directory = Backy.temporary()
    const { image, repository } = await setUp(directory.path, 32 * MiB)
    await Cluster.write(image, 0, new Uint8Array(32 * MiB).fill(3))
    await Backy.done(repository, ["backup", "daily"])
    await Cluster.resize(image, 9 * MiB)
    await Cluster.rbd("snap", "create", "--no-progress", `rbd/${image}@small`)
    await Cluster.resize(image, 32 * MiB)
    await Cluster.write(image, 20 * MiB, new Uint8Array(512).fill(4))
    await Backy.done(repository, ["backup", "daily"])
    const [id = ""] = (await Backy.revisions(repository)).slice(-1)
    const { digest } = await Backy.done(repository, ["restore", "-r", id, "-"])
    assert.strictEqual(digest, Backy.sha256(await Cluster.exported(image, `backy-${id}`)))
  })

  it("restores to a new image, through a pipe and by itself, and overwrites none", async () => {
    using directory = Backy.temporary()
    const { image, repository } = await setUp(directory.path, 13 * MiB)
    await Cluster.write(image, 5 * MiB, new Uint8Array(3 * MiB).fill(9))
    await Backy.done(repository, ["backup", "daily"])
    const digest = Backy.sha256(await Cluster.rbd("export", "--no-progress", `rbd/${image}`, "-"))
    const [own, piped] = [Cluster.fresh(), Cluster.fresh()]
    await Backy.done(repository, ["restore", `rbd:rbd/${own}`])
    await Cluster.run("bash", [
      "-c",
      `"$0" -b "$1" restore -r latest - | rbd import --no-progress - "$2"`,
      new URL("../../dist/backy", import.meta.url).pathname,
      repository,
      `rbd/${piped}`
    ])
    for (const made of [own, piped]) {
      assert.strictEqual(Backy.sha256(await Cluster.rbd("export", "--no-progress", `rbd/${made}`, "-")), digest)
    }
    const again = await Backy.run(repository, ["restore", `rbd:rbd/${own}`])
    assert.strictEqual(again.code, 1)
    assert.match(again.stderr, /there is an image of that name/)
  })

  it("drops the revision and keeps its base when the stream is cut, though rbd exits with 0, or is killed", async () => {
    using directory = Backy.temporary()
    const { image, repository } = await setUp(directory.path, 12 * MiB)
    await Cluster.write(image, 0, new Uint8Array(5 * MiB).fill(1))
    await Backy.done(repository, ["backup", "daily"])
    const [base] = await Backy.revisions(repository)
    await Cluster.write(image, 6 * MiB, new Uint8Array(3000).fill(2))
    const cut = (bytes: number, end: string) =>
      Backy.instead(directory.path, `[ "$1" = export-diff ] || exec rbd "$@"; rbd "$@" | head -c ${bytes}; ${end}`)
    const killed = "kill -KILL $$"
    for (
      const [bytes, end] of [[0, "exit 0"], [5, "exit 0"], [100, "exit 0"], [3000, "exit 0"], [120, killed], [
        3000,
        "exit 5"
      ]] as const
    ) {
      const result = await Backy.run(repository, ["backup", "daily"], { BACKY_RBD: cut(bytes, end) })
      assert.strictEqual(result.code, 1, result.stderr)
      assert.match(result.stderr, /^backy: cannot back up rbd\/\S+: /m)
      assert.deepStrictEqual(await Backy.revisions(repository), [base])
      assert.deepStrictEqual(await snapshotsOf(image), [`backy-${base}`])
    }
    const trailing = Backy.instead(directory.path, "[ \"$1\" = export-diff ] || exec rbd \"$@\"; rbd \"$@\"; echo more")
    assert.strictEqual((await Backy.run(repository, ["backup", "daily"], { BACKY_RBD: trailing })).code, 1)
    await Backy.done(repository, ["backup", "daily"])
    const ids = await Backy.revisions(repository)
    const { digest } = await Backy.done(repository, ["restore", "-r", ids.at(-1) ?? "", "-"])
    assert.strictEqual(digest, Backy.sha256(await Cluster.exported(image, `backy-${ids.at(-1)}`)))
  })

  it("finds a diff that lies by its samples, and makes a full backup then", async () => {
    using directory = Backy.temporary()
    const { image, repository } = await setUp(directory.path, 20 * MiB)
    await Cluster.write(image, 0, new Uint8Array(20 * MiB).fill(1))
    await Backy.done(repository, ["backup", "daily"])
    await Cluster.write(image, 9 * MiB, new Uint8Array(3000).fill(2))
    // says that nothing has changed: the metadata of the real diff, and the end mark
    const nothing = Backy.instead(
      directory.path,
      `[ "$1" = export-diff ] || exec rbd "$@"
      rbd "$@" | head -c ${12 + 2 * (5 + "backy-".length + 22) + 9}; printf e`
    )
    const lied = await Backy.run(repository, ["backup", "daily"], { BACKY_RBD: nothing })
    assert.strictEqual(lied.code, 1, lied.stdout)
    assert.match(lied.stderr, /1 block of rbd\/\S+ differs from what was stored, the first at byte 8388608/)
    const { stdout } = await Backy.done(repository, ["backup", "daily"])
    assert.match(stdout, /0 unchanged/)
    const [first, second] = await Backy.revisions(repository)
    assert.match(readFileSync(join(repository, `${first}.rev`), "utf8"), /source-mismatch/)
    const { digest } = await Backy.done(repository, ["restore", "-r", second ?? "", "-"])
    assert.strictEqual(digest, Backy.sha256(await Cluster.rbd("export", "--no-progress", `rbd/${image}`, "-")))
  })

  it("goes on after it was killed, and takes the snapshot of that run away", async () => {
    using directory = Backy.temporary()
    const { image, repository } = await setUp(directory.path, 12 * MiB)
    await Cluster.write(image, 0, new Uint8Array(5 * MiB).fill(1))
    await Backy.done(repository, ["backup", "daily"])
    const [base] = await Backy.revisions(repository)
    const marker = join(directory.path, "reading")
    const hanging = Backy.instead(
      directory.path,
      `[ "$1" = export-diff ] || exec rbd "$@"
      echo $$ > ${marker}; exec sleep 600`
    )
    const { child, ended } = Backy.start(repository, ["backup", "daily"], { BACKY_RBD: hanging })
    while (!existsSync(marker) || readFileSync(marker, "utf8") === "") await pass(50)
    child.kill("SIGKILL")
    await ended
    process.kill(Number(readFileSync(marker, "utf8")), "SIGKILL")
    assert.strictEqual((await snapshotsOf(image)).length, 2)
    await Backy.done(repository, ["backup", "daily"])
    const ids = await Backy.revisions(repository)
    assert.deepStrictEqual(ids[0], base)
    assert.strictEqual(ids.length, 2)
    assert.deepStrictEqual(await snapshotsOf(image), [`backy-${ids[1]}`])
    assert.match(
      readFileSync(join(repository, "snapshots"), "utf8"),
      new RegExp(`^rbd/${image}@backy-${ids[1]}\ndigest [0-9a-f]{64}\n$`)
    )
  })

  it("leaves no qemu-nbd behind when it is killed while samples are read", async () => {
    const image = Cluster.fresh()
    await Cluster.create(image, 8 * MiB)
    await Cluster.rbd("snap", "create", "--no-progress", `rbd/${image}@a`)
    const count = () => {
      try {
        return execFileSync("pgrep", ["-c", "-f", `qemu-nbd.*file.image=${image}`], { encoding: "utf8" }).trim()
      } catch {
        return "0"
      }
    }
    const { spawn } = await import("node:child_process")
    const holder = spawn(process.execPath, [new URL("./holdReader.ts", import.meta.url).pathname, image], {
      stdio: ["ignore", "pipe", "inherit"]
    })
    await new Promise((resolve) => holder.stdout.once("data", resolve))
    assert.strictEqual(count(), "1")
    holder.kill("SIGKILL")
    for (let wait = 0; wait < 100 && count() !== "0"; wait++) await pass(50)
    assert.strictEqual(count(), "0")
  })

  it("fails within its limits while the cluster does not answer, and works again afterwards", async () => {
    using directory = Backy.temporary()
    const { image, repository } = await setUp(directory.path, 8 * MiB)
    await Backy.done(repository, ["backup", "daily"])
    const daemons = Cluster.daemons()
    assert.isNotEmpty(daemons)
    const hurried = { CEPH_ARGS: "--client-mount-timeout 3 --rados-osd-op-timeout 3 --rados-mon-op-timeout 3" }
    for (const daemon of daemons) process.kill(daemon, "SIGSTOP")
    try {
      const result = await Backy.run(repository, ["backup", "daily"], hurried)
      assert.strictEqual(result.code, 1)
      assert.match(result.stderr, /cannot back up rbd\/\S+: .*\(ETIMEDOUT\)/)
    } finally {
      for (const daemon of daemons) process.kill(daemon, "SIGCONT")
    }
    await Backy.done(repository, ["backup", "daily"])
    assert.strictEqual((await snapshotsOf(image)).length, 1)
  })

  it("says what is missing before it makes anything, when samples cannot be read", async () => {
    using directory = Backy.temporary()
    const { image, repository } = await setUp(directory.path, MiB)
    const result = await Backy.run(repository, ["backup", "daily"], { BACKY_QEMU_NBD: "no-such-qemu-nbd" })
    assert.strictEqual(result.code, 1)
    assert.match(result.stderr, /packages qemu-utils and qemu-block-extra/)
    assert.deepStrictEqual(await snapshotsOf(image), [])
  })
})
