import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import type { ConfigInvalid } from "../../src/config/Config.ts"
import * as DaemonConfig from "../../src/config/DaemonConfig.ts"

const daemon = (text: string) => DaemonConfig.decode(text, { file: "backy.conf" })

/** The lines that are reported, without the file's name. */
const lines = (result: Either.Either<unknown, ConfigInvalid>): ReadonlyArray<string> =>
  Either.match(result, {
    onLeft: (error) => error.lines.map((line) => line.replace(/^[^:]*:/, "")),
    onRight: () => []
  })

const get = <A>(result: Either.Either<A, ConfigInvalid>): A => Either.getOrThrowWith(result, (error) => error)

describe("the daemon's config", () => {
  it("has the ancestor's defaults", () => {
    for (const text of ["{}", "global:\njobs:\nschedules:\n", "# nothing\n{}"]) {
      assert.deepStrictEqual(get(daemon(text)), {
        baseDir: "/srv/backy",
        baseMarker: undefined,
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
      Array.from({ length: 20 }, (_, i) => `a${i}: &a${i} [${i === 0 ? "x" : `*a${i - 1},`.repeat(9)}]`).join("\n"),
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
    const text = "global: {base-dir: /srv}\nschedules:\n  a:\n    daily: {interval: 1d, keep: 1}\n" +
      "jobs:\n  b: {schedule: a, source: {type: file, filename: x}}\n"
    const at = start % text.length
    daemon(text.slice(0, at) + garbage + text.slice(at + length % 20))
  }, { fastCheck: { numRuns: 200 } })
})
