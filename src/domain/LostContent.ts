/**
 * When a source has lost its content: an image that was emptied, cut off or wiped is no newer backup of what it was, and
 * must not push good revisions out. Pure; what becomes of such a backup is for the operation to say.
 */
import type * as DateTime from "effect/DateTime"
import type { Revision } from "./Revision.ts"
import { counts } from "./Trust.ts"

/** How many of the newest revisions a source is measured by. */
const NEWEST = 5

/** What is known of a revision that a source is measured by. */
export interface Standard {
  readonly revision: Revision
  /** Bytes of its image. */
  readonly size: number
}

/**
 * The revisions that a source is measured by: the newest 5 trusted ones, and, as a wrong clock may have dated some into
 * the future, the newest 5 of those that `Trust.counts`. Where a loss was accepted, that revision is the first that is
 * asked. With none trusted, the newest 5 complete ones: a size is a size.
 */
export const standards = (revisions: ReadonlyArray<Revision>, now: DateTime.Utc): ReadonlyArray<Revision> => {
  const complete = revisions.filter(({ isComplete }) => isComplete)
  const trusted = complete.filter(({ isTrusted }) => isTrusted)
  const chosen = new Set([
    ...newest(trusted.length > 0 ? trusted : complete),
    ...newest(complete.filter((revision) => counts(revision, now)))
  ])
  return complete.filter((revision) => chosen.has(revision))
}

const newest = (revisions: ReadonlyArray<Revision>): ReadonlyArray<Revision> => {
  const last = revisions.slice(-NEWEST)
  return last.slice(Math.max(0, last.findLastIndex(({ accepted }) => accepted !== undefined)))
}

/** Why a source of so many bytes has lost its content, as a clause; `undefined` when it has not. */
export const lossOfSize = (size: number, standards: ReadonlyArray<Standard>): string | undefined => {
  const largest = standards.toSorted((a, b) => a.size - b.size).at(-1)
  if (size === 0) {
    // that it is empty was accepted
    if (largest?.size === 0 && standards.some(({ revision }) => revision.accepted !== undefined)) return undefined
    return largest === undefined || largest.size === 0 ? "it has 0 bytes" : `it has 0 bytes, and ${had(largest)}`
  }
  return largest !== undefined && size * 2 < largest.size ? `it has ${size} bytes, and ${had(largest)}` : undefined
}

const had = ({ revision, size }: Standard): string => `revision ${revision.id} has ${size}`

/**
 * The accepted losses among `forgotten` whose mark keeps a revision that is not forgotten with it, and that revision. With
 * the mark gone, nothing would tell that what follows is less than what was.
 */
export const marksOf = (
  history: ReadonlyArray<Revision>,
  forgotten: ReadonlySet<Revision>
): ReadonlyArray<{ readonly mark: Revision; readonly kept: Revision }> => {
  const complete = history.filter(({ isComplete }) => isComplete)
  return complete.flatMap((mark, index) => {
    if (mark.accepted === undefined || !forgotten.has(mark)) return []
    const kept = lastBefore(complete, index).findLast((revision) => !forgotten.has(revision))
    return kept === undefined ? [] : [{ mark, kept }]
  })
}

/** The newest revision before one, and the newest trusted one; older first. */
const lastBefore = (complete: ReadonlyArray<Revision>, index: number): ReadonlyArray<Revision> => {
  const before = complete.slice(0, index)
  return [before.findLast(({ isTrusted }) => isTrusted), before.at(-1)].filter((one) => one !== undefined)
}

/**
 * Whether a source is no less than an image that was stored already: should losing the rest have been accepted then, it
 * has lost nothing since.
 */
export const isNoLessThan = (size: number, stored: number): boolean => size === 0 ? stored === 0 : size * 2 >= stored

/**
 * Which revisions stay as they are because of an accepted loss, and why: the newest one before it, which an operator may
 * want back when the loss turns out to be none that was meant, and the accepted one, which marks the place. `history` is
 * in its order.
 */
export const keptForLoss = (history: ReadonlyArray<Revision>): ReadonlyMap<Revision, string> => {
  const kept = new Map<Revision, string>()
  const complete = history.filter(({ isComplete }) => isComplete)
  complete.forEach((revision, index) => {
    if (revision.accepted === undefined) return
    const newest = lastBefore(complete, index)
    for (const one of newest) {
      kept.set(one, `its source had lost content when ${revision.id} was made: it stays until backy forget`)
    }
    if (newest.length > 0 && !kept.has(revision)) {
      kept.set(revision, `its source had lost content: it stays as long as the revision before it`)
    }
  })
  return kept
}
