import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/TestClock"
import type { MemoryDisk } from "../../src/platform/MemoryDisk.ts"
import { CHUNK, REPOSITORY, setFile } from "../support/World.ts"
import { backy, makeMachine, type Outcome } from "./backy.ts"

const image = (first: number): Uint8Array => {
  const bytes = new Uint8Array(3 * CHUNK + 100).fill(first, 0, CHUNK)
  return bytes.fill(9, 2 * CHUNK)
}

const ok = (machine: MemoryDisk, ...argv: ReadonlyArray<string>) =>
  Effect.map(backy(machine, ...argv), ({ code, err, image, out }: Outcome) => {
    assert.strictEqual(code, 0, err.join("\n"))
    return { out, err, image }
  })

/** The one line that a command says when it fails. */
const fails = (code: number, machine: MemoryDisk, ...argv: ReadonlyArray<string>) =>
  Effect.map(backy(machine, ...argv), (outcome) => {
    assert.strictEqual(outcome.code, code, outcome.err.join("\n"))
    assert.deepStrictEqual(outcome.out, [])
    assert.strictEqual(outcome.err.length, 1, outcome.err.join("\n"))
    return outcome.err[0] ?? ""
  })

/** Two revisions, `weekly` and `daily`, that differ in the first chunk; with their ids. */
const twoRevisions = Effect.gen(function*() {
  const machine = makeMachine(image(1))
  yield* ok(machine, "backup", "weekly")
  yield* TestClock.adjust("1 days")
  setFile(machine.disk, "/images/vm.img", image(2))
  yield* ok(machine, "backup", "daily")
  const { out } = yield* ok(machine, "find", "-r", "all", "--uuid")
  const [older = "", newer = ""] = out
  return { machine, older, newer }
})

describe("backup", () => {
  it.effect("tells what it made", () =>
    Effect.gen(function*() {
      const { out } = yield* ok(makeMachine(image(1)), "backup", "weekly,daily,daily")
      assert.match(out[0] ?? "", /^made revision \w{22} \(daily,weekly\) of \/images\/vm.img: 12\.1 KiB in 0\.0 s$/)
      assert.match(out[1] ?? "", /^3 chunks stored \(\d+ bytes\), 0 unchanged; all of it compared with the source$/)
    }))

  it.effect("without tags says which there are, the most frequent first", () =>
    Effect.gen(function*() {
      assert.match(yield* fails(2, makeMachine(), "backup"), /^backy: name the tags .* the schedule has daily, weekly,/)
    }))

  it.effect("refuses tags that the schedule does not know, unless they are manual or it is forced", () =>
    Effect.gen(function*() {
      const machine = makeMachine()
      assert.match(yield* fails(1, machine, "backup", "daily,hourly,yearly"), /unknown tags: hourly, yearly/)
      assert.match(yield* fails(2, machine, "backup", "a b"), /a tag has no spaces/)
      assert.match(yield* fails(2, machine, "backup", " , "), /[Nn]ame at least one tag/)
      yield* ok(machine, "backup", "manual:before-upgrade")
      yield* ok(machine, "backup", "-f", "hourly")
    }))

  it.effect("needs a config, and tells all of its mistakes with their lines", () =>
    Effect.gen(function*() {
      const machine = makeMachine()
      setFile(
        machine.disk,
        `${REPOSITORY}/config`,
        new TextEncoder().encode("source: {type: fiel}\nschedule:\n  daily: {interval: 1x, keep: 3}\nshedule: 1\n")
      )
      const { code, err } = yield* backy(machine, "backup", "daily")
      assert.strictEqual(code, 1)
      assert.strictEqual(err.length, 3, err.join("\n"))
      assert.include(
        err[0] ?? "",
        `${REPOSITORY}/config:1: source.type: there is no source type "fiel" (did you mean "file"?)`
      )
      assert.include(err[1] ?? "", "config:3: schedule.daily.interval: expected a duration")
      assert.include(err[2] ?? "", "config:4: shedule: there is no key \"shedule\" here (did you mean \"schedule\"?)")
      machine.disk.unlink(`${REPOSITORY}/config`)
      assert.match(yield* fails(1, machine, "backup", "daily"), /there is no config file .*backy init/)
    }))

  it.effect("says when the image is not there, or of a kind that is not supported", () =>
    Effect.gen(function*() {
      const machine = makeMachine()
      machine.disk.unlink("/images/vm.img")
      assert.strictEqual(
        yield* fails(1, machine, "backup", "daily"),
        "backy: cannot back up /images/vm.img: there is no such file"
      )
      setFile(
        machine.disk,
        `${REPOSITORY}/config`,
        new TextEncoder().encode(
          "source: {type: ceph-rbd, pool: a, image: b}\nschedule: {daily: {interval: 1d, keep: 3}}\n"
        )
      )
      assert.match(yield* fails(1, machine, "backup", "daily"), /sources of type "ceph-rbd" are not supported/)
    }))
})

