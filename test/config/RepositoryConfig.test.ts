import { assert, describe, it } from "@effect/vitest"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as Equal from "effect/Equal"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { inspect } from "node:util"
import type { ConfigInvalid } from "../../src/config/Config.ts"
import * as RepositoryConfig from "../../src/config/RepositoryConfig.ts"
import { defaultSchedule } from "../../src/domain/JobConfig.ts"
import {
  builtIn,
  type CephRbdSource,
  type FileSource,
  type FlyingCircusSource,
  sourceType
} from "../../src/domain/SourceConfig.ts"
import { jobConfig } from "../support/arbitraries.ts"

const repository = (text: string) => RepositoryConfig.decode(text, { file: "config" })

/** The lines that are reported, without the file's name. */
const lines = (result: Either.Either<unknown, ConfigInvalid>): ReadonlyArray<string> =>
  Either.match(result, {
    onLeft: (error) => error.lines.map((line) => line.replace(/^[^:]*:/, "")),
    onRight: () => []
  })

const get = <A>(result: Either.Either<A, ConfigInvalid>): A => Either.getOrThrowWith(result, (error) => error)

const job = "source: {type: file, filename: disk.img}\n"

describe("a repository's config", () => {
  it.prop("comes back as it was written", [jobConfig], ([config]) => {
    const text = RepositoryConfig.encode(config)
    assert.deepStrictEqual(get(repository(text)), { ...config, settings: {} })
    assert.strictEqual(RepositoryConfig.encode(get(repository(text))), text)
  })

  const ancestors = `schedule:
  daily:
    interval: 1d
    keep: 9
  weekly:
    interval: 7d
    keep: 5
source:
  backend: cowfile
  filename: ../disk.img
  type: file
`

  it("of the ancestor is read and written without changing a byte", () => {
    const config = get(repository(ancestors))
    const source: FileSource = { type: "file", filename: "../disk.img", backend: "cowfile" }
    assert.deepStrictEqual(config, {
      source,
      schedule: {
        daily: { interval: Duration.days(1), keep: 9 },
        weekly: { interval: Duration.days(7), keep: 5 }
      },
      settings: {}
    })
    assert.strictEqual(RepositoryConfig.encode(config), ancestors)
  })

  it("is what init writes", () => {
    const source: FileSource = { type: "file", filename: "/vm/disk" }
    assert.strictEqual(
      RepositoryConfig.encode({ source, schedule: defaultSchedule }),
      "schedule:\n  daily:\n    interval: 1d\n    keep: 9\n  monthly:\n    interval: 30d\n    keep: 4\n" +
        "  weekly:\n    interval: 7d\n    keep: 5\nsource:\n  filename: /vm/disk\n  type: file\n"
    )
  })

  it("takes what YAML 1.1 has: yes and no, merges, and seconds as text", () => {
    const config = get(repository(`
schedule:
  daily: &daily {interval: "86400", keep: 2}
  weekly:
    <<: *daily
    interval: 1w
source: {type: ceph-rbd, pool: rbd, namespace: tenant, image: vm.root, full-always: yes, cow: no}
`))
    assert.deepStrictEqual(config.schedule, {
      daily: { interval: Duration.days(1), keep: 2 },
      weekly: { interval: Duration.days(7), keep: 2 }
    })
    const source: CephRbdSource = {
      type: "ceph-rbd",
      pool: "rbd",
      namespace: "tenant",
      image: "vm.root",
      fullAlways: true,
      cow: false
    }
    assert.deepStrictEqual(config.source, source)
  })

  it("carries settings of ours", () => {
    const text = `${job}schedule: {}
settings: {workers: 4, compression-level: 3, stall-timeout: 1h, verify-rotation: 7d, nice: 10, ionice: idle,
  free-space-floor: 10GiB, plugins: [backy-s3]}
`
    const config = get(repository(text))
    assert.deepStrictEqual(config.settings, {
      workers: 4,
      compressionLevel: 3,
      stallTimeout: Duration.hours(1),
      verifyRotation: Duration.days(7),
      nice: 10,
      ionice: "idle",
      freeSpaceFloor: { _tag: "Bytes", bytes: 10 * 2 ** 30 },
      plugins: ["backy-s3"]
    })
    assert.deepStrictEqual(get(repository(RepositoryConfig.encode(config))), config)
    assert.deepStrictEqual(get(repository(`${job}schedule: {}\nsettings: {free-space-floor: 5%}`)).settings, {
      freeSpaceFloor: { _tag: "Percent", percent: 5 }
    })
  })

  it("takes a rotation as a number of backups, too", () => {
    const settings = (value: string) => repository(`${job}schedule: {}\nsettings: {verify-rotation: ${value}}`)
    assert.deepStrictEqual(get(settings("30")).settings, { verifyRotation: 30 })
    assert.deepStrictEqual(get(repository(RepositoryConfig.encode(get(settings("12"))))).settings, {
      verifyRotation: 12
    })
    for (const wrong of ["0", "-1", "1.5", "\"30\"", "200000", "often", "[30]"]) {
      assert.match(
        lines(settings(wrong)).join("\n"),
        /verify-rotation: expected a number of backups such as 30, or a time/
      )
    }
  })

  const keep = (value: string) => lines(repository(`${job}schedule:\n  daily:\n    interval: 1d\n    keep: ${value}\n`))
  const interval = (value: string) =>
    lines(repository(`${job}schedule:\n  daily:\n    interval: ${value}\n    keep: 1\n`))

  for (const value of ["0", "-1", "1e99", "\"7\"", "1.5", ".inf", ".nan", "yes", "99999999999999999999", "[1]"]) {
    it(`refuses keep: ${value}, with its line`, () => {
      assert.match(keep(value).join("\n"), /^5: schedule\.daily\.keep: expected a whole number from 1 to 100000/)
    })
  }

  for (const value of ["0s", "-1d", "10y", "1.5h", "\"\"", "30", "true", "[1d]", "99999d", "2025-03-04"]) {
    it(`refuses interval: ${value}, with its line`, () => {
      assert.match(
        interval(value).join("\n"),
        /^4: schedule\.daily\.interval: expected a duration such as 6h, 1d or 2w/
      )
    })
  }

  it("says how a number of seconds is written", () => {
    assert.deepStrictEqual(interval("30"), [
      "4: schedule.daily.interval: expected a duration such as 6h, 1d or 2w, got 30 without a unit (write 30s)"
    ])
  })

  it("reports what is missing where it should be", () => {
    assert.deepStrictEqual(lines(repository("source: {type: file}\n")), [
      "1: source.filename: is missing",
      "1: schedule: is missing"
    ])
  })
})

