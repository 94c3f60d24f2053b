import type { FileSystem } from "@effect/platform/FileSystem"
import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { counted } from "../domain/counted.ts"
import { isRevisionId } from "../domain/RevisionId.ts"
import type { BlockFile } from "../platform/BlockFile.ts"
import type { FileLock, LockHeld } from "../platform/FileLock.ts"
import type { IoError } from "../platform/IoError.ts"
import * as locks from "../repository/locks.ts"
import type { Repository } from "../repository/Repository.ts"
import type { Blocks } from "../store/Blocks.ts"
import type { ChunkStore } from "../store/ChunkStore.ts"
import { examine } from "./examine.ts"
import { isWhole, recordFindings, type Verdict } from "./recordFindings.ts"
import { RevisionIncomplete, select, type SelectError, type Selection } from "./select.ts"

/** The outcome of a verification. */
export interface VerifyReport {
  readonly verdicts: ReadonlyArray<Verdict>
  /** Distinct chunks that were read, and their bytes before compression. */
  readonly chunks: number
  readonly bytes: number
}

/** What is to be done about revisions that are not whole, as far as anything can be. */
const adviceFor = (verdicts: ReadonlyArray<Verdict>): ReadonlyArray<string> => {
  const is = (state: Verdict["state"]) => verdicts.some((verdict) => verdict.state === state)
  return [
    ...is("damaged")
      ? [
        "the next backup stores damaged chunks again that the source still has, backy restore --salvage saves the rest"
      ]
      : [],
    ...is("map-unusable")
      ? [
        "what a map that cannot be used has named is known to nobody: put it back from a copy of the repository, " +
        "or give the revision up with backy forget; until then nothing is purged"
      ]
      : [],
    ...is("metadata-unusable")
      ? [
        "a revision whose metadata cannot be used is checked by nothing: put its .rev back from a copy of the repository, " +
        "or give the revision up with backy forget and its full id; what its map names is kept until then"
      ]
      : [],
    ...is("not-upgraded") ? ["backy upgrade converts what an alpha of 3.0 wrote, and then it can be verified"] : [],
    ...is("unreadable") ? ["I/O errors prove nothing about what is stored: look at the disk, and verify again"] : []
  ]
}

/** `verify` found damage. Nothing was deleted; the report says what is lost. */
export class DamageFound extends Data.TaggedError("DamageFound")<{ readonly report: VerifyReport }> {
  override get message() {
    const bad = this.report.verdicts.filter(({ state }) => !isWhole(state))
    return [
      `${bad.length} of ${counted(this.report.verdicts.length, "revision")} ` +
      `${bad.length === 1 ? "is" : "are"} not whole: ` +
      bad.map(({ revision, state }) => `${revision} (${state})`).join(", "),
      ...adviceFor(bad)
    ].join("; ")
  }
}

/** All that was read is whole, but that could not be written down: trust is as it was. */
export class ResultNotRecorded extends Data.TaggedError("ResultNotRecorded")<{
  readonly report: VerifyReport
  readonly because: LockHeld | IoError
}> {
  override get message() {
    return `the result was not recorded: ${this.because.message}`
  }
}

/** Why revisions cannot be called whole. */
export type VerifyError = DamageFound | ResultNotRecorded | LockHeld | RevisionIncomplete | SelectError

/**
 * Reads what is stored for some revisions again and checks it against its hashes: every chunk once, however many
 * revisions name it. Destroys nothing. Whole revisions become verified; revisions with damaged or missing chunks become
 * distrusted, all of them that name such a chunk. A revision whose metadata cannot be read fails the check, unless one
 * other was asked for by its full id. Fails with `DamageFound` when anything is not whole, recorded or not,
 * `ResultNotRecorded` when all is whole and that could not be written down, `LockHeld`, `RevisionIncomplete`,
 * `SelectError`.
 */
export const verify = Effect.fn("verify")(function*(options: {
  readonly revisions: Selection
  readonly wait: Duration.Duration
}): Effect.fn.Return<
  VerifyReport,
  VerifyError,
  BlockFile | Blocks | ChunkStore | FileLock | FileSystem | Repository
> {
  const found = yield* Effect.scoped(Effect.gen(function*() {
    yield* locks.forReading(options.wait)
    const revisions = yield* select(options.revisions)
    const incomplete = revisions.find((revision) => !revision.isComplete)
    if (incomplete !== undefined) return yield* new RevisionIncomplete({ id: incomplete.id })
    return yield* examine(revisions)
  }))
  const { unrecorded, verdicts } = yield* Effect.scoped(Effect.gen(function*() {
    const locked = yield* Effect.either(locks.forRecording(options.wait))
    const broken = !isRevisionId(options.revisions)
    if (Either.isRight(locked)) return yield* recordFindings(found, { write: true, broken })
    if (locked.left._tag === "RepositoryMissing") return yield* locked.left
    // the reading may have taken hours: what it found is told even if it cannot be written down
    return { ...yield* recordFindings(found, { write: false, broken }), unrecorded: locked.left }
  }))
  const report = { verdicts, chunks: found.chunks, bytes: found.bytes } satisfies VerifyReport
  if (verdicts.some(({ state }) => !isWhole(state))) {
    if (unrecorded !== undefined) yield* Effect.logWarning(`the damage was not recorded: ${unrecorded.message}`)
    return yield* new DamageFound({ report })
  }
  if (unrecorded !== undefined) return yield* new ResultNotRecorded({ report, because: unrecorded })
  return report
})
