/**
 * What must hold of a repository after anything that may happen to it: the invariants of docs/reliability.md, said of
 * two surveys. Numbers as in the research they come from: I1, I3, I5, I6, I9, I11.
 */
import { isWhole, newestTrusted, type Survey, type Surveyed } from "./Survey.ts"

/** What is known before something happens. */
export interface Expectation {
  readonly before: Survey
  /** Revisions that may go. */
  readonly mayGo?: ReadonlySet<string>
  /** Bytes of the image that new revisions are of, or what a revision is of. */
  readonly image: Uint8Array | ((revision: string) => Uint8Array | undefined)
  /** Where a revision is trusted although it is not whole, since nobody has looked. */
  readonly undetected?: ReadonlySet<string>
  /** Backups that may have begun since. Default 1. */
  readonly begun?: number
}

const same = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && Buffer.compare(a, b) === 0

const harmed = (was: Surveyed, is: Surveyed): string | undefined => {
  if (was.image === undefined) return undefined
  if (is.image === undefined) return "I3: its map is gone"
  const lost = is.bad.filter((name) => !was.bad.includes(name))
  if (lost.length > 0) return `I3, I11: chunks are bad that were good: ${lost.join(" ")}`
  if (was.bad.length === 0 && !same(was.image, is.image)) return "I1: it holds other bytes now"
  return undefined
}

/** Everything that is wrong, as sentences; empty when all is well. */
export const violations = (expectation: Expectation, after: Survey): ReadonlyArray<string> => {
  const { before, image } = expectation
  const found: Array<string> = []
  for (const [id, was] of before.complete) {
    const is = after.complete.get(id)
    if (is === undefined) {
      if (expectation.mayGo?.has(id) !== true) found.push(`I3: revision ${id} is gone`)
      continue
    }
    const harm = harmed(was, is)
    if (harm !== undefined) found.push(`revision ${id}: ${harm}`)
  }
  const imageOf = typeof image === "function" ? image : () => image
  for (const [id, is] of after.complete) {
    const wanted = imageOf(id)
    if (is.revision.isTrusted && !isWhole(is) && expectation.undetected?.has(id) !== true) {
      const what = is.image === undefined ? "has no usable map" : `lacks chunks ${is.bad.join(" ")}`
      found.push(`I1, I5: revision ${id} is ${is.revision.trust}, but ${what}`)
    }
    if (!before.complete.has(id) && (is.image === undefined || wanted === undefined || !same(is.image, wanted))) {
      found.push(`I1, I5: new revision ${id} does not hold the image's bytes`)
    }
  }
  for (const id of after.broken) {
    if (!before.broken.includes(id)) found.push(`I6: ${id}.rev cannot be read`)
  }
  const newest = newestTrusted(before)
  if (newest !== undefined && expectation.mayGo?.has(newest.revision.id) !== true) {
    if (!after.complete.has(newest.revision.id)) {
      found.push(`I9: ${newest.revision.id}, the newest trusted one, is gone`)
    }
  }
  if (after.incomplete.length > before.incomplete.length + (expectation.begun ?? 1)) {
    found.push("I6: incomplete revisions pile up")
  }
  return found
}

/** What is wrong after a backup and a purge: nothing may be left of what happened before. */
export const leftovers = (after: Survey): ReadonlyArray<string> => {
  const found: Array<string> = []
  for (const path of after.temporary) found.push(`I6: ${path} was never collected`)
  for (const id of after.incomplete) found.push(`I6: incomplete revision ${id} was never removed`)
  for (const id of after.orphans) found.push(`I6: map ${id} was never collected`)
  const named = new Set(Array.from(after.complete.values()).flatMap(({ names }) => names))
  for (const name of after.chunks) if (!named.has(name)) found.push(`I6: chunk ${name} is of no use and still there`)
  return found
}
