/**
 * The few things that scheduling needs of a `.rev` file, read without a YAML parser when the text is plainly what we or
 * the ancestor write: a daemon reads tens of thousands of them when it starts, and each would take a millisecond. What
 * is read here means the same to `Revision.decodeYaml`; everything else is left to that. Pure.
 */
import type * as DateTime from "effect/DateTime"
import type { BackendType } from "./Revision.ts"
import * as Timestamp from "./Timestamp.ts"

/** Of one revision. */
export interface PlainRevision {
  readonly id: string
  readonly backendType: BackendType
  readonly timestamp: DateTime.Utc
  /** Sorted, each once. */
  readonly tags: ReadonlyArray<string>
  readonly isTrusted: boolean
  /** Seconds; a revision without is not complete. */
  readonly duration: number | undefined
}

// quoted, because nothing but these might be a number
const id = /^(?=.*[^0-9eE])[2-9A-HJ-NP-Za-km-z]{22}$|^'[2-9A-HJ-NP-Za-km-z]{22}'$/
const number = /^\d{1,15}(\.\d{1,20})?$/
const whole = /^\d{1,15}$/
const instant = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,6})?\+00:00$/
/** Nothing that YAML takes for more than a word. */
const word = /^(?!(?:null|true|false)$)[a-z](?:[\w.:-]*\w)?$/i

/** What each key's value looks like; those of `nested` have their values in the lines below. */
const plain: Readonly<Record<string, RegExp>> = {
  backend_type: /^(?:chunked-v3|chunked|cowfile)$/,
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
  stats: { bytes_written: number, duration: number },
  verification: { compared: whole, cursor: whole, kind: word, of: whole }
}

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
  (values.get("stats") !== "" || values.has("stats.bytes_written") || values.has("stats.duration")) &&
  (!values.has("verification") || ["compared", "kind", "of"].every((key) => values.has(`verification.${key}`)))

const found = (values: ReadonlyMap<string, string>, tags: ReadonlyArray<string>): PlainRevision | undefined => {
  const timestamp = Timestamp.parse(values.get("timestamp") ?? "")
  const verifiedAt = values.get("verified_at")
  const id = values.get("uuid")?.replaceAll("'", "")
  if (id === undefined || timestamp === undefined) return undefined
  if (verifiedAt !== undefined && Timestamp.parse(verifiedAt) === undefined) return undefined
  const duration = values.get("stats.duration")
  return {
    id,
    // one of the three, or the expression would not have taken it
    backendType: (values.get("backend_type") ?? "cowfile") as BackendType,
    timestamp: timestamp.at,
    tags: Array.from(new Set(tags)).sort(),
    isTrusted: values.get("trust") !== "distrusted",
    duration: duration === undefined ? undefined : Number(duration)
  }
}
