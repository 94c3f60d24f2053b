import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as FileSystem from "@effect/platform/FileSystem"
import { assert, describe, it } from "@effect/vitest"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Equal from "effect/Equal"
import * as FastCheck from "effect/FastCheck"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Config from "../../src/config/Config.ts"
import * as DaemonConfig from "../../src/config/DaemonConfig.ts"
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

const daemon = (text: string) => DaemonConfig.decode(text, { file: "backy.conf" })
const repository = (text: string) => RepositoryConfig.decode(text, { file: "config" })

/** The lines that are reported, without the file's name. */
const lines = (result: Either.Either<unknown, Config.ConfigInvalid>): ReadonlyArray<string> =>
  Either.match(result, {
    onLeft: (error) => error.lines.map((line) => line.replace(/^[^:]*:/, "")),
    onRight: () => []
  })

const get = <A>(result: Either.Either<A, Config.ConfigInvalid>): A => Either.getOrThrowWith(result, (error) => error)

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
source: {type: ceph-rbd, pool: rbd, image: vm.root, full-always: yes, cow: no}
`))
    assert.deepStrictEqual(config.schedule, {
      daily: { interval: Duration.days(1), keep: 2 },
      weekly: { interval: Duration.days(7), keep: 2 }
    })
    const source: CephRbdSource = { type: "ceph-rbd", pool: "rbd", image: "vm.root", fullAlways: true, cow: false }
    assert.deepStrictEqual(config.source, source)
  })

  it("carries settings of ours", () => {
    const text = `${job}schedule: {}
settings: {workers: 4, compression-level: 3, stall-timeout: 1h, verify-rotation: 30d, nice: 10, ionice: idle,
  free-space-floor: 10GiB, plugins: [backy-s3]}
`
    const config = get(repository(text))
    assert.deepStrictEqual(config.settings, {
      workers: 4,
      compressionLevel: 3,
      stallTimeout: Duration.hours(1),
      verifyRotation: Duration.days(30),
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

describe("the daemon's config", () => {
  it("has the ancestor's defaults", () => {
    for (const text of ["{}", "global:\njobs:\nschedules:\n", "# nothing\n{}"]) {
      assert.deepStrictEqual(get(daemon(text)), {
        baseDir: "/srv/backy",
        workerLimit: 1,
        statusFile: "/srv/backy/status",
        statusInterval: 30,
        telnetAddresses: ["127.0.0.1", "::1"],
        telnetPort: 6023,
        backupCompletedCallback: undefined,
        settings: {},
        schedules: {},
        jobs: []
      })
    }
  })

  it("gives each job its schedule, sorted by name", () => {
    const config = get(daemon(`
global: {base-dir: /backup/, worker-limit: 3, telnet-addrs: "::1, 10.0.0.1", workers: 2, status-interval: 60}
schedules:
  frequent: {hourly: {interval: 1h, keep: 25}}
jobs:
  web01: {schedule: frequent, source: {type: file, filename: web01.img}}
  007: {schedule: frequent, source: {type: ceph-rbd, pool: rbd, image: bond}}
`))
    assert.deepStrictEqual(config.jobs.map((job) => [job.name, job.scheduleName, job.source.type]), [
      ["007", "frequent", "ceph-rbd"],
      ["web01", "frequent", "file"]
    ])
    assert.deepStrictEqual(config.jobs[0]?.schedule, { hourly: { interval: Duration.hours(1), keep: 25 } })
    assert.strictEqual(config.statusFile, "/backup/status")
    assert.deepStrictEqual(config.telnetAddresses, ["::1", "10.0.0.1"])
    assert.deepStrictEqual(config.settings, { workers: 2 })
  })

  it("reports every mistake at once, by line, with what was meant", () => {
    const text = `global:
  base-dri: /srv/backy
  status-interval: 300
  telnet-port: 70000
schedules:
  default:
    daily: {interval: 1d, keep: 0}
    weekly: {intervall: 7d, keep: 5}
    no way: {interval: 1d, keep: 1}
    manual:x: {interval: 1d, keep: 1}
  empty: {}
jobs:
  web01: {schedule: defualt, source: {type: fiel, filename: x}}
  ../up: {schedule: default, source: {type: file, filename: x}}
  status: {schedule: default, source: {type: file, filename: x}}
  db01:
    schedule: default
    source: {type: ceph-rbd, pool: -p, image: a@b}
  new: [default]
