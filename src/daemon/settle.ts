/** What a run's end means for its job: what is shown of it, when it is tried again, and what the log says. */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import { printable } from "../domain/printable.ts"
import * as Due from "./dueSchedule.ts"
import * as Job from "./Job.ts"
import type { Outcome, Trouble } from "./JobRunner.ts"
import type { JobRecord } from "./JobState.ts"
import type { Ledger } from "./Ledger.ts"

/** Of what a purge says of who has the lock, in characters. */
const MAX_SENTENCE = 500

/** What a purge leaves in the record: of all in a row that found the lock held, the first one's instant counts. */
const blockedBy = (
  trouble: Trouble | undefined,
  before: JobRecord["purgeBlocked"],
  now: number
): JobRecord["purgeBlocked"] =>
  trouble?.isBusy === true
    ? { since: before?.since ?? now, sentence: printable(trouble.sentence).slice(0, MAX_SENTENCE) }
    : undefined

/** Enters how the purge of a run, or one for itself, ended; does not save it. */
export const settlePurge = Effect.fnUntraced(
  function*(job: Job.Job, ledger: Ledger, trouble: Trouble | undefined) {
    const now = yield* Clock.currentTimeMillis
    const before = job.record.purgeBlocked
    const after = blockedBy(trouble, before, now)
    job.isUnclean = trouble !== undefined
    job.purgeTriedAt = after === undefined ? undefined : now
    if (after !== before) ledger.change(job, { purgeBlocked: after })
  }
)

/** Enters how a run for these tags ended; does not save it. */
export const settle = Effect.fnUntraced(
  function*(job: Job.Job, ledger: Ledger, tags: ReadonlyArray<string>, outcome: Outcome) {
    const now = yield* Clock.currentTimeMillis
    job.busy = outcome._tag === "Busy" ? { since: job.busy?.since ?? now, holder: outcome.holder } : undefined
    job.stalledAt = outcome._tag === "Failed" && outcome.isStalled ? now : undefined
    switch (outcome._tag) {
      case "Done": {
        job.facts = outcome.facts
        job.troubles = outcome.troubles
        // one that was not run had nothing to do: who was kept waiting is tried again with each run
        yield* settlePurge(job, ledger, outcome.troubles.find(({ step }) => step === "purge"))
        yield* Effect.forEach(outcome.troubles, ({ sentence, step }) => Effect.logWarning(`${step}: ${sentence}`))
        if (job.record.failures > 0 || job.record.notBefore !== undefined) {
          ledger.change(job, { failures: 0, notBefore: undefined })
        }
        return yield* Effect.logInfo(`made ${tags.join(",")}`)
      }
      case "Busy": {
        const minutes = yield* Random.nextRange(1, Job.BUSY_MINUTES)
        ledger.change(job, { notBefore: now + Math.round(minutes * 60_000) })
        return yield* Effect.logWarning(`busy, trying again in ${minutes.toFixed(1)} minutes: ${outcome.holder}`)
      }
      case "Failed": {
        const failures = job.record.failures + 1
        const notBefore = Due.retryAt(failures, now)
        job.troubles = [outcome.trouble, ...outcome.madeRoom ?? []]
        if (outcome.madeRoom === undefined) job.isUnclean = true
        else yield* settlePurge(job, ledger, outcome.madeRoom.find(({ step }) => step === "purge"))
        ledger.change(job, { failures, notBefore })
        const span = Duration.format(Duration.millis(notBefore - now))
        return yield* Effect.logError(
          `${outcome.trouble.step} failed (${failures} in a row), trying again in ${span}: ${outcome.trouble.sentence}`
        )
      }
    }
  }
)
