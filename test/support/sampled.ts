/** Which cases of many are looked at, by a seed: for simulations whose full form takes too long for every day. */
import { randomNumbers } from "../../src/platform/MemoryChoices.ts"

/** As many numbers from 0 to `count` - 1 as are wanted, ascending: one of each of as many equal parts. */
export const sampled = (count: number, wanted: number, seed: number): ReadonlyArray<number> => {
  const parts = Math.min(wanted, count)
  const random = randomNumbers(seed)
  return Array.from({ length: parts }, (_, part) => {
    const from = Math.floor(part * count / parts)
    return from + Math.floor(random() * (Math.floor((part + 1) * count / parts) - from))
  })
}
