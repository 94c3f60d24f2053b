/** A count with its noun: `1 chunk`, `3 chunks`. */
export const counted = (number: number, noun: string): string => `${number} ${noun}${number === 1 ? "" : "s"}`