describe("status", () => {
  it.effect("is a table, newest last, with the zone in its head", () =>
    Effect.gen(function*() {
      const { machine, newer, older } = yield* twoRevisions
      const { out } = yield* ok(machine, "status")
      assert.strictEqual(out.length, 4)
      assert.match(out[0] ?? "", /^Date \([\w/+-]+\) +Revision +Image +New +Took +Tags +Trust$/)
      assert.match(out[1] ?? "", new RegExp(`^1970-01-0\\d \\d\\d:00:00 .*${older} +12\\.1 KiB .* weekly +trusted$`))
      assert.include(out[2] ?? "", newer)
      assert.match(out[3] ?? "", /^2 revisions, which added \d+ bytes$/)
    }))

  it.effect("has the keys of the files as JSON, with instants in ISO 8601, the path and the age", () =>
    Effect.gen(function*() {
      const { machine, newer, older } = yield* twoRevisions
      yield* TestClock.adjust("90 seconds")
      const { out } = yield* ok(machine, "status", "--json")
      const [first, second] = JSON.parse(out.join("\n"))
      assert.strictEqual(first.uuid, older)
      assert.strictEqual(first.parent, "")
      assert.strictEqual(first.timestamp, "1970-01-01T00:00:00Z")
      assert.deepStrictEqual(first.tags, ["weekly"])
      assert.strictEqual(second.parent, older)
      assert.strictEqual(second.backend_type, "chunked-v3")
      assert.strictEqual(second.trust, "trusted")
      assert.strictEqual(second.size, 3 * CHUNK + 100)
      assert.strictEqual(second.path, `${REPOSITORY}/${newer}`)
      assert.strictEqual(second.age, 90)
      assert.strictEqual(typeof second.stats.duration, "number")
      assert.deepStrictEqual(JSON.parse((yield* ok(makeMachine(), "status", "--json")).out.join("")), [])
    }))

  it.effect("is a list as YAML, as the ancestor prints it", () =>
    Effect.gen(function*() {
      const { machine, older } = yield* twoRevisions
      const { out } = yield* ok(machine, "status", "--yaml")
      assert.strictEqual(out[0], "- backend_type: chunked-v3")
      assert.include(out, `  uuid: ${older}`)
      assert.include(out, "  timestamp: 1970-01-01 00:00:00+00:00")
      // the list, then an empty line
      assert.deepStrictEqual(out.slice(-2), ["    of: 12388", ""])
    }))

  it.effect("warns of what it cannot read, and shows the rest", () =>
    Effect.gen(function*() {
      const { machine, newer, older } = yield* twoRevisions
      setFile(machine.disk, `${REPOSITORY}/${older}.rev`, new TextEncoder().encode("uuid: ["))
      const { err, out } = yield* ok(machine, "status")
      assert.strictEqual(err.length, 1)
      assert.include(err[0] ?? "", `warning: ignoring ${REPOSITORY}/${older}.rev: `)
      assert.strictEqual(out.length, 3)
      assert.include(out[1] ?? "", newer)
    }))

  it.effect("shows revisions that were never completed, but not to scripts", () =>
    Effect.gen(function*() {
      const { machine, newer } = yield* twoRevisions
      const path = `${REPOSITORY}/${newer}.rev`
      const { out: yaml } = yield* ok(machine, "status", "--yaml", "-r", newer)
      const text = yaml.map((line) => line.slice(2)).filter((line) => !/^ +duration:/.test(line)).join("\n")
      setFile(machine.disk, path, new TextEncoder().encode(text))
      const { out } = yield* ok(machine, "status")
      assert.match(out[2] ?? "", / - +daily +incomplete$/)
      assert.match(out[3] ?? "", /^1 revision,/)
      assert.strictEqual(JSON.parse((yield* ok(machine, "status", "--json")).out.join("")).length, 1)
    }))
})

describe("find and diff", () => {
  it.effect("print what scripts need, and nothing for nothing", () =>
    Effect.gen(function*() {
      const { machine, newer, older } = yield* twoRevisions
      assert.deepStrictEqual((yield* ok(machine, "find")).out, [`${REPOSITORY}/${newer}`])
      assert.deepStrictEqual((yield* ok(machine, "find", "-r", "reverse(all)", "--uuid")).out, [newer, older])
      assert.deepStrictEqual((yield* ok(machine, "find", "-r", "tag:none")).out, [])
      const { out } = yield* ok(machine, "diff", "first", "latest", "--json")
      assert.deepStrictEqual(JSON.parse(out.join("")), {
        from: older,
        to: newer,
        from_size: 3 * CHUNK + 100,
        to_size: 3 * CHUNK + 100,
        bytes: CHUNK,
        ranges: [{ offset: 0, length: CHUNK }]
      })
      const table = (yield* ok(machine, "diff", "first", "latest")).out
      assert.deepStrictEqual(table[1]?.trim().split(/ +/), ["0", "4096", "4.00", "KiB"])
      assert.match((yield* ok(machine, "diff", "0", "0")).out.join("\n"), /^\w+ and \w+ do not differ$/)
    }))

  it.effect("say which revision there is not", () =>
    Effect.gen(function*() {
      const { machine, newer } = yield* twoRevisions
      assert.match(yield* fails(1, machine, "find", "-r", "dayly"), /id or tag "dayly" \(did you mean "daily"\?\)$/)
      assert.match(yield* fails(1, machine, "find", "-r", "7"), /there is no revision 7: .* to 1$/)
      assert.match(yield* fails(1, machine, "find", "-r", newer.slice(0, 8)), /ids are written in full/)
      assert.match(yield* fails(1, machine, "diff", "all", "0"), /-r all: 2 revisions fit, and exactly one is wanted$/)
      assert.match(yield* fails(1, makeMachine(), "find"), /there is no complete revision yet$/)
    }))
})

