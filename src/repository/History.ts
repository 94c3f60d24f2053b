/** The revisions of a repository in their order, as they were read. Pure. */
import * as DateTime from "effect/DateTime"
import * as Either from "effect/Either"
import * as Revision from "../domain/Revision.ts"
import type { RevisionId } from "../domain/RevisionId.ts"

/** A `.rev` file that cannot be used. The revision is not counted, and nothing is deleted on its account. */
export interface BrokenRevision {
  readonly id: RevisionId
  readonly path: string
  readonly reason: string
  /** What it says, where it is not damaged but of version 3 of the format, which `upgrade` alone reads. */
  readonly alpha?: Revision.Revision
}

export interface History {
  /** Complete revisions, oldest first. */
  readonly complete: ReadonlyArray<Revision.Revision>
  /** Revisions that are being made now, or whose making was interrupted; oldest first. */
  readonly incomplete: ReadonlyArray<Revision.Revision>
  readonly broken: ReadonlyArray<BrokenRevision>
}

/** Sorts what was read. */
export const make = (read: ReadonlyArray<Either.Either<Revision.Revision, BrokenRevision>>): History => {
  const revisions = Revision.history(read.flatMap((one) => Either.isRight(one) ? [one.right] : []))
  return {
    complete: revisions.filter((revision) => revision.isComplete),
    incomplete: revisions.filter((revision) => !revision.isComplete),
    broken: read.flatMap((one) => Either.isLeft(one) ? [one.left] : [])
  }
}

/** The newest complete revision that is trusted or verified. */
export const newestTrusted = (history: History): Revision.Revision | undefined =>
  history.complete.findLast((revision) => revision.isTrusted)

/** The newest complete revision that was made when this one was there already, and yet has an earlier time. */
export const madeAfter = (history: History, revision: Revision.Revision): Revision.Revision | undefined =>
  history.complete.findLast(
    (one) => one.parent === revision.id && DateTime.lessThan(one.timestamp, revision.timestamp)
  )
