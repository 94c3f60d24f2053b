import { assert, describe, it } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as FastCheck from "effect/FastCheck"
import { createHash } from "node:crypto"
import type { Schedule } from "../../src/domain/JobConfig.ts"
import { update } from "../../src/domain/Revision.ts"
import * as Timetable from "../../src/domain/Timetable.ts"
import { history, instant, schedule } from "../support/arbitraries.ts"

const sha256 = (name: string): Uint8Array => createHash("sha256").update(name).digest()
const spreadOf = (name: string, schedule: Schedule) => Timetable.spreadOf(sha256(name), schedule)
const millis = (at: DateTime.Utc): bigint => BigInt(DateTime.toEpochMillis(at))
const at = (text: string): DateTime.Utc => DateTime.unsafeMake(text)

/** 0001-01-01T00:00Z: 719162 days before 1970. */
const epoch = -719_162n * 86_400_000n

const wide = instant({ min: "0001-01-01T00:00:00Z", max: "9999-12-31T00:00:00Z" })
const spread = FastCheck.nat({ max: 3_000_000 }).map((seconds) => Duration.seconds(seconds))
const nonEmpty = schedule().filter((schedule) => Object.keys(schedule).length > 0)
const week: Schedule = {
  daily: { interval: Duration.days(1), keep: 9 },
  weekly: { interval: Duration.days(7), keep: 5 }
}

describe("Timetable.nextDue", () => {
  it.prop(
    "is the first instant on the grid of any tag, strictly later",
    [nonEmpty, spread, wide],
    ([schedule, spread, after]) => {
      const due = Timetable.nextDue(schedule, spread, after)!
      assert.isTrue(millis(due.at) > millis(after))
      for (const [tag, rule] of Object.entries(schedule)) {
        const interval = BigInt(Duration.toMillis(rule.interval))
        const origin = epoch + BigInt(Duration.toMillis(spread))
        // The reference: how many grid points lie up to an instant, floored as mathematics does.
        const pointsUpTo = (instant: bigint): bigint => {
          const passed = instant - origin
          return passed >= 0n ? passed / interval : -((-passed + interval - 1n) / interval)
        }
        const isDue = pointsUpTo(millis(due.at)) > pointsUpTo(millis(after))
        assert.strictEqual(due.tags.includes(tag), isDue, tag)
        assert.isTrue(pointsUpTo(millis(due.at) - 1n) === pointsUpTo(millis(after)), "no tag was due before")
      }
    }
  )

  it.prop("makes tags whose intervals divide each other in one revision", [spread, wide], ([spread, after]) => {
    let due = Timetable.nextDue(week, spread, after)!
    let weekly = 0
    for (let day = 0; day < 7; day++) {
      assert.include(due.tags, "daily")
      if (due.tags.includes("weekly")) weekly++
      due = Timetable.nextDue(week, spread, due.at)!
    }
    assert.strictEqual(weekly, 1)
  })

  it("knows the grid", () => {
    // 2025-03-03 was a Monday, and so was 0001-01-01.
    const due = Timetable.nextDue(week, Duration.hours(3), at("2025-03-02T12:00:00Z"))
    assert.deepStrictEqual(due, { at: at("2025-03-03T03:00:00Z"), tags: ["daily", "weekly"] })
    const next = Timetable.nextDue(week, Duration.hours(3), due!.at)
    assert.deepStrictEqual(next, { at: at("2025-03-04T03:00:00Z"), tags: ["daily"] })
  })

  it("has nothing for a schedule without tags", () => {
    assert.isUndefined(Timetable.nextDue({}, Duration.zero, at("2025-03-02T12:00:00Z")))
  })
})