describe("restore", () => {
  it.effect("puts nothing but the image on standard output", () =>
    Effect.gen(function*() {
      const { machine } = yield* twoRevisions
      const outcome = yield* ok(machine, "restore", "-r", "latest", "-")
      assert.deepStrictEqual(outcome.out, [])
      assert.deepStrictEqual(outcome.image, image(2))
      assert.deepStrictEqual((yield* ok(machine, "restore", "-r", "weekly", "-")).image, image(1))
    }))

  it.effect("warns of a distrusted revision and names the newest trusted one", () =>
    Effect.gen(function*() {
      const { machine, newer, older } = yield* twoRevisions
      yield* ok(machine, "distrust", "-r", "latest")
      const { err, image: bytes } = yield* ok(machine, "restore", "-")
      assert.deepStrictEqual(err, [`warning: revision ${newer} is distrusted; the newest trusted one is ${older}`])
      assert.deepStrictEqual(bytes, image(2))
    }))

  it.effect("refuses targets that would lose something", () =>
    Effect.gen(function*() {
      const { machine } = yield* twoRevisions
      assert.match(yield* fails(1, machine, "restore", "/images"), /\/images: it is a directory/)
      assert.match(yield* fails(1, machine, "restore", `${REPOSITORY}/x`), /within the repository$/)
      assert.match(yield* fails(1, machine, "restore", "/nowhere/x"), /there is no directory \/nowhere$/)
      assert.match(
        yield* fails(1, machine, "restore", "/images/vm.img"),
        /it is the source itself \(-f overwrites it\)$/
      )
      assert.match(yield* fails(1, machine, "restore", "-r", "all", "/restore/x"), /exactly one is wanted/)
      setFile(machine.disk, "/restore/old", new Uint8Array(1))
      assert.match(yield* fails(1, machine, "restore", "/restore/old"), /there and not empty \(-f overwrites it\)$/)
      const { out } = yield* ok(machine, "restore", "-f", "/restore/old")
      assert.match(out.join("\n"), /^restored revision \w{22} to \/restore\/old: 12\.1 KiB, every byte checked$/)
    }))
})

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
        /^backy: revision \w{22} was restored except for 4096 bytes, which are zeros now$/
      )
    }))

  it.effect("of a map blocks purge, which says what to do, and doing it helps", () =>
    Effect.gen(function*() {
      const { machine, older } = yield* twoRevisions
      setFile(machine.disk, `${REPOSITORY}/${older}`, new TextEncoder().encode("backy-map 3\nsize 1"))
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

describe("init", () => {
  it.effect("refuses an existing config, and types that there are not", () =>
    Effect.gen(function*() {
      const machine = makeMachine()
      assert.match(
        yield* fails(1, machine, "init", "file", "/images/vm.img"),
        /config is there already and was left as it is$/
      )
      assert.match(
        yield* fails(1, machine, "init", "rbd", "a/b"),
        /sources of type "rbd" are not supported .* \(it has file\)$/
      )
    }))

  it.effect("writes the default schedule and an absolute path, and warns when nothing is there", () =>
    Effect.gen(function*() {
      const machine = makeMachine()
      machine.disk.unlink(`${REPOSITORY}/config`)
      const { err, out } = yield* ok(machine, "init", "file", "somewhere.img")
      assert.match(err.join("\n"), /^warning: .*\/somewhere\.img: there is no such file$/)
      assert.deepStrictEqual(out, [
        `made ${REPOSITORY}/config, which holds the schedule`,
        `next: backy -b ${REPOSITORY} backup daily`
      ])
      assert.match(yield* fails(2, machine, "backup"), /daily, weekly, monthly/)
    }))
})

describe("global options", () => {
  it.effect("-v and --log-level say how much is told", () =>
    Effect.gen(function*() {
      const { machine } = yield* twoRevisions
      yield* ok(machine, "distrust", "-r", "latest")
      const warned = (...argv: ReadonlyArray<string>) =>
        Effect.map(ok(machine, ...argv, "restore", "-"), ({ err }) => err.length)
      assert.strictEqual(yield* warned(), 1)
      assert.strictEqual(yield* warned("--log-level", "error"), 0)
      assert.isAtLeast(yield* warned("-v"), 1)
      const { err } = yield* backy(machine, "-v", "find", "-r", "9")
      assert.isAbove(err.length, 1)
      assert.match(err[0] ?? "", /^backy: there is no revision 9/)
    }))
})
