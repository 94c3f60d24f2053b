/**
 * How trust in a revision is lost and won again. Pure transitions; who may call them when is for the operations.
 */
import * as DateTime from "effect/DateTime"
import type { Distrust, DistrustReason, Revision } from "./Revision.ts"
import { update } from "./Revision.ts"

/** How many bad chunks are named in the metadata of one revision; of further ones the number is kept. */
export const MAX_LISTED_CHUNKS = 4096

/** What is known when a revision becomes distrusted. */
export interface Doubt {
  readonly reason: DistrustReason
  readonly at: DateTime.Utc
  /** Names of the bad chunks, if chunks are bad. */
  readonly chunks?: Iterable<string>
}

/** The higher the harder to lift: a mismatch never, a person's word by `verify`, damage by healing, too. */
const weight: Record<DistrustReason, number> = { damaged: 0, manual: 1, "source-mismatch": 2 }

/**
 * The revision, distrusted. Of two reasons the one that is harder to lift remains, with its date; bad chunks add up.
 * Incomplete revisions are returned unchanged: nobody trusts them anyway.
 */
export const distrust = (revision: Revision, doubt: Doubt): Revision => {
  if (!revision.isComplete) return revision
  const before = distrustOf(revision)
  const chunks = Array.from(new Set([...before?.chunks ?? [], ...doubt.chunks ?? []])).sort()
  const more = Math.max(before?.more ?? 0, chunks.length - MAX_LISTED_CHUNKS)
  const prevailing = before !== undefined && weight[before.reason] >= weight[doubt.reason] ? before : doubt
  return update(revision, {
    trust: "distrusted",
    verifiedAt: undefined,
    distrust: {
      ...before,
      reason: prevailing.reason,
      at: prevailing.at,
      chunks: chunks.slice(0, MAX_LISTED_CHUNKS),
      ...(more > 0 ? { more } : {})
    }
  })
}

/** Why the revision is distrusted; the ancestor kept no reason, which counts as a person's word. */
const distrustOf = (revision: Revision): Distrust | undefined =>
  revision.isTrusted ? undefined : revision.distrust ?? { reason: "manual", at: revision.timestamp, chunks: [] }

/**
 * The revision after all of its stored chunks were read and found right. A `source-mismatch` is not lifted: hashes
 * cannot tell what the source really had. An incomplete revision is returned unchanged.
 */
export const verify = (revision: Revision, at: DateTime.Utc): Revision =>
  !revision.isComplete || distrustOf(revision)?.reason === "source-mismatch"
    ? revision
    : update(revision, { trust: "verified", verifiedAt: at, distrust: undefined })

/**
 * The revision after a backup stored chunks again: verified when it was distrusted for damaged chunks only, all of them
 * are listed, and `isGood` of each. Otherwise unchanged.
 */
export const heal = (revision: Revision, at: DateTime.Utc, isGood: (chunk: string) => boolean): Revision => {
  const reason = distrustOf(revision)
  const isHealed = reason !== undefined && reason.reason === "damaged" && reason.more === undefined &&
    reason.chunks.length > 0 && reason.chunks.every(isGood)
  return isHealed ? verify(revision, at) : revision
}

/** Whether an increment may build on the revision: complete and trusted. */
export const canBeBase = (revision: Revision): boolean => revision.isComplete && revision.isTrusted

/**
 * Whether the revision is a backup that one has at `now`: complete, trusted, and not dated into the future by a wrong
 * clock. Nothing else counts towards `keep`, makes a tag or meets an SLA.
 */
export const counts = (
  revision: Pick<Revision, "isComplete" | "isTrusted" | "timestamp">,
  now: DateTime.Utc
): boolean => revision.isComplete && revision.isTrusted && DateTime.lessThanOrEqualTo(revision.timestamp, now)
