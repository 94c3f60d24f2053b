/** What several runs say together. */

/** The middle one; the mean of the two in the middle of an even number. */
export const median = (values: ReadonlyArray<number>): number => {
  const sorted = values.toSorted((a, b) => a - b)
  const half = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[half]! : ((sorted[half - 1] ?? NaN) + (sorted[half] ?? NaN)) / 2
}

/** How far the runs lie apart, as a share of their median. */
export const spread = (values: ReadonlyArray<number>): number =>
  values.length === 0 ? 0 : (Math.max(...values) - Math.min(...values)) / median(values)
