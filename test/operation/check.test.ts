import { assert, describe, it } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import type { DaemonJob } from "../../src/config/DaemonConfig.ts"
import * as StatusFile from "../../src/daemon/StatusFile.ts"
import type { JobStatus } from "../../src/domain/JobStatus.ts"
import { check, exitCode, lines } from "../../src/operation/check.ts"
import { status } from "../support/jobStatus.ts"

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const NOW = Date.UTC(2026, 5, 2)
const at = (millis: number) => DateTime.unsafeMake(millis)
const job = (name: string, ...hours: ReadonlyArray<number>): DaemonJob => ({
  name,
  scheduleName: "some",
  source: { type: "file" },
  schedule: Object.fromEntries(hours.map((count, index) => [`t${index}`, { interval: Duration.hours(count), keep: 1 }]))
})
const judge = (jobs: ReadonlyArray<DaemonJob>, all: ReadonlyArray<JobStatus>, writtenAt = NOW) =>
  check({ config: { jobs }, status: all, writtenAt, now: NOW })
const fresh = { last_time: at(NOW - HOUR), configured_since: at(NOW - 100 * HOUR) }

describe("check", () => {
  it("says on the first line what monitoring systems want, with performance data", () => {
    const jobs = [job("a", 24), job("b", 24)]
    const [first] = lines(judge(jobs, [status({ job: "a", ...fresh }), status({ job: "b", ...fresh })]))
    assert.strictEqual(first, "OK: 2 jobs within SLA | jobs=2 overdue=0 warnings=0 oldest=3600s status_age=0s")
    const report = judge(jobs, [
      status({ job: "a", last_time: at(NOW - 37 * HOUR), problem: "backup: it | broke\nhere" }),
      status({ job: "b", ...fresh, manual_tags: "manual:x" })
    ])
    assert.deepStrictEqual(lines(report), [
      "CRITICAL: 1 of 2 jobs not within SLA (a) | jobs=2 overdue=1 warnings=0 oldest=133200s status_age=0s",
      "critical: a: the newest backup is 1d 13h old, allowed are 1d 12h; backup: it / broke here",
      "info: b: manual tags: manual:x"
    ])
  })

  it("allows one and a half of the shortest interval, to the millisecond", () => {
    const of = (age: number) => judge([job("a", 48, 24)], [status({ job: "a", last_time: at(NOW - age) })]).level
    assert.deepStrictEqual([of(36 * HOUR), of(36 * HOUR + 1)], ["OK", "CRITICAL"])
  })

  it("warns of a base directory that looks as if it was not mounted", () => {
    const report = check({
      config: { jobs: [job("a", 24)] },
      status: [status({ job: "a", ...fresh })],
      writtenAt: NOW,
      now: NOW,
      base: "the base directory is empty"
    })
    assert.strictEqual(report.level, "WARNING")
    assert.match(lines(report)[0] ?? "", /^WARNING: 1 job within SLA, but the base directory is empty \|/)
  })

  it("is never green on ignorance", () => {
    const jobs = [job("a", 24)]
    assert.strictEqual(judge(jobs, []).level, "CRITICAL")
    assert.strictEqual(judge(jobs, [status({ job: "a" })]).level, "CRITICAL")
    assert.strictEqual(judge(jobs, [status({ job: "a", ...fresh, last_time: at(NOW + HOUR) })]).level, "CRITICAL")
    assert.strictEqual(judge(jobs, [status({ job: "a", ...fresh })], NOW - 5 * MINUTE - 1).level, "CRITICAL")
    assert.strictEqual(judge(jobs, [status({ job: "a", ...fresh })], NOW + HOUR).level, "UNKNOWN")
    const twice = [status({ job: "a", ...fresh, last_time: at(NOW - 40 * HOUR) }), status({ job: "a", ...fresh })]
    assert.strictEqual(judge(jobs, twice).level, "UNKNOWN")
    // no age is not the best of all ages
    for (const unknown of [[], [status({ job: "a" })]]) {
      assert.notInclude(lines(judge(jobs, unknown))[0] ?? "", "oldest")
    }
    assert.include(lines(judge([], []))[0] ?? "", " oldest=0s ")
    // a run that goes on does not excuse it
    const running = { job: "a", last_time: at(NOW - 40 * HOUR), running_since: at(NOW - HOUR) }
    assert.strictEqual(judge(jobs, [status(running)]).level, "CRITICAL")
  })

  it("warns of what needs a look, in the daemon and in jobs", () => {
    const changes: ReadonlyArray<Partial<JobStatus>> = [
      { quarantine_reports: 2 },
      { running_since: at(NOW - 25 * HOUR) },
      { purge_blocked: "a map cannot be read" },
      { broken_revisions: 1 },
      { stalled: at(NOW - HOUR) },
      { busy_since: at(NOW - 25 * HOUR) },
      { reload_refused: "line 3" },
      { state_trouble: "it is no YAML" }
    ]
    for (const change of changes) {
      assert.strictEqual(judge([job("a", 24)], [status({ job: "a", ...fresh, ...change })]).level, "WARNING")
    }
  })

  it("lets a purge wait for another process for a day, and then says for whom and since when", () => {
    const of = (age: number, sentence = "/srv/backy/a/.purge is locked by backy nbd, process 7 (exit code 75)") =>
      judge([job("a", 24)], [status({
        job: "a",
        ...fresh,
        purge_blocked: sentence,
        purge_blocked_since: at(NOW - age)
      })])
    assert.deepStrictEqual([of(0).level, of(24 * HOUR).level], ["OK", "OK"])
    assert.deepStrictEqual(of(24 * HOUR + 1).remarks, [{
      job: "a",
      level: "WARNING",
      text: "purge has had to wait since 2026-05-31 23:59 UTC: /srv/backy/a/.purge is locked by backy nbd, process 7 " +
        "(exit code 75)"
    }])
    // nobody can be named
    assert.strictEqual(of(48 * HOUR, "locked by another process").level, "WARNING")
  })

  it("has Nagios' exit codes", () => {
    assert.deepStrictEqual((["OK", "WARNING", "CRITICAL", "UNKNOWN"] as const).map(exitCode), [0, 1, 2, 3])
  })

  /** The rules of the manual as one who has never seen the code would write them down. */
  const reference = (
    hours: number,
    one: JobStatus | undefined,
    age: number
  ): "red" | "yellow" | "green" | "unknown" => {
    if (age < -MINUTE) return "unknown"
    if (age > 5 * MINUTE || one === undefined) return "red"
    const usable = one.last_time !== null && one.last_time.epochMillis <= NOW ? one.last_time : one.configured_since
    if (usable === null || NOW - usable.epochMillis > 1.5 * hours * HOUR) return "red"
    const tooLong = (since: DateTime.Utc | null) => since !== null && NOW - since.epochMillis > hours * HOUR
    const blocked = one.purge_blocked_since
    const cannotPurge = one.purge_blocked !== null && (blocked === null || NOW - blocked.epochMillis > 24 * HOUR)
    return one.quarantine_reports + one.broken_revisions > 0 || cannotPurge || one.stalled !== null ||
        one.reload_refused !== null || one.state_trouble !== null || tooLong(one.running_since) ||
        tooLong(one.busy_since) || (one.last_time !== null && one.last_time.epochMillis > NOW)
      ? "yellow"
      : "green"
  }
  const instant = FastCheck.option(FastCheck.integer({ min: -100, max: 5 }).map((hours) => at(NOW + hours * HOUR)))
  const text = FastCheck.option(FastCheck.constantFrom("no: \"way\"", "12", "null", "a\nb", "ünï", "- x", "2026-01-01"))
  const statuses = FastCheck.record({
    last_time: instant,
    configured_since: instant,
    running_since: instant,
    busy_since: instant,
    quarantine_reports: FastCheck.constantFrom(0, 0, 1),
    broken_revisions: FastCheck.constantFrom(0, 0, 1),
    purge_blocked: text,
    purge_blocked_since: instant,
    reload_refused: FastCheck.constantFrom(null, null, "line 3: no"),
    problem: text,
    manual_tags: FastCheck.constantFrom("", "manual:a, manual:b")
  })
  const ages = FastCheck.constantFrom(0, 0, 0, MINUTE, 5 * MINUTE, 6 * MINUTE, -2 * MINUTE)

  it.prop("agrees with a reference, also through the text of the status file", [
    FastCheck.integer({ min: 1, max: 60 }),
    FastCheck.option(statuses),
    ages
  ], ([hours, changes, age]) => {
    const given = changes === null ? [] : [status({ job: "a", ...changes })]
    const read = Either.getOrThrow(StatusFile.decode(StatusFile.encode(given)))
    assert.deepStrictEqual(read, given)
    const { level } = check({ config: { jobs: [job("a", hours)] }, status: read, writtenAt: NOW - age, now: NOW })
    const color = { OK: "green", WARNING: "yellow", CRITICAL: "red", UNKNOWN: "unknown" }[level]
    assert.strictEqual(color, reference(hours, given[0], age))
  }, { fastCheck: { numRuns: 300 } })
})
