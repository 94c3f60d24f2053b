import { assert, describe, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Schedule from "effect/Schedule"
import * as Due from "../../src/daemon/dueSchedule.ts"
import * as Job from "../../src/daemon/Job.ts"
import type { JobRecord } from "../../src/daemon/JobState.ts"
import type { Schedule as Rules } from "../../src/domain/JobConfig.ts"
import * as Timetable from "../../src/domain/Timetable.ts"

const HOUR = 3600_000
const DAY = 24 * HOUR
const NOW = Date.UTC(2026, 5, 2)
const rules: Rules = {
  daily: { interval: Duration.days(1), keep: 3 },
  weekly: { interval: Duration.days(7), keep: 2 }
}
const made = (at: number, ...tags: ReadonlyArray<string>): Timetable.Dated => ({
  timestamp: DateTime.unsafeMake(at),
  tags,
  isComplete: true,
  isTrusted: true
})
const job = (changes: Partial<Due.Job> = {}): Due.Job => ({
  schedule: rules,
  spread: Duration.hours(3),
  revisions: [made(NOW - HOUR, "daily", "weekly")],
  notBefore: undefined,
  firstRunAt: 0,
  ...changes
})
const look = (given: Due.Job, now: number, memory: Due.Memory = Due.begin(now)) => Due.decide(given, memory, now)[1]
const nextDaily = NOW + 3 * HOUR

describe("decide", () => {
  it("waits for the next due instant when nothing is missed", () => {
    assert.deepStrictEqual(look(job(), NOW), { kind: "regular", at: nextDaily, tags: ["daily"], lookedAt: NOW })
  })

  it("runs a new job as soon as it may, with all tags", () => {
    const found = look(job({ revisions: [], firstRunAt: NOW + HOUR / 2 }), NOW)
    assert.deepStrictEqual(found, { kind: "first", at: NOW + HOUR / 2, tags: ["daily", "weekly"], lookedAt: NOW })
  })

  it("catches up at once what was missed while nobody looked", () => {
    const found = look(job({ revisions: [made(NOW - 2 * DAY, "daily", "weekly")] }), NOW)
    assert.deepStrictEqual(found, { kind: "catch-up", at: NOW, tags: ["daily"], lookedAt: NOW })
  })

  it("still owes a tag whose instant came while somebody looked, however young its newest revision is", () => {
    const late = job({ revisions: [made(nextDaily - DAY + HOUR, "daily", "weekly")] })
    const [memory] = Due.decide(late, Due.begin(NOW), NOW)
    const [after, due] = Due.decide(late, memory, nextDaily)
    assert.deepStrictEqual([due.at, due.tags], [nextDaily, ["daily"]])
    // and until it is made
    assert.deepStrictEqual(Due.decide(late, after, nextDaily + HOUR)[1].tags, ["daily"])
    const done = job({ revisions: [...late.revisions, made(nextDaily + 1000, "daily")] })
    assert.strictEqual(Due.decide(done, after, nextDaily + HOUR)[1].at, nextDaily + DAY)
  })

  it("waits after failures", () => {
    const missed = { revisions: [made(NOW - 2 * DAY, "daily", "weekly")] }
    assert.strictEqual(look(job({ ...missed, notBefore: NOW + HOUR }), NOW).at, NOW + HOUR)
  })

  it("never waits longer than so many failures ask for, whatever was set on the clock", () => {
    const minute = 60_000
    const bounded = (failures: number, configuredSince: number, notBefore?: number) => {
      const { configuredSince: since, notBefore: retry } = Job.bounded(
        { failures, configuredSince, notBefore, purgeBlocked: undefined },
        NOW
      )
      return [since - NOW, retry === undefined ? undefined : (retry - NOW) / minute]
    }
    assert.deepStrictEqual(bounded(3, NOW - DAY, NOW + 7 * minute), [-DAY, 7])
    assert.deepStrictEqual(bounded(3, NOW + DAY, NOW + 365 * DAY), [0, 8])
    assert.deepStrictEqual(bounded(20, NOW, NOW + 365 * DAY), [0, 360])
    assert.deepStrictEqual(bounded(0, NOW, NOW + 365 * DAY), [0, Job.BUSY_MINUTES])
    assert.deepStrictEqual(bounded(0, NOW + 1), [0, undefined])
    const purgeBlocked = { since: NOW - DAY, sentence: "locked" }
    const record = { failures: 1, configuredSince: NOW, notBefore: NOW + minute, purgeBlocked }
    assert.strictEqual(Job.bounded(record, NOW), record)
    const before = NOW - 2 * DAY
    assert.deepStrictEqual(Job.bounded(record, before).purgeBlocked, { since: before, sentence: "locked" })
  })

  it("forgets what it owes for tags that the schedule lost", () => {
    const memory: Due.Memory = { lookedAt: NOW, owed: { gone: NOW, daily: NOW } }
    assert.deepStrictEqual(Due.decide(job(), memory, NOW)[0].owed, { daily: NOW })
  })

  it("does nothing for ever without tags, and for nothing", () => {
    assert.strictEqual(look(job({ schedule: {} }), NOW).at, Infinity)
  })

  const instants = FastCheck.array(FastCheck.integer({ min: -400 * DAY, max: 400 * DAY }), { maxLength: 20 })
  it.prop("never plans before now, nor later than the shortest interval, for clocks that are set as one likes", [
    instants
  ], ([offsets]) => {
    let memory = Due.begin(NOW)
    let record: JobRecord = { configuredSince: NOW, failures: 3, notBefore: NOW, purgeBlocked: undefined }
    for (const offset of offsets) {
      const now = NOW + offset
      record = Job.bounded(record, now)
      const [next, found] = Due.decide(job({ notBefore: record.notBefore }), memory, now)
      assert.isAtLeast(found.at, now)
      assert.isAtMost(found.at, now + DAY)
      assert.isAbove(found.tags.length, 0)
      memory = next
    }
  })
})

describe("staysUntil", () => {
  const revision = FastCheck.record({
    at: FastCheck.integer({ min: NOW - 40 * DAY, max: NOW + 2 * DAY }),
    tags: FastCheck.subarray(["daily", "weekly", "manual:x"]),
    isComplete: FastCheck.boolean(),
    isTrusted: FastCheck.boolean()
  })
  const fraction = FastCheck.double({ min: 0, max: 1, noNaN: true })

  it.prop("names an instant before which every look finds the same", [
    FastCheck.array(revision, { maxLength: 6 }),
    FastCheck.integer({ min: 0, max: 24 }),
    FastCheck.array(fraction, { minLength: 1, maxLength: 5 }),
    FastCheck.option(FastCheck.constant(NOW + HOUR), { nil: undefined, freq: 10 })
  ], ([revisions, hours, fractions, notBefore]) => {
    const given = job({
      revisions: [
        made(NOW - HOUR * hours, "daily", "weekly"),
        ...revisions.map(({ at, ...one }) => ({ ...one, timestamp: DateTime.unsafeMake(at) }))
      ],
      notBefore
    })
    const [memory, found] = Due.decide(given, Due.begin(NOW), NOW)
    const until = Due.staysUntil(given, found)
    assert.isAtMost(until, found.at)
    for (const part of [...fractions, 1]) {
      const now = NOW + Math.ceil((until - NOW) * part) - 1
      if (now < NOW) continue
      const [later, again] = Due.decide(given, memory, now)
      assert.deepStrictEqual({ ...again, lookedAt: NOW }, found)
      assert.deepStrictEqual(later, { lookedAt: now, owed: {} })
    }
  })

  it("ends with a tag that is missed, with a revision of the future, and with the run itself", () => {
    const until = (...revisions: ReadonlyArray<Timetable.Dated>) => {
      const given = job({ revisions })
      return Due.staysUntil(given, look(given, NOW)) - NOW
    }
    assert.strictEqual(until(made(NOW - HOUR, "daily", "weekly")), 3 * HOUR)
    assert.strictEqual(until(made(NOW - 7 * DAY + HOUR, "weekly"), made(NOW, "daily")), HOUR + 1)
    assert.strictEqual(until(made(NOW - HOUR, "daily", "weekly"), made(NOW + HOUR, "daily")), HOUR)
  })

  it("is no time at all for a job that is new, failed, or late", () => {
    const now = { notBefore: NOW + HOUR }
    for (const given of [job({ revisions: [] }), job(now), job({ revisions: [made(NOW - 2 * DAY, "daily")] })]) {
      assert.isAtMost(Due.staysUntil(given, look(given, NOW)), NOW)
    }
  })
})

describe("currentTags", () => {
  it("adds what came due while the run waited for a slot", () => {
    const waiting = look(job({ revisions: [made(NOW - 8 * DAY, "weekly"), made(NOW - HOUR, "daily")] }), NOW)
    assert.deepStrictEqual(waiting.tags, ["weekly"])
    const revisions = [made(NOW - 8 * DAY, "weekly"), made(NOW - HOUR, "daily")]
    assert.deepStrictEqual(Due.currentTags(job({ revisions }), waiting, nextDaily + 1), ["daily", "weekly"])
  })

  it("drops what the schedule has lost meanwhile", () => {
    const waiting = look(job(), NOW)
    assert.deepStrictEqual(Due.currentTags(job({ schedule: {} }), waiting, NOW), [])
  })
})

describe("dueSchedule", () => {
  it("is a Schedule: it can be run without a clock, and looks no later than it has to", () => {
    const inputs = [job(), job(), job()]
    const outputs = Effect.runSync(Schedule.run(Due.dueSchedule(Duration.minutes(1)), NOW, inputs))
    assert.deepStrictEqual(Chunk.toReadonlyArray(outputs).map(({ at, isDue }) => [at, isDue]), [
      [nextDaily, false],
      [nextDaily, false],
      [nextDaily, false]
    ])
    const [first] = Effect.runSync(Schedule.run(Due.dueSchedule(Duration.days(1)), NOW, inputs))
    assert.isTrue(first?.isDue)
  })
})

describe("the retries", () => {
  it("come 2, 4, 8 … minutes after failures, at most six hours, as Timetable says", () => {
    for (let failures = 1; failures < 60; failures++) {
      assert.strictEqual(Due.retryAt(failures, NOW) - NOW, Duration.toMillis(Timetable.retryDelay(failures)))
    }
  })

  it("go on where they were after a restart", () => {
    const whole = Effect.runSync(Schedule.run(Schedule.delays(Due.retrySchedule(1)), NOW, Array(12).fill(undefined)))
    for (let failures = 1; failures <= 12; failures++) {
      const rest = Effect.runSync(
        Schedule.run(Schedule.delays(Due.retrySchedule(failures)), NOW, Array(3).fill(undefined))
      )
      assert.deepStrictEqual(
        Chunk.toReadonlyArray(rest).map(Duration.toMillis),
        Chunk.toReadonlyArray(whole).slice(failures - 1, failures + 2).map(Duration.toMillis).concat(
          Array(3).fill(6 * HOUR)
        ).slice(0, 3)
      )
    }
  })
})
