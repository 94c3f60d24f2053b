/** How many insertions, deletions, replacements and swaps of neighbours turn one word into the other. */
const distance = (a: string, b: string): number => {
  const rows: Array<Array<number>> = [Array.from({ length: b.length + 1 }, (_, j) => j)]
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1
      let cost = Math.min(row[j - 1]! + 1, rows[i - 1]![j]! + 1, rows[i - 1]![j - 1]! + same)
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      if (swapped) cost = Math.min(cost, rows[i - 2]![j - 2]! + 1)
      row.push(cost)
    }
    rows.push(row)
  }
  return rows[a.length]![b.length]!
}

/** What somebody who wrote `word` most likely meant, if one of the candidates is near enough. */
export const closest = (word: string, candidates: Iterable<string>): string | undefined => {
  if (word.length > 64) return undefined
  let best: string | undefined
  let least = 1 + Math.ceil(word.length / 4)
  for (const candidate of candidates) {
    if (Math.abs(candidate.length - word.length) > least || candidate.length > 64) continue
    const cost = distance(word.toLowerCase(), candidate.toLowerCase())
    if (cost >= least || cost >= candidate.length) continue
    best = candidate
    least = cost
  }
  return best
}

/** ` (did you mean "daily"?)`, or what there is instead; to be put behind a sentence on an unknown name. */
export const hint = (word: string, candidates: Iterable<string>): string => {
  const known = Array.from(candidates)
  const best = closest(word, known)
  if (best !== undefined) return ` (did you mean "${best}"?)`
  return known.length === 0 ? " (there are none)" : ` (there are: ${known.slice(0, 20).join(", ")})`
}