describe("secrets", () => {
  const misplaced = [
    "{type: flyingcircus, vm: a, pool: b, image: c, consul_acl_token: [s3cret]}",
    "{type: flyingcircus, vm: a, pool: b, image: c, consul_acl_token: {a: s3cret}}",
    "{type: flyingcircus, vm: a, pool: b, image: c, consul_token: s3cret}",
    "{type: flyingcircus, consul_acl_token: s3cret}",
    "{consul_acl_token: s3cret}",
    "[s3cret]",
    "[{consul_acl_token: s3cret}]"
  ]
  for (const source of misplaced) {
    it(`are not in the message about ${source}`, () => {
      const result = repository(`schedule: {}\nsource: ${source}\n`)
      assert.isTrue(Either.isLeft(result))
      assert.notInclude(lines(result).join(), "s3cret")
    })
  }

  it("are redacted once read, and written to the job's config only", () => {
    const config = get(
      repository("schedule: {}\nsource: {type: flyingcircus, vm: a, pool: b, image: c, consul_acl_token: s3cret}")
    )
    assert.notInclude(`${JSON.stringify(config)} ${inspect(config)}`, "s3cret")
    assert.include(RepositoryConfig.encode(config), "consul_acl_token: s3cret\n")
    const source: FlyingCircusSource = {
      type: "flyingcircus",
      vm: "a",
      pool: "b",
      image: "c",
      consulAclToken: Redacted.make("s3cret")
    }
    assert.isTrue(Equal.equals(Data.struct(config.source), Data.struct(source)))
  })

  it("may be left empty, as the ancestor wrote them", () => {
    const text = "schedule: {}\nsource: {type: flyingcircus, vm: a, pool: b, image: c, consul_acl_token: null}"
    assert.isTrue(Either.isRight(repository(text)))
  })
})

describe("source types of plug-ins", () => {
  const s3 = sourceType("s3", Schema.Struct({ type: Schema.Literal("s3"), bucket: Schema.String }))
  const options = { file: "config", sources: [...builtIn, s3] }

  it("are read, checked and written like the others", () => {
    const text = "schedule: {}\nsource:\n  bucket: b\n  type: s3\n"
    const config = get(RepositoryConfig.decode(text, options))
    assert.isTrue(s3.is(config.source))
    assert.strictEqual(RepositoryConfig.encode(config, options.sources), text)
    assert.deepStrictEqual(
      lines(RepositoryConfig.decode(text.replace("bucket: b", "buckt: b"), options)),
      [
        "3: source.buckt: there is no key \"buckt\" here (did you mean \"bucket\"?)",
        "2: source.bucket: is missing"
      ].sort()
    )
  })

  it("are unknown where they are not registered", () => {
    assert.deepStrictEqual(lines(repository("schedule: {}\nsource: {type: s3}")), [
      "2: source.type: there is no source type \"s3\" (there are: file, ceph-rbd, flyingcircus)"
    ])
  })
})
