import { assert, describe, it } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Queue from "effect/Queue"
import * as Job from "../../src/daemon/Job.ts"
import { nothing } from "../../src/daemon/JobHistory.ts"
import * as StatusBook from "../../src/daemon/StatusBook.ts"
import { encodeJob } from "../../src/daemon/StatusFile.ts"
import { statusOf } from "../../src/daemon/view.ts"
import { DAY, HOUR, job as configOf } from "../support/ScheduleWorld.ts"

const NOW = Date.UTC(2026, 10, 23)
const schedule = { daily: { interval: Duration.days(1), keep: 3 } }
const trouble = { reloadRefused: undefined, stateTrouble: undefined }

const newJob = (): Job.Job =>
  Job.make(
    configOf("web01", schedule),
    { configuredSince: NOW, failures: 0, notBefore: undefined, purgeBlocked: undefined },
    () => new Uint8Array(32),
    Effect.runSync(Queue.sliding<void>(1))
  )

const revision = (at: number) => ({
  id: `r${at}`,
  isLegacy: false,
  timestamp: DateTime.unsafeMake(at),
  tags: ["daily"],
  isComplete: true,
  isTrusted: true,
  duration: 7
})

/** What may happen to a job, as the scheduler does it. */
const event = FastCheck.oneof(
  FastCheck.integer({ min: -2 * DAY, max: 2 * DAY }).map((at) => (job: Job.Job) => {
    job.facts = { ...nothing, revisions: [revision(NOW + at)] }
  }),
  FastCheck.nat(3).map((failures) => (job: Job.Job) => {
    job.record = { ...job.record, failures, notBefore: failures === 0 ? undefined : NOW + HOUR }
  }),
  FastCheck.boolean().map((is) => (job: Job.Job) => {
    job.record = { ...job.record, purgeBlocked: is ? { since: NOW - DAY, sentence: "locked" } : undefined }
  }),
  FastCheck.constantFrom<Array<Job.Activity>>(
    { _tag: "Idle" },
    { _tag: "Waiting", pool: "slow", since: NOW },
    { _tag: "Running", pool: "fast", since: NOW, tags: ["daily"], step: "backup", report: undefined }
  ).map((activity) => (job: Job.Job) => void (job.activity = activity)),
  FastCheck.integer({ min: 0, max: 5 }).map((hours) => (job: Job.Job) => {
    job.look = { kind: "regular", at: NOW + hours * HOUR, tags: hours > 2 ? ["daily"] : [], lookedAt: NOW }
  }),
  FastCheck.constantFrom("purge" as const, "callback" as const).map((step) => (job: Job.Job) => {
    job.troubles = [{ step, sentence: "no" }]
  }),
  FastCheck.boolean().map((is) => (job: Job.Job) => {
    job.busy = is ? { since: NOW, holder: "somebody" } : undefined
    job.stalledAt = is ? undefined : NOW
    job.unreadable = is ? "cannot read it" : undefined
  })
)
const moment = FastCheck.oneof(
  FastCheck.integer({ min: -3 * DAY, max: 3 * DAY }),
  FastCheck.constantFrom(0, 1.5 * DAY - 1, 1.5 * DAY, 1.5 * DAY + 1, DAY)
)

describe("a job that has revisions of the ancestor", () => {
  it("converts with its next backup, unless that reads everything anyway", () => {
    const job = newJob()
    const legacy = { ...revision(NOW), isLegacy: true }
    job.facts = { ...nothing, revisions: [legacy] }
    assert.isFalse(Job.converts(job))
    job.config = { ...job.config, source: { type: "ceph-rbd" } }
    assert.isTrue(Job.converts(job))
    job.facts = { ...nothing, revisions: [legacy, { ...revision(NOW + HOUR), isComplete: false }] }
    assert.isTrue(Job.converts(job))
    job.facts = { ...nothing, revisions: [legacy, revision(NOW + HOUR)] }
    assert.isFalse(Job.converts(job))
    assert.isFalse(Job.converts(newJob()))
  })
})

describe("the status book", () => {
  it.prop("always says what is so now, whatever happened and however the clock was set", [
    FastCheck.array(FastCheck.tuple(event, moment), { maxLength: 20 })
  ], ([events]) => {
    const book = StatusBook.make()
    const job = newJob()
    for (const [happens, at] of events) {
      happens(job)
      for (const now of [NOW + at, NOW + at, NOW + at + 1]) {
        const entry = book.entryOf(job, now, trouble)
        assert.deepStrictEqual(entry.status, statusOf(job, now, trouble))
        assert.strictEqual(entry.text, encodeJob(entry.status))
      }
    }
  })

  it("says the same again without making it again, until its time has come or the daemon is in trouble", () => {
    const book = StatusBook.make()
    const job = newJob()
    const first = book.entryOf(job, NOW, trouble)
    assert.strictEqual(book.entryOf(job, NOW + 1.5 * DAY, trouble), first)
    assert.notStrictEqual(book.entryOf(job, NOW + 1.5 * DAY + 1, trouble), first)
    const refused = book.entryOf(job, NOW, { ...trouble, reloadRefused: "no" })
    assert.strictEqual(refused.status.reload_refused, "no")
    assert.notStrictEqual(book.entryOf(newJob(), NOW, trouble), first)
  })
})
