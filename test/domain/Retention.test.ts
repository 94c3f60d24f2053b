import { assert, describe, it } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as FastCheck from "effect/FastCheck"
import type { Schedule } from "../../src/domain/JobConfig.ts"
import * as Retention from "../../src/domain/Retention.ts"
import type { Revision } from "../../src/domain/Revision.ts"
import { fromRandom, make, update } from "../../src/domain/Revision.ts"
import { history, instant, schedule } from "../support/arbitraries.ts"

const now = DateTime.unsafeMake("2025-06-01T00:00:00Z")
const around = instant({ min: "2025-03-01T00:00:00Z", max: "2025-06-10T00:00:00Z" })
const situation = FastCheck.record({
  schedule: schedule(),
  revisions: history({ timestamp: around, maxLength: 16 }),
  now: FastCheck.constant(now),
  unknownTags: FastCheck.constantFrom<Array<"keep" | "remove">>("keep", "remove")
})

/** Retention once more, told from the single tag's side, quadratic and without a reason. */
const reference = (
  { now, revisions, schedule, unknownTags }: Retention.Situation
): Map<Revision, ReadonlyArray<string>> => {
  const all = [...revisions]
  const good = all.filter((one) => one.isComplete && one.isTrusted && +one.timestamp.epochMillis <= +now.epochMillis)
  const trusted = all.filter((one) => one.isComplete && one.isTrusted)
  const kept = new Map<Revision, ReadonlyArray<string>>()
  const complete = all.filter((one) => one.isComplete)
  const isBefore = (one: Revision, other: Revision) => complete.indexOf(one) < complete.indexOf(other)
  // for each accepted loss, who is the newest before it, whatever its trust, and of those that are trusted
  const newestBefore = complete.filter((one) => one.accepted === "shrink").map((accepted) => ({
    accepted,
    before: [complete, trusted].flatMap((some) => some.filter((one) => isBefore(one, accepted)).slice(-1))
  }))
  const untouched = newestBefore.flatMap(({ accepted, before }) => before.length === 0 ? [] : [accepted, ...before])
  for (const one of all) {
    if (untouched.includes(one)) {
      kept.set(one, one.tags)
      continue
    }
    const tags = one.tags.filter((tag) => {
      const rule = schedule[tag]
      if (!one.isComplete || tag.startsWith("manual:")) return true
      if (rule === undefined) return unknownTags === "keep"
      const newer = good.filter((other) => other.tags.includes(tag) && all.indexOf(other) > all.indexOf(one)).length
      const age = now.epochMillis - one.timestamp.epochMillis
      return newer < rule.keep || age <= rule.keep * Duration.toMillis(rule.interval)
    })
    if (tags.length > 0 || !one.isComplete || one === good.at(-1) || one === trusted.at(-1)) kept.set(one, tags)
  }
  return kept
}

const survivors = (decisions: ReadonlyArray<Retention.Decision>): ReadonlyArray<Revision> =>
  decisions.filter((decision) => decision._tag !== "remove").map((decision) => decision.revision)

const apply = (decisions: ReadonlyArray<Retention.Decision>): ReadonlyArray<Revision> =>
  decisions.flatMap(({ _tag, revision, tags }) => _tag === "remove" ? [] : [update(revision, { tags })])

