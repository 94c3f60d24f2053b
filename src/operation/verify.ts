import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { counted } from "../domain/counted.ts"
import * as locks from "../repository/locks.ts"
import * as StoredId from "../store/storedId.ts"
import { type Examination, examine } from "./examine.ts"
import { isWhole, recordFindings, type Verdict } from "./recordFindings.ts"
import { RevisionIncomplete, select, type Selection } from "./select.ts"

/** The outcome of a verification. */
export interface VerifyReport {
  readonly verdicts: ReadonlyArray<Verdict>
  /** Distinct chunks that were read, and their bytes before compression. */
  readonly chunks: number
  readonly bytes: number
}

/** `verify` found damage. Nothing was deleted; the report says what is lost. */
export class DamageFound extends Data.TaggedError("DamageFound")<{ readonly report: VerifyReport }> {
  override get message() {
    const bad = this.report.verdicts.filter(({ state }) => !isWhole(state))
    return `${bad.length} of ${counted(this.report.verdicts.length, "revision")} ` +
      `${bad.length === 1 ? "is" : "are"} not whole: ` +
      `${bad.map(({ revision, state }) => `${revision} (${state})`).join(", ")}; ` +
      "the next backup stores again what the source still has, backy restore --salvage saves the rest"
  }
}

/**
 * Reads what is stored for some revisions again and checks it against its hashes: every chunk once, however many
 * revisions name it. Destroys nothing. Whole revisions become verified; revisions with damaged or missing chunks become
 * distrusted, all of them that name such a chunk. Fails with `DamageFound` when anything is not whole, `LockHeld` when
 * the result could not be recorded, `RevisionIncomplete`, `RepositoryMissing`, `IoError` and what selecting fails with.
 */
export const verify = Effect.fn("verify")(function*(options: {
  readonly revisions: Selection
  readonly wait: Duration.Duration
}) {
  const found = yield* Effect.scoped(Effect.gen(function*() {
    yield* locks.forReading(options.wait)
    const revisions = yield* select(options.revisions)
    const incomplete = revisions.find((revision) => !revision.isComplete)
    if (incomplete !== undefined) return yield* new RevisionIncomplete({ id: incomplete.id })
    return yield* examine(revisions)
  }))
  const report = yield* Effect.scoped(Effect.gen(function*() {
    yield* Effect.tapErrorTag(locks.forRecording(options.wait), "LockHeld", () => tellUnrecorded(found))
    return {
      verdicts: yield* recordFindings(found),
      chunks: found.chunks,
      bytes: found.bytes
    } satisfies VerifyReport
  }))
  if (report.verdicts.some(({ state }) => !isWhole(state))) {
    return yield* new DamageFound({ report })
  }
  return report
})

/** The reading may have taken hours: what it found is told even if it cannot be recorded. */
const tellUnrecorded = ({ wrong }: Examination) =>
  Effect.forEach(
    wrong.chunks.values(),
    ({ id, why }) => Effect.logWarning(`not recorded: chunk ${StoredId.nameOf(id)} ${why}`),
    { discard: true }
  )
