import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/TestClock"
import type { MemoryDisk } from "../../src/platform/MemoryDisk.ts"
import { CHUNK, REPOSITORY, setFile } from "../support/World.ts"
import { backy, fails, image, makeMachine, ok, twoRevisions } from "./backy.ts"

/** Flips a byte in the file of every chunk that only the newer of two revisions has. */
const damage = (machine: MemoryDisk, out: ReadonlyArray<string>): void => {
  for (const path of out) {
    const descriptor = machine.disk.open(path, { access: "write" })
    machine.disk.write(descriptor, Uint8Array.of(0xff), 20)
    machine.disk.close(descriptor)
  }
}

const chunksOf = (machine: MemoryDisk, id: string): ReadonlyArray<string> => {
  const descriptor = machine.disk.open(`${REPOSITORY}/${id}`, { access: "read" })
  const buffer = new Uint8Array(4096)
  const text = new TextDecoder().decode(buffer.subarray(0, machine.disk.read(descriptor, buffer, 0)))
  machine.disk.close(descriptor)
  return text.split("\n").filter((line) => /^[0-9a-f]{64}$/.test(line))
    .map((line) => `${REPOSITORY}/chunks/${line.slice(0, 2)}/${line}.chunk.zst`)
}

describe("damage", () => {
  it.effect("is found by verify, listed, reported, and healed by the next backup", () =>
    Effect.gen(function*() {
      const { machine, newer, older } = yield* twoRevisions
      const [own = ""] = chunksOf(machine, newer).filter((path) => !chunksOf(machine, older).includes(path))
      damage(machine, [own])
      const verified = yield* backy(machine, "verify")
      assert.strictEqual(verified.code, 1)
      assert.include(verified.out, `${older}  verified`)
      assert.include(verified.out, `${newer}  damaged`)
      assert.match(verified.out.join("\n"), /lost: bytes 0 to 4095 \(.+\)/)
      assert.match(verified.err.join("\n"), /^backy: 1 of 2 revisions .* not whole/)

      const reports = yield* ok(machine, "reports", "list")
      assert.strictEqual(reports.out.length, 2)
      const [id = ""] = (reports.out[1] ?? "").split(" ")
      assert.include((yield* ok(machine, "reports", "show", id)).out, "kind: damaged")
      assert.match((yield* ok(machine, "status")).out[2] ?? "", /distrusted \(damaged\)$/)

      yield* TestClock.adjust("1 days")
      yield* ok(machine, "backup", "daily")
      assert.match((yield* ok(machine, "status")).out[2] ?? "", /verified$/)
      assert.deepStrictEqual((yield* ok(machine, "restore", "-r", newer, "-")).image, image(2))

      yield* ok(machine, "reports", "delete", id)
      assert.match(yield* fails(1, machine, "reports", "show", id), /there is no such report$/)
    }))

  it.effect("fails a restore, and with --salvage costs what is lost, which is listed", () =>
    Effect.gen(function*() {
      const { machine, newer, older } = yield* twoRevisions
      const [own = ""] = chunksOf(machine, newer).filter((path) => !chunksOf(machine, older).includes(path))
      damage(machine, [own])
      assert.match(
        yield* fails(1, machine, "restore", "/restore/a"),
        /cannot be restored whole .*--salvage restores all the rest$/
      )
      const salvaged = yield* backy(machine, "restore", "--salvage", "-")
      assert.strictEqual(salvaged.code, 1)
      assert.deepStrictEqual(salvaged.image, image(2).fill(0, 0, CHUNK))
      assert.match(salvaged.err[0] ?? "", /^lost: bytes 0 to 4095 \(chunk [0-9a-f]{64} .+\)$/)
      assert.match(
        salvaged.err[1] ?? "",
        /^backy: revision \w{22} was restored except for 4096 bytes, now zeros$/
      )
    }))

  it.effect("of a map blocks purge, which says what to do, and doing it helps", () =>
    Effect.gen(function*() {
      const { machine, older } = yield* twoRevisions
      setFile(machine.disk, `${REPOSITORY}/${older}`, new TextEncoder().encode("backy-map 4\nsize 1"))
      assert.match(yield* fails(1, machine, "restore", "-r", older, "/restore/a"), /chunk map .* cannot be used/)
      const said = yield* fails(1, machine, "purge")
      assert.match(said, /^backy: nothing was purged, .*; backy forget -r \w{22} gives that revision up$/)
      yield* ok(machine, "forget", "-r", older)
      yield* ok(machine, "purge")
    }))
})