describe("Timetable.spreadOf", () => {
  it.prop(
    "is within the longest interval, in whole seconds, and the same every time",
    [nonEmpty, FastCheck.string()],
    ([
      schedule,
      name
    ]) => {
      const longest = Math.max(...Object.values(schedule).map((rule) => Duration.toMillis(rule.interval)))
      const spread = Duration.toMillis(spreadOf(name, schedule))
      assert.isAtLeast(spread, 0)
      assert.isBelow(spread, longest)
      assert.strictEqual(spread % 1000, 0)
      assert.strictEqual(Duration.toMillis(spreadOf(name, schedule)), spread)
    }
  )

  it("is the fraction that the first 8 bytes say", () => {
    const bytes = (first: number) => Uint8Array.from({ length: 32 }, (_, index) => index === 0 ? first : 0)
    assert.deepStrictEqual(Timetable.spreadOf(bytes(0x80), week), Duration.hours(84))
    assert.deepStrictEqual(Timetable.spreadOf(bytes(0x40), week), Duration.hours(42))
    assert.deepStrictEqual(Timetable.spreadOf(new Uint8Array(32).fill(255), week), Duration.seconds(7 * 86_400 - 1))
    assert.deepStrictEqual(Timetable.spreadOf(new Uint8Array(32), week), Duration.zero)
  })

  it("does not change over releases", () => {
    // python3: int.from_bytes(hashlib.sha256(name).digest()[:8], "big") * 604800 >> 64
    const seconds = ["web01", "db01", "mail"].map((name) => Duration.toSeconds(spreadOf(name, week)))
    assert.deepStrictEqual(seconds, [74_612, 79_739, 2000])
  })

  it("is even: no hour of the day gets more than twice its share of a thousand jobs", () => {
    const perHour = Array.from({ length: 24 }, () => 0)
    for (let job = 0; job < 1000; job++) {
      perHour[Math.floor(Duration.toHours(spreadOf(`job${job}`, week)) % 24)]!++
    }
    assert.isBelow(Math.max(...perHour), 2 * 1000 / 24)
    assert.isAbove(Math.min(...perHour), 1000 / 24 / 2)
  })
})

const now = at("2025-06-01T00:00:00Z")
const revisions = history({ timestamp: instant({ min: "2025-03-01T00:00:00Z", max: "2025-06-03T00:00:00Z" }) })

describe("Timetable.missedTags", () => {
  it.prop("are those whose newest revision that counts is older than the interval", [schedule(), revisions], ([
    schedule,
    revisions
  ]) => {
    const missed = Timetable.missedTags(schedule, revisions, now)
    for (const [tag, rule] of Object.entries(schedule)) {
      const ages = revisions
        .filter((one) => one.tags.includes(tag) && one.isComplete && one.trust !== "distrusted")
        .map((one) => DateTime.distance(one.timestamp, now))
        .filter((age) => age >= 0)
      assert.strictEqual(missed.includes(tag), !ages.some((age) => age <= Duration.toMillis(rule.interval)), tag)
    }
    assert.isTrue(missed.every((tag) => tag in schedule))
  })
})

