/** Which chunks of an image are compared with their source, when not all are. Pure. */
import { PCGRandom } from "effect/Utils"

/** At least so many chunks are compared in every run, if the image has them. */
const LEAST = 16

/** At least so many of a hundred. */
const LEAST_PERCENT = 1

/** What one run compares: first what it must, then what it may leave to the next. */
export interface SamplePlan {
  /** In no order; the image's last chunk among them. */
  readonly required: ReadonlyArray<number>
  /** The part of the image whose turn it is: consecutive, beginning at the cursor. */
  readonly rotation: ReadonlyArray<number>
}

/** A number out of any text, for seeding. */
const seedOf = (text: string): number => {
  let seed = 0
  for (const character of text) seed = (Math.imul(seed, 31) + (character.codePointAt(0) ?? 0)) | 0
  return seed
}

/**
 * The plan for an image of `count` chunks. The same `seed` gives the same plan. Half of the required chunks, if there
 * are so many, are ones that were not touched: a diff that leaves something out must be found out, too.
 */
export const plan = (options: {
  readonly count: number
  /** Chunks that the source said had changed. */
  readonly touched: ReadonlySet<number>
  readonly seed: string
  /** Where the rotation goes on. */
  readonly cursor: number
  /** In how many runs it comes round. */
  readonly runs: number
}): SamplePlan => {
  const { count, touched } = options
  if (count === 0) return { required: [], rotation: [] }
  const random = new PCGRandom(seedOf(options.seed))
  const least = Math.min(count, Math.max(LEAST, Math.ceil(count * LEAST_PERCENT / 100)))
  const required = new Set([count - 1])

  const changed = [...touched].filter((index) => index < count)
  const fromChanged = Math.min(changed.length, Math.floor(least / 2))
  for (let taken = 0; taken < fromChanged; taken++) {
    // the rest of a shuffle: what was taken is moved out of the way
    const at = taken + random.integer(changed.length - taken)
    const index = changed[at]
    const other = changed[taken]
    if (index === undefined || other === undefined) continue
    changed[at] = other
    required.add(index)
  }
  // with nearly everything touched, guessing what is not would take for ever
  const guesses = count - changed.length > least ? 8 * least : 0
  for (let guess = 0; guess < guesses && required.size < least; guess++) {
    const index = random.integer(count)
    if (!touched.has(index)) required.add(index)
  }
  const start = random.integer(count)
  for (let step = 0; step < count && required.size < least; step++) required.add((start + step) % count)

  const length = Math.min(count, Math.ceil(count / options.runs))
  const cursor = options.cursor < count ? options.cursor : 0
  // it ends with the image, so that coming round is an event
  const rotation = Array.from({ length: Math.min(length, count - cursor) }, (_, step) => cursor + step)
  return { required: [...required], rotation }
}
