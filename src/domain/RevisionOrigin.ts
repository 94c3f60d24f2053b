/**
 * Who wrote a revision's metadata, and what cannot be true of it. The absence of a key is never taken for a meaning
 * that a damaged file could have, too. Pure.
 */
import type { BackendType, Distrust, TrustLevel, Verification } from "./Revision.ts"

/** What is looked at, of a revision or of what a plain file says of one. */
export interface Claims {
  readonly backendType: BackendType
  readonly trust: TrustLevel
  readonly stats: Readonly<Record<string, unknown>>
  readonly size?: number | undefined
  readonly mapDigest?: string | undefined
  readonly verifiedAt?: unknown
  readonly distrust?: Distrust | undefined
  readonly verification?: Verification | undefined
  readonly accepted?: unknown
  readonly unknown?: Readonly<Record<string, unknown>> | undefined
}

const isLegacy = ({ backendType }: Claims): boolean => backendType === "chunked" || backendType === "cowfile"

/** Keys of `stats` in files of backy 2.5. */
const LEGACY_STATS = ["bytes_written", "duration"]

/** A key that versions before 2.5 wrote. */
const LEGACY_UNKNOWN = ["type"]

/** Whether it has no key but those that backy 2.5 and its ancestors write: only then it may lack a digest. */
export const isAncestors = (claims: Claims): boolean => isLegacy(claims) && foreignKey(claims) === undefined

/** The first key that backy 2.5 does not write. */
const foreignKey = ({ accepted, distrust, mapDigest, size, stats, unknown, verification, verifiedAt }: Claims) =>
  Object.entries({ size, map_digest: mapDigest, verified_at: verifiedAt, distrust, verification, accepted })
    .find(([, value]) => value !== undefined)?.[0] ??
    Object.keys(unknown ?? {}).find((key) => !LEGACY_UNKNOWN.includes(key)) ??
    Object.keys(stats).find((key) => !LEGACY_STATS.includes(key))

/** Why this cannot be what anybody wrote; `undefined` when nothing speaks against it. */
export const contradiction = (claims: Claims): string | undefined => {
  const { mapDigest, size, stats } = claims
  const isComplete = stats["duration"] !== undefined
  if (isLegacy(claims)) {
    if (mapDigest !== undefined || size !== undefined) {
      return `it has ${mapDigest === undefined ? "a size" : "a map_digest"}, and is of backy 2.5, which writes none`
    }
    if (isComplete && stats["bytes_written"] === undefined) return "it has a duration, but not its bytes_written"
  } else if (isComplete) {
    if (mapDigest === undefined) return "it lacks its map_digest"
    if (size === undefined) return "it lacks its size"
  }
  const trace = isComplete ? undefined : traceOfCompletion(claims)
  return trace === undefined ? undefined : `it has no duration, but ${trace}, as only completed revisions have`
}

/** What only a revision has that was completed. backy 2.5 counts no bytes before that. */
const traceOfCompletion = (claims: Claims): string | undefined => {
  const { accepted, distrust, mapDigest, size, stats, trust, verification, verifiedAt } = claims
  const [key] =
    Object.entries({ size, map_digest: mapDigest, verified_at: verifiedAt, distrust, verification, accepted })
      .find(([, value]) => value !== undefined) ?? []
  if (key !== undefined) return `its ${key}`
  if (trust === "verified" || (trust === "distrusted" && !isLegacy(claims))) return `trust (${trust})`
  const [figure] = Object.entries(stats).find(([, value]) => !isLegacy(claims) || value !== 0) ?? []
  return figure === undefined ? undefined : `its ${figure}`
}
