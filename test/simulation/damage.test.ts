/**
 * Damage of every kind to every kind of file: cut at each length, each bit flipped, replaced by something else, made
 * unreadable, links planted. What is damaged is found and named; all else stays as it was; nothing is deleted on its account; nothing
 * outside the repository is touched.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Exit from "effect/Exit"
import { START } from "../../src/library/Simulation.ts"
import { deleteReport, listReports, showReport } from "../../src/operation/reports.ts"
import { errnoError } from "../../src/platform/errno.ts"
import type { MemoryDisk } from "../../src/platform/MemoryDisk.ts"
import { compress } from "../../src/store/codec.ts"
import { breathe } from "../support/breathe.ts"
import * as Machine from "../support/Machine.ts"
import * as Scenarios from "../support/scenarios.ts"
import * as Survey from "../support/Survey.ts"
import { REPOSITORY } from "../support/World.ts"

Error.stackTraceLimit = 0

const machine = Machine.make()

const repository: Scenarios.Scenario = {
  name: "two revisions",
  prepare: (bench) => {
    bench.image("aab.")
    bench.run(Scenarios.backup)
    bench.image("acb.d")
    bench.run(Scenarios.backup)
  },
  operation: Scenarios.backup
}

const { image, memory } = Scenarios.prepare(machine, repository)
const before = Survey.take(memory)
const newest = Survey.newestTrusted(before)
const older = Array.from(before.complete.values()).find(({ revision }) => revision.id !== newest?.revision.id)
if (newest === undefined || older === undefined) throw new Error("the scenario has two revisions")
const victim = newest.revision.id
const other = older.revision.id

let seed = 5000
const run = (disk: MemoryDisk, operation: Scenarios.Scenario["operation"]) =>
  machine.run(disk, operation, { seed: ++seed, start: START + seed * 3_600_000 })

/** Verify, backup and purge, as they come in life; what they must not do whatever is damaged. */
const live = (disk: MemoryDisk, what: string, denied?: string): void => {
  const chunks = before.chunks
  for (const operation of [Scenarios.verifyAll, Scenarios.backup, Scenarios.purge]) {
    disk.onOperation = (_, name, path) => {
      if (path === denied && (name === "open" || name === "list")) throw errnoError("EACCES", name, path)
    }
    const exit = run(disk, operation)
    disk.onOperation = undefined
    if (Exit.isFailure(exit)) assert.notStrictEqual(exit.cause._tag, "Die", `${what}: ${String(exit.cause)}`)
    const after = Survey.take(disk)
    const untouched = after.complete.get(other)
    assert.isTrue(untouched !== undefined && Survey.isWhole(untouched), `${what}: the other revision was harmed`)
    for (const name of chunks) assert.isTrue(after.chunks.has(name), `${what}: chunk ${name} was deleted`)
    assert.isTrue(disk.describe().some((line) => line.startsWith(`${REPOSITORY}/${victim}`)), `${what}: deleted`)
  }
}

/** The next backup is whole whatever was damaged. */
const nextIsWhole = (disk: MemoryDisk, what: string): void => {
  const made = [...Survey.take(disk).complete.values()].filter(({ revision }) => !before.complete.has(revision.id))
  const good = made.filter((one) =>
    one.image !== undefined && Buffer.compare(one.image, image) === 0 && Survey.isWhole(one)
  )
  assert.strictEqual(good.length, 1, `${what}: no new backup`)
}

const garbage = (length: number): Uint8Array => Uint8Array.from({ length }, (_, at) => (at * 151 + 89) % 256)

describe("metadata of one revision that is damaged costs at most this revision", () => {
  for (
    const [kind, path] of [["its .rev", `${REPOSITORY}/${victim}.rev`], ["its map", `${REPOSITORY}/${victim}`]] as const
  ) {
    const whole = memory.bytesAt(path)

    it(`when ${kind} is cut at any length`, { timeout: 600_000 }, async () => {
      // every length near the ends and the line breaks, where it may still look like a whole one
      const lengths = Array.from(whole.keys()).filter((at) =>
        at < 8 || at > whole.length - 8 || whole[at] === 10 || whole[at - 1] === 10 || at % 16 === 0
      )
      for (const length of lengths) {
        await breathe()
        const disk = memory.clone()
        disk.plantFile(path, whole.subarray(0, length), 0o440)
        const is = Survey.take(disk).complete.get(victim)
        // a cut that leaves a valid, complete file would be one that nobody can tell
        if (is !== undefined && Survey.isWhole(is)) assert.strictEqual(is.revision.mapDigest, newest.revision.mapDigest)
        live(disk, `${kind} cut to ${length} bytes`)
        nextIsWhole(disk, `${kind} cut to ${length} bytes`)
      }
      assert.isAbove(lengths.length, 16)
    })

    it(`when ${kind} is garbage, empty, huge, a directory, a pipe or a link`, () => {
      const plants: ReadonlyArray<readonly [string, (disk: MemoryDisk) => void]> = [
        ["garbage", (disk) => disk.plantFile(path, garbage(whole.length))],
        ["zeros", (disk) => disk.plantFile(path, new Uint8Array(whole.length))],
        ["huge", (disk) => disk.plantFile(path, garbage(3 * 1024 * 1024))],
        ["a pipe", (disk) => disk.plantOther(path)],
        ["a link", (disk) => disk.plantLink("/etc/passwd", path)],
        ["a link to the other's", (disk) => disk.plantLink(path.replace(victim, other), path)],
        ["the other's", (disk) => disk.plantFile(path, memory.bytesAt(path.replace(victim, other)))]
      ]
      for (const [what, plant] of plants) {
        const disk = memory.clone()
        plant(disk)
        live(disk, `${kind} is ${what}`)
        nextIsWhole(disk, `${kind} is ${what}`)
      }
      assert.strictEqual(memory.openDescriptors.length, 0)
    })
  }
})