jbos: {}
`
    assert.deepStrictEqual(lines(daemon(text)), [
      "2: global.base-dri: there is no key \"base-dri\" here (did you mean \"base-dir\"?)",
      "3: global.status-interval: expected a whole number from 1 to 120, got 300",
      "4: global.telnet-port: expected a whole number from 1 to 65535, got 70000",
      "7: schedules.default.daily.keep: expected a whole number from 1 to 100000, got 0",
      "8: schedules.default.weekly.intervall: there is no key \"intervall\" here (did you mean \"interval\"?)",
      "8: schedules.default.weekly.interval: is missing",
      "9: schedules.default.no way: a tag has no spaces, commas, \"&\", brackets and no \"..\": \"no way\"",
      "10: schedules.default.manual:x: \"manual:\" is for tags made by hand, no schedule can have it",
      "11: schedules.empty: a schedule without tags backs nothing up",
      "13: jobs.web01.source.type: there is no source type \"fiel\" (did you mean \"file\"?)",
      "13: jobs.web01.schedule: there is no schedule \"defualt\" (did you mean \"default\"?)",
      "14: jobs.../up: a job's name does not begin with a dash or a dot",
      "15: jobs.status: the job's directory would be the status file, /srv/backy/status",
      "18: jobs.db01.source.pool: a pool's name neither begins with \"-\" nor contains \"/\" or \"@\"",
      "18: jobs.db01.source.image: an image's name neither begins with \"-\" nor contains \"/\" or \"@\"",
      "19: jobs.new: expected keys and values",
      "20: jbos: there is no key \"jbos\" here (did you mean \"jobs\"?)"
    ])
  })

  const texts: ReadonlyArray<readonly [what: string, text: string, line: RegExp]> = [
    ["nothing at all", "", /^1: expected keys and values$/],
    ["a list", "- jobs", /^1: expected keys and values$/],
    ["a key twice", "jobs:\n  a: {}\n  b: {}\n  a: {}\n", /^4: the key "a" stands twice/],
    [
      "a tag of Python's",
      "global: {}\njobs: !!python/object:os.system {}\n",
      /^2: the tag !!python\/object:os\.system is not/
    ],
    ["a tag of JavaScript's", "jobs: !!js/function x", /^1: the tag !!js\/function is not allowed here$/],
    ["a tab", "jobs:\n\ta: {}\n", /^2: tabs are not allowed as indentation$/],
    ["an unknown anchor", "jobs: *x\n", /^1: there is no anchor "x"/],
    ["two documents", "{}\n---\n{}\n", /^2: a second document begins here/],
    ["a control character", "jobs:\n  a\u0007b: {}\n", /^2: there is a control character in this line$/],
    ["the key __proto__", "__proto__: {jobs: {}}", /^1: expected a plain word as key$/],
    ["a hundred megabytes", `#${"x".repeat(100 * 2 ** 20)}`, /^1: the file is larger than 4096 KiB$/],
    [
      "an alias bomb",
      Array.from({ length: 20 }, (_, i) => `a${i}: &a${i} [${i === 0 ? "x" : Array(9).fill(`*a${i - 1}`)}]`).join("\n"),
      /too large to read$/
    ]
  ]
  for (const [what, text, line] of texts) {
    it(`refuses ${what}`, () => {
      const reported = lines(daemon(text))
      assert.match(reported[0] ?? "it was accepted", line)
    })
  }

  it("may begin with a byte order mark, as files of some editors do", () => {
    assert.isTrue(Either.isRight(daemon("\uFEFFjobs: {}\n")))
  })

  it.prop("answers every truncation of a good file with a config or an error", [
    FastCheck.nat(),
    FastCheck.nat(),
    FastCheck.string()
  ], ([
    start,
    length,
    garbage
  ]) => {
    const text =
      "global: {base-dir: /srv}\nschedules:\n  a:\n    daily: {interval: 1d, keep: 1}\njobs:\n  b: {schedule: a, source: {type: file, filename: x}}\n"
    const at = start % text.length
    daemon(text.slice(0, at) + garbage + text.slice(at + length % 20))
  }, { fastCheck: { numRuns: 300 } })
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
    assert.notInclude(JSON.stringify(config) + String(config.source), "s3cret")
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

describe("reading from disk", () => {
  const withDirectory = <A, E>(
    use: (directory: string, files: FileSystem.FileSystem) => Effect.Effect<A, E, FileSystem.FileSystem>
  ) =>
    Effect.gen(function*() {
      const files = yield* FileSystem.FileSystem
      return yield* use(yield* files.makeTempDirectoryScoped(), files)
    }).pipe(Effect.scoped, Effect.provide(NodeFileSystem.layer))

  it.effect("finds the repository's config in its directory", () =>
    withDirectory((directory, files) =>
      Effect.gen(function*() {
        yield* files.writeFileString(Config.fileIn(directory), `${job}schedule: {}\n`)
        assert.strictEqual((yield* Config.loadRepository(directory)).source.type, "file")
      })
    ))

  it.effect("says in one sentence that there is none", () =>
    withDirectory((directory) =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(Config.loadRepository(directory))
        assert.strictEqual(
          error.message,
          `there is no config file ${directory}/config: this is no backy repository (backy init makes one)`
        )
        const other = yield* Effect.flip(Config.loadDaemon(`${directory}/backy.conf`))
        assert.strictEqual(other.message, `there is no config file ${directory}/backy.conf: -c names another one`)
      })
    ))

  it.effect("tells mistakes, unreadable files and other encodings apart", () =>
    withDirectory((directory, files) =>
      Effect.gen(function*() {
        const file = `${directory}/backy.conf`
        yield* files.writeFile(file, new Uint8Array([0xff, 0xfe, 0x00]))
        assert.strictEqual(
          (yield* Effect.flip(Config.loadDaemon(file))).message,
          `${file}:1: the file is not UTF-8 text`
        )
        yield* files.writeFileString(file, "jbos: {}\n")
        assert.strictEqual(
          (yield* Effect.flip(Config.loadDaemon(file))).message,
          `${file}:1: jbos: there is no key "jbos" here (did you mean "jobs"?)`
        )
        yield* files.truncate(file, 5 * 1024 * 1024)
        assert.strictEqual(
          (yield* Effect.flip(Config.loadDaemon(file))).message,
          `${file}:1: the file is larger than 4 MiB`
        )
        const directoryError = yield* Effect.flip(Config.loadDaemon(directory))
        assert.strictEqual(directoryError._tag, "IoError")
      })
    ))
})