describe("Retention", () => {
  it.prop("agrees with a reference that knows no order, no counting and no reasons", [situation], ([situation]) => {
    const decisions = Retention.decide(situation)
    const kept = new Map(decisions.flatMap(({ _tag, revision, tags }) => _tag === "remove" ? [] : [[revision, tags]]))
    assert.deepStrictEqual(kept, reference(situation))
  }, { fastCheck: { numRuns: 200 } })

  it.prop("decides about each revision once, oldest first, with a reason", [situation], ([situation]) => {
    const decisions = Retention.decide({ ...situation, revisions: [...situation.revisions].toReversed() })
    assert.deepStrictEqual(decisions.map((decision) => decision.revision), situation.revisions)
    for (const { _tag, lost, reason, revision, tags } of decisions) {
      assert.notStrictEqual(reason, "")
      assert.deepStrictEqual([...tags, ...lost].sort(), [...revision.tags])
      assert.strictEqual(_tag === "keep", lost.length === 0 && _tag !== "remove")
      for (const tag of lost) assert.include(reason, `${tag}: `)
    }
  })

  it.prop("the newest trusted revision always stays", [situation], ([situation]) => {
    const newest = situation.revisions.findLast((revision) => revision.isComplete && revision.isTrusted)
    if (newest !== undefined) assert.include(survivors(Retention.decide(situation)), newest)
  })

  it.prop("keeping more never deletes more", [situation, FastCheck.nat({ max: 5 }), FastCheck.nat({ max: 1e7 })], ([
    situation,
    more,
    seconds
  ]) => {
    const generous: Schedule = Object.fromEntries(
      Object.entries(situation.schedule).map(([tag, { interval, keep }]) =>
        [tag, { keep: keep + more, interval: Duration.sum(interval, Duration.seconds(seconds)) }] as const
      )
    )
    const after = survivors(Retention.decide({ ...situation, schedule: generous }))
    for (const revision of survivors(Retention.decide(situation))) assert.include(after, revision)
  })

  it.prop("renaming every tag of a schedule deletes nothing", [situation], ([situation]) => {
    const renamed = Object.fromEntries(Object.entries(situation.schedule).map(([tag, rule]) => [`new-${tag}`, rule]))
    const decisions = Retention.decide({ ...situation, schedule: renamed, unknownTags: "keep" })
    for (const { revision, tags } of decisions) assert.deepStrictEqual(tags, revision.tags)
    const tagless = situation.revisions.filter((revision) => revision.isComplete && revision.tags.length === 0)
    for (const { _tag, revision } of decisions) if (_tag === "remove") assert.include(tagless, revision)
  })

  it.prop("a newer distrusted, incomplete or future-dated revision never costs an older one", [
    situation,
    FastCheck.constantFrom("distrusted", "incomplete", "future"),
    FastCheck.uint8Array({ minLength: 16, maxLength: 16 })
  ], ([situation, flaw, seed]) => {
    const bad = make({
      id: fromRandom(seed),
      backendType: "chunked-v4",
      timestamp: flaw === "future" ? DateTime.add(now, { days: 400 }) : now,
      parent: null,
      tags: ["hourly", "daily", "weekly", "monthly"],
      trust: flaw === "distrusted" ? "distrusted" : "trusted",
      stats: flaw === "incomplete" ? {} : { duration: 1 }
    })
    const before = survivors(Retention.decide(situation))
    const after = survivors(Retention.decide({ ...situation, revisions: [...situation.revisions, bad] }))
    const good = (revision: Revision) => revision.isTrusted && DateTime.lessThanOrEqualTo(revision.timestamp, now)
    for (const revision of before.filter(good)) assert.include(after, revision)
  })

  it.prop("manual tags and incomplete revisions are left alone", [situation], ([situation]) => {
    for (const { _tag, lost, revision } of Retention.decide(situation)) {
      if (!revision.isComplete) assert.strictEqual(_tag, "keep")
      if (revision.tags.some((tag) => tag.startsWith("manual:"))) assert.notStrictEqual(_tag, "remove")
      assert.isFalse(lost.some((tag) => tag.startsWith("manual:")))
    }
  })

  it.prop("deciding again about what is left changes nothing", [situation], ([situation]) => {
    const once = apply(Retention.decide(situation))
    const twice = Retention.decide({ ...situation, revisions: once })
    assert.deepStrictEqual(apply(twice), once)
  })

  const days = (count: number, tags: ReadonlyArray<string> = ["daily"]) =>
    make({
      id: fromRandom(new Uint8Array(16).fill(count)),
      backendType: "chunked-v4",
      timestamp: DateTime.subtract(now, { days: count }),
      parent: null,
      tags,
      trust: "trusted",
      stats: { duration: 1 }
    })
  const daily: Schedule = { daily: { interval: Duration.days(1), keep: 2 } }
  const reasons = (revisions: ReadonlyArray<Revision>, unknownTags: "keep" | "remove" = "keep") =>
    Retention.decide({ schedule: daily, revisions, now, unknownTags }).map(({ _tag, reason }) => `${_tag}: ${reason}`)

  it("gives its reasons as sentences", () => {
    assert.deepStrictEqual(reasons([days(9), days(8, ["daily", "manual:x"]), days(7, ["old"]), days(6), days(5)]), [
      "remove: daily: 2 newer ones stay, and it is older than 2d",
      "untag: daily: 2 newer ones stay, and it is older than 2d; manual:x: manual tags stay",
      "keep: old: the schedule does not know it, so it stays",
      "keep: daily: among the newest 2",
      "keep: daily: among the newest 2"
    ])
  })

  it("keeps what is not older than keep times interval, however many there are", () => {
    const [second] = [DateTime.subtract(now, { days: 2, seconds: 1 })]
    const crowd = [update(days(3), { timestamp: second }), days(2), days(1), days(0)]
    assert.deepStrictEqual(reasons(crowd), [
      "remove: daily: 2 newer ones stay, and it is older than 2d",
      "keep: daily: not older than 2d",
      "keep: daily: among the newest 2",
      "keep: daily: among the newest 2"
    ])
  })

  it("lets go of unknown tags when told to, but never of the last trusted revision", () => {
    assert.deepStrictEqual(reasons([days(3, ["old"]), days(2, []), days(1, ["old"])], "remove"), [
      "remove: old: the schedule does not know it",
      "remove: it has no tag",
      "untag: old: the schedule does not know it; the newest trusted revision always stays"
    ])
  })

  it("lets the revision before an accepted loss keep all it has, and the accepted one with it", () => {
    const lost = update(days(7), { accepted: "shrink" })
    assert.deepStrictEqual(reasons([days(10), days(9), lost, days(6), days(5)]), [
      "remove: daily: 2 newer ones stay, and it is older than 2d",
      `keep: its source had lost content when ${lost.id} was made: it stays until backy forget`,
      "keep: its source had lost content: it stays as long as the revision before it",
      "keep: daily: among the newest 2",
      "keep: daily: among the newest 2"
    ])
    // forgotten: nothing is left to go back to
    assert.deepStrictEqual(
      reasons([lost, days(6), days(5)])[0],
      "remove: daily: 2 newer ones stay, and it is older than 2d"
    )
  })

  it("is not fooled by tags that objects have by nature", () => {
    assert.deepStrictEqual(reasons([days(9, ["toString", "__proto__"]), days(1)]), [
      "keep: __proto__: the schedule does not know it, so it stays; " +
      "toString: the schedule does not know it, so it stays",
      "keep: daily: among the newest 2"
    ])
  })
})