describe("a chunk that is damaged", () => {
  const [name] = newest.names
  if (name === undefined) throw new Error("there is a chunk")
  const path = `${REPOSITORY}/chunks/${name.slice(0, 2)}/${name}.chunk.zst`
  const whole = memory.bytesAt(path)

  /** Verify must agree with the oracle, and a backup must heal. */
  const isFoundAndHealed = (content: Uint8Array | undefined, what: string): void => {
    const disk = memory.clone()
    if (content === undefined) disk.disk.unlink(path)
    else disk.plantFile(path, content, 0o440)
    const isBad = content?.length !== whole.length ||
      Survey.take(disk).complete.get(victim)?.bad.includes(name) === true
    const verified = run(disk, Scenarios.verifyAll)
    assert.strictEqual(Exit.isFailure(verified), isBad, what)
    if (isBad) assert.strictEqual(Survey.take(disk).complete.get(victim)?.revision.trust, "distrusted", what)
    assert.isTrue(Exit.isSuccess(run(disk, Scenarios.backup)), what)
    const after = Survey.take(disk)
    for (const id of [victim, other]) {
      const one = after.complete.get(id)
      assert.isTrue(one !== undefined && Survey.isWhole(one) && one.revision.isTrusted, `${what}: not healed`)
    }
    nextIsWhole(disk, what)
  }

  it("that is missing, another one, or much more when it is decompressed is found and healed", () => {
    const [, another] = newest.names
    assert.isDefined(another)
    isFoundAndHealed(undefined, "missing")
    isFoundAndHealed(
      memory.bytesAt(
        path.replaceAll(name, another ?? "").replace(`/${name.slice(0, 2)}/`, `/${another?.slice(0, 2)}/`)
      ),
      "swapped"
    )
    isFoundAndHealed(compress(new Uint8Array(64 * 1024 * 1024), 1), "a bomb")
    isFoundAndHealed(compress(new Uint8Array(Machine.BLOCK - 1).fill(7), 1), "too short")
  })

  it("in any one bit is found by verify and healed by a backup", { timeout: 600_000 }, async () => {
    for (let bit = 0; bit < whole.length * 8; bit++) {
      await breathe()
      const flipped = Uint8Array.from(whole)
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      isFoundAndHealed(flipped, `bit ${bit}`)
    }
    assert.isAbove(whole.length, 8)
  })

  it("by being cut at any length, lengthened, or swapped is found and healed, too", { timeout: 600_000 }, async () => {
    for (let length = 0; length < whole.length; length++) {
      await breathe()
      isFoundAndHealed(whole.subarray(0, length), `cut to ${length}`)
    }
    isFoundAndHealed(Uint8Array.from([...whole, 0]), "one byte more")
    isFoundAndHealed(Uint8Array.from([...whole, ...whole]), "twice")
    isFoundAndHealed(garbage(1024 * 1024), "a megabyte of garbage")
    assert.isAbove(whole.length, 8)
  })
})

describe("what may not be read (EACCES)", () => {
  const [name = ""] = newest.names
  const places = {
    "metadata": `${REPOSITORY}/${victim}.rev`,
    "a map": `${REPOSITORY}/${victim}`,
    "a chunk": `${REPOSITORY}/chunks/${name.slice(0, 2)}/${name}.chunk.zst`,
    "a folder of chunks": `${REPOSITORY}/chunks/${name.slice(0, 2)}`,
    "the folder of all chunks": `${REPOSITORY}/chunks`,
    "a lock": `${REPOSITORY}/.purge`,
    "the repository": REPOSITORY
  }
  for (const [what, path] of Object.entries(places)) {
    it(`${what}, takes nobody's trust, and nothing is deleted on its account`, () => {
      const disk = memory.clone()
      live(disk, what, path)
      for (const [id, { revision }] of Survey.take(disk).complete) assert.isTrue(revision.isTrusted, `${what}: ${id}`)
      assert.isTrue(Exit.isSuccess(run(disk, Scenarios.backup)), what)
      assert.isTrue(Exit.isSuccess(run(disk, Scenarios.verifyAll)), what)
      assert.deepStrictEqual(disk.openDescriptors, [])
    })
  }
})