describe("trust, tags and retention", () => {
  it.effect("distrust takes days and instants, and verify lifts it", () =>
    Effect.gen(function*() {
      const { machine, older } = yield* twoRevisions
      const zone = "+00:00"
      const none = yield* ok(machine, "distrust", "-f", `1970-01-03T00:00${zone}`)
      assert.deepStrictEqual(none.out, ["no trusted revision fits"])
      const { out } = yield* ok(machine, "distrust", "-u", `1970-01-01T12:00${zone}`)
      assert.deepStrictEqual(out, [`distrusted ${older}`])
      assert.match((yield* ok(machine, "status")).out[1] ?? "", /distrusted \(manual\)$/)
      assert.include((yield* ok(machine, "verify")).out, `${older}  verified`)
    }))

  it.effect("tags are set, added and removed; unknown ones are refused", () =>
    Effect.gen(function*() {
      const { machine, newer, older } = yield* twoRevisions
      assert.deepStrictEqual((yield* ok(machine, "tags", "set", "weekly,manual:x")).out, [`${newer}  manual:x,weekly`])
      assert.deepStrictEqual((yield* ok(machine, "tags", "add", "-r", "first", "daily")).out, [
        `${older}  daily,weekly`
      ])
      assert.deepStrictEqual((yield* ok(machine, "tags", "remove", "-r", "all", "nothing")).out, [
        "no tags are different now"
      ])
      assert.match(yield* fails(1, machine, "tags", "add", "dayly"), /unknown tags: dayly/)
      assert.deepStrictEqual((yield* ok(machine, "tags", "add", "-f", "yearly")).out, [
        `${newer}  manual:x,weekly,yearly`
      ])
    }))

  it.effect("expire -n explains each decision and changes nothing", () =>
    Effect.gen(function*() {
      const machine = makeMachine(image(1))
      for (let day = 0; day < 6; day++) {
        yield* ok(machine, "backup", "daily")
        yield* TestClock.adjust("1 days")
      }
      const told = yield* ok(machine, "expire", "-n")
      assert.match(told.out[0] ?? "", /Decision +Tags +Because$/)
      assert.match(told.out[1] ?? "", / remove +-daily +daily: 3 newer ones stay, and it is older than 3d$/)
      assert.match(told.out[6] ?? "", / keep +daily +daily: among the newest 3$/)
      assert.match(told.out[7] ?? "", /^would remove \d revisions?, take tags from 0, keep \d$/)
      assert.strictEqual((yield* ok(machine, "find", "-r", "all")).out.length, 6)
      const done = yield* ok(machine, "expire")
      assert.match(
        done.out.at(-1) ?? "",
        /^removed \d revisions?, took tags from 0, kept \d; their chunks go with the next purge$/
      )
      assert.deepStrictEqual((yield* ok(machine, "expire")).out, ["nothing is to expire; 3 revisions kept"])
    }))

  it.effect("forget keeps the newest trusted revision unless it is forced, and purge takes its chunks", () =>
    Effect.gen(function*() {
      const { machine, newer } = yield* twoRevisions
      assert.match(yield* fails(1, machine, "forget", "-r", "all"), new RegExp(`${newer} is the newest trusted one`))
      assert.strictEqual((yield* ok(machine, "find", "-r", "all")).out.length, 2)
      assert.deepStrictEqual((yield* ok(machine, "forget", "-r", "latest", "-f")).out, [
        `removed ${newer}`,
        "their chunks go with the next purge"
      ])
      assert.match(
        (yield* ok(machine, "purge", "-n")).out.join(),
        /^would remove 1 chunk \(\d+ bytes\); 3 chunks needed/
      )
      assert.match(
        (yield* ok(machine, "purge")).out.join(),
        /^removed 1 chunk \(\d+ bytes\); 3 chunks needed by revisions$/
      )
      assert.match((yield* ok(machine, "purge")).out.join(), /^removed 0 chunks/)
    }))
})