describe("Timetable.plan", () => {
  it.prop("runs now or when something is due, with every tag that is missed or due", [schedule(), spread, revisions], ([
    schedule,
    spread,
    revisions
  ]) => {
    const plan = Timetable.plan({ schedule, spread, revisions, now })
    const due = Timetable.nextDue(schedule, spread, now)
    if (plan === undefined || due === undefined) return assert.deepStrictEqual(Object.keys(schedule), [])
    const missed = Timetable.missedTags(schedule, revisions, now)
    for (const tag of missed) assert.include(plan.tags, tag)
    if (plan.kind === "regular") {
      assert.deepStrictEqual(plan.at, due.at)
      for (const tag of due.tags) assert.include(plan.tags, tag)
      if (missed.length > 0) assert.isAtMost(DateTime.distance(now, plan.at), 5 * 60_000)
    } else {
      assert.deepStrictEqual(plan.at, now)
      assert.deepStrictEqual(plan.tags, missed)
      assert.isAbove(plan.tags.length, 0)
    }
    assert.strictEqual(plan.kind === "first", !revisions.some((revision) => revision.isComplete))
  })

  it.prop(
    "what a run makes is not due again before its time",
    [schedule(), spread, revisions],
    ([schedule, spread, revisions]) => {
      const plan = Timetable.plan({ schedule, spread, revisions, now })
      const [example] = revisions
      if (plan === undefined || example === undefined) return
      const made = update(example, { timestamp: plan.at, tags: plan.tags, trust: "trusted", stats: { duration: 1 } })
      const next = Timetable.plan({ schedule, spread, revisions: [...revisions, made], now: plan.at })
      assert.isTrue(next !== undefined && (DateTime.greaterThan(next.at, plan.at) || next.kind === "catch-up"))
      for (const tag of plan.tags) {
        if (next?.kind === "catch-up") assert.notInclude(next.tags, tag)
      }
    }
  )

  const [template] = FastCheck.sample(history({ minLength: 1 }), { numRuns: 1, seed: 7 })[0]!
  const daily = (timestamp: DateTime.Utc) =>
    update(template!, { timestamp, tags: ["daily"], trust: "trusted", stats: { duration: 1 } })
  const onlyDaily: Schedule = { daily: { interval: Duration.days(1), keep: 1 } }
  const planAt = (time: string, last: string) =>
    Timetable.plan({ schedule: onlyDaily, spread: Duration.zero, revisions: [daily(at(last))], now: at(time) })

  it("catches up when the next run is more than five minutes away, and waits when it is five", () => {
    assert.deepStrictEqual(planAt("2025-06-01T23:54:59.999Z", "2025-05-31T00:00:00Z"), {
      kind: "catch-up",
      at: at("2025-06-01T23:54:59.999Z"),
      tags: ["daily"]
    })
    assert.deepStrictEqual(planAt("2025-06-01T23:55:00Z", "2025-05-31T00:00:00Z"), {
      kind: "regular",
      at: at("2025-06-02T00:00:00Z"),
      tags: ["daily"]
    })
  })

  it("a tag is missed when it is older than its interval, not when it is as old", () => {
    assert.strictEqual(planAt("2025-06-01T12:00:00.000Z", "2025-05-31T12:00:00Z")?.kind, "regular")
    assert.strictEqual(planAt("2025-06-01T12:00:00.001Z", "2025-05-31T12:00:00Z")?.kind, "catch-up")
  })

  it("runs a new job at once with all its tags", () => {
    assert.deepStrictEqual(Timetable.plan({ schedule: week, spread: Duration.hours(1), revisions: [], now }), {
      kind: "first",
      at: now,
      tags: ["daily", "weekly"]
    })
  })
})

describe("Timetable.retryDelay", () => {
  it("doubles from two minutes up to six hours, however often it fails", () => {
    const minutes = [0, 1, 2, 3, 8, 9, 10, 5000].map((failures) => Duration.toMinutes(Timetable.retryDelay(failures)))
    assert.deepStrictEqual(minutes, [0, 2, 4, 8, 256, 360, 360, 360])
  })
})

describe("Timetable.sla", () => {
  it.prop("is broken when the newest revision that counts is older than 1.5 times the shortest interval", [
    schedule(),
    revisions,
    instant({ min: "2025-05-01T00:00:00Z", max: "2025-06-02T00:00:00Z" })
  ], ([schedule, revisions, configuredSince]) => {
    const sla = Timetable.sla({ schedule, revisions, now, configuredSince })
    const newest = revisions
      .filter((one) => one.isComplete && one.trust !== "distrusted" && DateTime.lessThanOrEqualTo(one.timestamp, now))
      .at(-1)?.timestamp
    assert.deepStrictEqual(sla.newest, newest)
    const age = Math.max(0, DateTime.distance(newest ?? configuredSince, now))
    assert.strictEqual(Duration.toMillis(sla.age), age)
    const shortest = Math.min(...Object.values(schedule).map((rule) => Duration.toMillis(rule.interval)))
    assert.strictEqual(sla.isOverdue, age > 1.5 * shortest)
    assert.strictEqual(sla.breachAt === undefined, Object.keys(schedule).length === 0)
    if (sla.breachAt !== undefined) assert.strictEqual(sla.isOverdue, DateTime.lessThan(sla.breachAt, now))
  })

  it("is broken a millisecond after one and a half intervals, also for a job that never had a backup", () => {
    const limit = at("2025-05-30T12:00:00Z")
    const overdue = (configuredSince: DateTime.Utc) =>
      Timetable.sla({ schedule: week, revisions: [], now, configuredSince }).isOverdue
    assert.isFalse(overdue(limit))
    assert.isTrue(overdue(DateTime.subtract(limit, { millis: 1 })))
  })
})
