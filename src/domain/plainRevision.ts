/**
 * A `.rev` file read without a YAML parser when the text is plainly what we or the ancestor write: commands read every
 * revision of a repository, a daemon those of all, and the parser takes half a millisecond for each. What is read here
 * means the same to the parser; everything else is left to that. Pure.
 */
import type * as DateTime from "effect/DateTime"
import type { Accepted, BackendType, TrustLevel, Verification } from "./Revision.ts"
import { isRevisionId, type RevisionId } from "./RevisionId.ts"
import * as Timestamp from "./Timestamp.ts"

/** What a plain file can say of a revision, in the words of `Revision`. */
export interface PlainRevision {
  readonly id: RevisionId
  readonly backendType: BackendType
  readonly timestamp: DateTime.Utc
  readonly microseconds: number | undefined
  readonly parent: RevisionId | null
  /** Sorted, each once. */
  readonly tags: ReadonlyArray<string>
  readonly trust: TrustLevel
  readonly stats: { readonly duration?: number; readonly [key: string]: number }
  readonly size: number | undefined
  readonly mapDigest: string | undefined
  readonly verifiedAt: DateTime.Utc | undefined
  readonly verification: Verification | undefined
  readonly accepted: Accepted | undefined
}

// quoted, because nothing but these might be a number
const id = /^(?=.*[^0-9eE])[2-9A-HJ-NP-Za-km-z]{22}$|^'[2-9A-HJ-NP-Za-km-z]{22}'$/
const number = /^\d{1,15}(\.\d{1,20})?$/
const whole = /^\d{1,15}$/
const instant = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,6})?\+00:00$/
/** A text, because of its quotes. */
const quotedInstant = /^'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z'$/
/** Nothing that YAML takes for more than a word. */
const word = /^(?!(?:null|true|false)$)[a-z](?:[\w.:-]*\w)?$/i

/** What each key's value looks like; those of `nested` have their values in the lines below. */
const plain: Readonly<Record<string, RegExp>> = {
  accepted: /^shrink$/,
  backend_type: /^(?:chunked|cowfile)(?:-v4)?$/,
  map_digest: /^(?=.*[abcdf])[0-9a-f]{64}$|^'[0-9a-f]{64}'$/,
  parent: new RegExp(`^''$|${id.source}`),
  size: whole,
  stats: /^\{\}$/,
  tags: /^\[\]$/,
  timestamp: instant,
  trust: /^(?:trusted|distrusted|verified)$/,
  uuid: id,
  verified_at: instant
}
const nested: Readonly<Record<string, Readonly<Record<string, RegExp>>>> = {
  stats: {
    bytes_stored: number,
    bytes_written: number,
    chunks_found: number,
    chunks_unchanged: number,
    chunks_written: number,
    duration: number
  },
  verification: {
    compared: whole,
    cursor: whole,
    fully_compared: quotedInstant,
    kind: word,
    of: whole,
    rotation_started: quotedInstant
  }
}

const STATS = Object.keys(nested["stats"]!)

/** A line of a block: its key, with the value of a plain one. */
const line = /^(\w+):(?: (\S.*))?$/

/** What the text says; `undefined` when that takes a parser to say. */
export const read = (text: string): PlainRevision | undefined => {
  const values = new Map<string, string>()
  const tags: Array<string> = []
  let block = ""
  if (!text.endsWith("\n")) return undefined
  for (const one of text.slice(0, -1).split("\n")) {
    if (one.startsWith("- ")) {
      const tag = one.slice(2)
      if (block !== "tags" || !word.test(tag)) return undefined
      tags.push(tag)
      continue
    }
    const isInner = one.startsWith("  ")
    const match = line.exec(isInner ? one.slice(2) : one)
    const [, key = "", value] = match ?? []
    if (value === undefined) {
      if (match === null || isInner || (key !== "tags" && !Object.hasOwn(nested, key)) || values.has(key)) {
        return undefined
      }
      block = key
      values.set(key, "")
      continue
    }
    const rules = isInner ? nested[block] : plain
    const path = isInner ? `${block}.${key}` : key
    if (rules === undefined || !Object.hasOwn(rules, key) || !rules[key]!.test(value) || values.has(path)) {
      return undefined
    }
    if (!isInner) block = ""
    values.set(path, value)
  }
  return isWhole(values, tags) ? found(values, tags) : undefined
}

/** Blocks that were begun have what they must have. */
const isWhole = (values: ReadonlyMap<string, string>, tags: ReadonlyArray<string>): boolean =>
  (values.get("tags") !== "" || tags.length > 0) &&
  (values.get("stats") !== "" || STATS.some((key) => values.has(`stats.${key}`))) &&
  (!values.has("verification") || ["compared", "kind", "of"].every((key) => values.has(`verification.${key}`)))

const unquoted = (text: string | undefined): string => text?.replaceAll("'", "") ?? ""

const statsOf = (values: ReadonlyMap<string, string>): PlainRevision["stats"] =>
  Object.fromEntries(
    STATS.flatMap((key) => {
      const value = values.get(`stats.${key}`)
      return value === undefined ? [] : [[key, Number(value)]]
    })
  )

const verificationOf = (values: ReadonlyMap<string, string>): Verification | undefined => {
  const kind = values.get("verification.kind")
  if (kind === undefined) return undefined
  const cursor = values.get("verification.cursor")
  const instants = ["fully_compared", "rotation_started"].flatMap((key) => {
    const value = values.get(`verification.${key}`)
    return value === undefined ? [] : [[key, unquoted(value)] as const]
  })
  return {
    kind,
    compared: Number(values.get("verification.compared")),
    of: Number(values.get("verification.of")),
    ...cursor === undefined ? {} : { cursor: Number(cursor) },
    ...Object.fromEntries(instants)
  }
}

const found = (values: ReadonlyMap<string, string>, tags: ReadonlyArray<string>): PlainRevision | undefined => {
  const timestamp = Timestamp.parse(values.get("timestamp") ?? "")
  const verifiedAt = Timestamp.parse(values.get("verified_at") ?? "")
  const id = unquoted(values.get("uuid"))
  if (!isRevisionId(id) || timestamp === undefined) return undefined
  if (values.has("verified_at") && verifiedAt === undefined) return undefined
  const parent = unquoted(values.get("parent"))
  const size = values.get("size")
  const digest = values.get("map_digest")
  return {
    id,
    // one of the four, and one of the three, or the expressions would not have taken them
    backendType: (values.get("backend_type") ?? "cowfile") as BackendType,
    trust: (values.get("trust") ?? "trusted") as TrustLevel,
    timestamp: timestamp.at,
    microseconds: timestamp.microseconds === 0 ? undefined : timestamp.microseconds,
    parent: isRevisionId(parent) ? parent : null,
    tags: Array.from(new Set(tags)).sort(),
    stats: statsOf(values),
    size: size === undefined ? undefined : Number(size),
    mapDigest: digest === undefined ? undefined : unquoted(digest),
    verifiedAt: verifiedAt?.at,
    verification: verificationOf(values),
    accepted: values.has("accepted") ? "shrink" : undefined
  }
}
