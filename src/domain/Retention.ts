/**
 * What retention makes of a history: which revisions keep their tags, which lose some, which go. Nothing is lost by
 * editing names in a config: tags that the schedule does not know stay, until that is asked for.
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import { format } from "./Interval.ts"
import type { Rule, Schedule } from "./JobConfig.ts"
import { keptForLoss } from "./LostContent.ts"
import { history, type Revision } from "./Revision.ts"
import { isManual } from "./Tag.ts"
import { counts } from "./Trust.ts"

/**
 * - `keep`: nothing changes;
 * - `untag`: it stays with `tags`, and `lost` are taken from it;
 * - `remove`: it goes, since no tag is left.
 */
export interface Decision {
  readonly _tag: "keep" | "untag" | "remove"
  readonly revision: Revision
  /** The tags that it has from now on. */
  readonly tags: ReadonlyArray<string>
  readonly lost: ReadonlyArray<string>
  /** Why, for people: one clause on the revision or on each of its tags. */
  readonly reason: string
}

export interface Situation {
  readonly schedule: Schedule
  /** In any order. */
  readonly revisions: Iterable<Revision>
  readonly now: DateTime.Utc
  /** What becomes of tags that the schedule does not know and that are not `manual:`. */
  readonly unknownTags: "keep" | "remove"
  /** What stays as it is for another reason than the history tells, and why. */
  readonly kept?: ReadonlyMap<Revision, string>
}

/** What becomes of one tag of one revision. */
interface Verdict {
  readonly tag: string
  readonly stays: boolean
  readonly why: string
}

/**
 * Decides about every revision, oldest first. Of each tag the newest `keep` revisions stay, and everything that is not
 * older than `keep` times its interval. Only those that `Trust.counts` are counted: what nobody could restore must not
 * push out what somebody could. The newest trusted revision stays whatever its tags say; incomplete
 * ones belong to the next backup and are left alone. Where somebody accepted that a source had lost its content, the
 * revision before that loses nothing until somebody forgets it.
 */
export const decide = (situation: Situation): ReadonlyArray<Decision> => {
  const revisions = history(situation.revisions)
  const last = lastTrusted(revisions, situation.now)
  const atLoss = keptForLoss(revisions)
  const newer = new Map<string, number>()
  const decisions = revisions.toReversed().map((revision): Decision => {
    if (!revision.isComplete) return keep(revision, "incomplete: the next backup removes it")
    const verdicts = revision.tags.map((tag) => judge(situation, revision, tag, newer.get(tag) ?? 0))
    if (counts(revision, situation.now)) {
      for (const tag of revision.tags) newer.set(tag, (newer.get(tag) ?? 0) + 1)
    }
    const marked = atLoss.get(revision) ?? situation.kept?.get(revision)
    return marked === undefined ? conclude(revision, verdicts, last.includes(revision)) : keep(revision, marked)
  })
  return decisions.toReversed()
}

/** The newest trusted revision, and the newest one that a wrong clock did not date into the future. */
const lastTrusted = (revisions: ReadonlyArray<Revision>, now: DateTime.Utc): ReadonlyArray<Revision | undefined> => [
  revisions.findLast((revision) => revision.isComplete && revision.isTrusted),
  revisions.findLast((revision) => counts(revision, now))
]

/** What becomes of a tag when `newer` later revisions that count have it, too. */
const judge = (situation: Situation, revision: Revision, tag: string, newer: number): Verdict => {
  if (isManual(tag)) return { tag, stays: true, why: "manual tags stay" }
  const rule = ruleOf(situation.schedule, tag)
  if (rule === undefined) {
    const stays = situation.unknownTags === "keep"
    return { tag, stays, why: `the schedule does not know it${stays ? ", so it stays" : ""}` }
  }
  const limit = Duration.times(rule.interval, rule.keep)
  const isOlder = DateTime.distance(revision.timestamp, situation.now) > Duration.toMillis(limit)
  if (newer < rule.keep) return { tag, stays: true, why: `among the newest ${rule.keep}` }
  return isOlder
    ? { tag, stays: false, why: `${rule.keep} newer ones stay, and it is older than ${format(limit)}` }
    : { tag, stays: true, why: `not older than ${format(limit)}` }
}

/** A schedule may come from anywhere; `toString` is no tag. */
const ruleOf = (schedule: Schedule, tag: string): Rule | undefined =>
  Object.hasOwn(schedule, tag) ? schedule[tag] : undefined

const conclude = (revision: Revision, verdicts: ReadonlyArray<Verdict>, isLast: boolean): Decision => {
  const tags = verdicts.filter((verdict) => verdict.stays).map((verdict) => verdict.tag)
  const lost = verdicts.filter((verdict) => !verdict.stays).map((verdict) => verdict.tag)
  const reasons = verdicts.map((verdict) => `${verdict.tag}: ${verdict.why}`)
  if (tags.length === 0) {
    if (reasons.length === 0) reasons.push("it has no tag")
    if (!isLast) return { _tag: "remove", revision, tags, lost, reason: reasons.join("; ") }
    reasons.push("the newest trusted revision always stays")
  }
  return { _tag: lost.length === 0 ? "keep" : "untag", revision, tags, lost, reason: reasons.join("; ") }
}

const keep = (revision: Revision, reason: string): Decision => ({
  _tag: "keep",
  revision,
  tags: revision.tags,
  lost: [],
  reason
})
