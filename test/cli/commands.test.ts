import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as TestClock from "effect/TestClock"
import * as Revision from "../../src/domain/Revision.ts"
import * as DigestLine from "../../src/platform/digestLine.ts"
import * as RevisionFile from "../../src/repository/revisionFile.ts"
import { bytesOf } from "../support/diskFiles.ts"
import { CHUNK, REPOSITORY, setFile } from "../support/World.ts"
import { backy, fails, image, makeMachine, ok, twoRevisions } from "./backy.ts"

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
      assert.match(yield* fails(1, machine, "backup", "daily"), /^backy: cannot back up a\/b: /)
    }))
})

describe("status", () => {
  it.effect("is a table, newest last, with the zone in its head", () =>
    Effect.gen(function*() {
      const { machine, newer, older } = yield* twoRevisions
      const { out } = yield* ok(machine, "status")
      assert.strictEqual(out.length, 5)
      assert.match(out[0] ?? "", /^Date \([\w/+-]+\) +Revision +Image +New +Took +Tags +Trust$/)
      assert.match(out[1] ?? "", new RegExp(`^1970-01-0\\d \\d\\d:00:00 .*${older} +12\\.1 KiB .* weekly +trusted$`))
      assert.include(out[2] ?? "", newer)
      assert.match(out[3] ?? "", /^2 revisions, which added \d+ bytes$/)
      assert.match(out[4] ?? "", /^fully compared with the source at 1970-01-0\d \d\d:00:00$/)
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
      assert.strictEqual(second.backend_type, "chunked-v4")
      assert.strictEqual(second.trust, "trusted")
      assert.strictEqual(second.size, 3 * CHUNK + 100)
      assert.strictEqual(second.path, `${REPOSITORY}/${newer}`)
      assert.strictEqual(second.age, 90)
      assert.match(second.fully_compared, /^1970-01-0\dT\d\d:00:00/)
      assert.strictEqual(typeof second.stats.duration, "number")
      assert.deepStrictEqual(JSON.parse((yield* ok(makeMachine(), "status", "--json")).out.join("")), [])
    }))

  it.effect("is a list as YAML, as the ancestor prints it", () =>
    Effect.gen(function*() {
      const { machine, older } = yield* twoRevisions
      const { out } = yield* ok(machine, "status", "--yaml")
      assert.strictEqual(out[0], "- backend_type: chunked-v4")
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
      assert.strictEqual(out.length, 4)
      assert.include(out[1] ?? "", newer)
    }))

  it.effect("shows revisions that were never completed, but not to scripts", () =>
    Effect.gen(function*() {
      const { machine, newer } = yield* twoRevisions
      const path = `${REPOSITORY}/${newer}.rev`
      const whole = Either.getOrThrow(RevisionFile.decode(bytesOf(machine.disk, path)))
      const begun = { stats: {}, size: undefined, mapDigest: undefined, verification: undefined }
      setFile(machine.disk, path, RevisionFile.encode(Revision.update(whole, begun)))
      const { out } = yield* ok(machine, "status")
      assert.match(out[2] ?? "", / - +daily +incomplete$/)
      assert.match(out[3] ?? "", /^1 revision,/)
      assert.strictEqual(JSON.parse((yield* ok(machine, "status", "--json")).out.join("")).length, 1)
    }))
})

describe("status of an image that is compared by parts", () => {
  /** The newest revision says this of its comparison. */
  const statusWith = (verification: string) =>
    Effect.gen(function*() {
      const { machine, newer } = yield* twoRevisions
      const { out: yaml } = yield* ok(machine, "status", "--yaml", "-r", newer)
      const [before = ""] = yaml.map((line) => line.slice(2)).join("\n").split("verification:")
      setFile(
        machine.disk,
        `${REPOSITORY}/${newer}.rev`,
        DigestLine.seal("# digest ", new TextEncoder().encode(`${before}verification: ${verification}\n`))
      )
      const { out } = yield* ok(machine, "status")
      const json = JSON.parse((yield* ok(machine, "status", "--json")).out.join("\n"))
      return { last: out.at(-1), json: json.at(-1).fully_compared }
    })

  it.effect("says since when all of it has been compared", () =>
    Effect.gen(function*() {
      const { json, last } = yield* statusWith(
        "{kind: samples, compared: 4096, of: 12388, cursor: 1, rotation_started: 2026-11-02T00:00:00.000Z, " +
          "fully_compared: '2026-10-01T02:10:00.000Z'}"
      )
      assert.match(
        last ?? "",
        /^fully compared with the source since 2026-\d\d-\d\d \d\d:\d\d:00, a part in each backup$/
      )
      assert.strictEqual(json, "2026-10-01T02:10:00.000Z")
    }))

  it.effect("says how far the first round is", () =>
    Effect.gen(function*() {
      const { json, last } = yield* statusWith(
        "{kind: samples, compared: 4096, of: 12388, cursor: 1, rotation_started: '2026-11-02T00:00:00.000Z'}"
      )
      assert.match(last ?? "", /^compared with the source since 2026-11-0\d .*: 33 %, a part in each backup$/)
      assert.isNull(json)
    }))

  it.effect("says nothing of what it does not know", () =>
    Effect.gen(function*() {
      const { json, last } = yield* statusWith("{kind: samples, compared: 4096, of: 12388}")
      assert.match(last ?? "", /^2 revisions/)
      assert.isNull(json)
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
        /sources of type "rbd" are not supported .* \(it has file, ceph-rbd, flyingcircus\)$/
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
      assert.strictEqual(yield* warned("-b", "/srv/backy/vm", "--log-level", "error"), 0)
      assert.strictEqual((yield* ok(machine, "restore", "-", "-b/srv/backy/vm", "--log-level=error")).err.length, 0)
      assert.isAtLeast(yield* warned("-v"), 1)
      const { err } = yield* backy(machine, "-v", "find", "-r", "9")
      assert.isAbove(err.length, 1)
      assert.match(err[0] ?? "", /^backy: there is no revision 9/)
    }))
})