describe("a report that is damaged", () => {
  const disk = memory.clone()
  const [name = ""] = newest.names
  const chunk = `${REPOSITORY}/chunks/${name.slice(0, 2)}/${name}.chunk.zst`
  disk.plantFile(chunk, garbage(20), 0o440)
  run(disk, Scenarios.verifyAll)
  disk.plantFile(chunk, memory.bytesAt(chunk), 0o440)
  const [file = ""] = disk.disk.list(`${REPOSITORY}/quarantine`).filter((one) => one.endsWith(".report"))
  const path = `${REPOSITORY}/quarantine/${file}`
  const id = file.slice(0, -".report".length)
  const whole = disk.bytesAt(path)

  it("by being cut at any length or replaced is told as such, can be deleted, and stops nothing", async () => {
    assert.isAbove(whole.length, 100)
    const contents = [
      ...Array.from(whole.keys(), (length) => whole.subarray(0, length)),
      garbage(500),
      garbage(5_000_000)
    ]
    for (const content of contents) {
      await breathe()
      const what = `${content.length} bytes`
      const damaged = disk.clone()
      damaged.plantFile(path, content, 0o440)
      assert.isTrue(Exit.isSuccess(run(damaged, listReports())), what)
      const shown = run(damaged, showReport(id))
      if (Exit.isFailure(shown)) assert.strictEqual(shown.cause._tag, "Fail", what)
      if (content.length % 50 === 0) live(damaged, what)
      assert.isTrue(Exit.isSuccess(run(damaged, deleteReport({ id, wait: Scenarios.wait }))), what)
      assert.notInclude(damaged.disk.list(`${REPOSITORY}/quarantine`), file)
    }
  })
})

describe("what is not ours", () => {
  it("is left alone by everything, and notes without weight may hold anything", () => {
    const disk = memory.clone()
    const [name = ""] = newest.names
    const folder = `${REPOSITORY}/chunks/${name.slice(0, 2)}`
    const strange = [
      `${REPOSITORY}/notes.txt`,
      `${REPOSITORY}/${victim}.rev.bak`,
      `${REPOSITORY}/.hidden`,
      `${REPOSITORY}/chunks/readme`,
      `${folder}/${name}.chunk.zst.bak`,
      `${folder}/${"0".repeat(64)}.chunk.zst`,
      `${folder}/${name}.chunk`,
      `${folder}/${name.toUpperCase()}.chunk.zst`
    ]
    for (const path of strange) disk.plantFile(path, garbage(100))
    for (const note of [".backup", ".purge", "chunks/store"]) disk.plantFile(`${REPOSITORY}/${note}`, garbage(70_000))
    const lines = () => disk.describe().filter((line) => strange.some((path) => line.startsWith(`${path} `)))
    const were = lines()
    assert.strictEqual(were.length, strange.length)
    for (const operation of [Scenarios.verifyAll, Scenarios.backup, Scenarios.expireAll, Scenarios.purge]) {
      const exit = run(disk, operation)
      assert.isTrue(Exit.isSuccess(exit), String(exit))
      assert.deepStrictEqual(lines(), were)
    }
  })
})

describe("links planted in the repository", () => {
  const temporary = ".x.abcdefghijkl.tmp"
  const places = ["chunks", "chunks/ab", "quarantine", "quarantine/chunks", ".backup", ".purge"]
  for (const place of places) {
    it(`at ${place} lead to nothing being changed outside`, () => {
      const disk = memory.clone()
      const name = `ab${"0".repeat(62)}`
      for (
        const file of [temporary, `${name}.chunk.zst`, `ab/${name}.chunk.zst`, `ab/${temporary}`, "store", "other"]
      ) {
        disk.plantFile(`/outside/${file}`, garbage(10))
      }
      disk.plantFile("/outside.lock", garbage(10))
      const path = `${REPOSITORY}/${place}`
      if (place === "quarantine/chunks") disk.plantDirectory(`${REPOSITORY}/quarantine`)
      disk.plantLink(place.startsWith(".") ? "/outside.lock" : "/outside", path)
      const outside = () => disk.describe().filter((line) => line.startsWith("/outside"))
      const was = outside()
      for (const operation of [Scenarios.verifyAll, Scenarios.backup, Scenarios.purge]) {
        const exit = run(disk, operation)
        if (Exit.isFailure(exit)) assert.notStrictEqual(exit.cause._tag, "Die", String(exit.cause))
        assert.deepStrictEqual(outside(), was)
      }
    })
  }
})
