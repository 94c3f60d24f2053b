/**
 * Ways to answer the questions of a simulated power loss: at random, everything, or all possible answers in turn.
 */
import { type Choose, loseAll } from "./MemoryCrash.ts"

/** Numbers in [0, 1), the same for the same seed (mulberry32). */
export const randomNumbers = (seed: number): () => number => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x100000000
  }
}

/**
 * Random answers, the same for the same seed. Most seeds lean to "all happened but a little" or "all is lost but a
 * little": that is where orders that were not kept show.
 */
export const seeded = (seed: number): Choose => {
  const next = randomNumbers(seed)
  const lean = [0.05, 0.25, 0.5, 0.75, 0.95][Math.floor(next() * 5)] ?? 0.5
  const common = next() < 0.5 ? 0 : 1
  return (options) => next() < lean ? Math.min(common, options - 1) : Math.floor(next() * options)
}

/**
 * Runs `run` with every combination of answers, first question slowest, at most `limit` times. Returns whether these
 * were all. `run` must ask the same questions when it got the same answers.
 */
export const everyChoice = function*<A>(run: (choose: Choose) => A, limit: number): Generator<A, boolean> {
  let script: ReadonlyArray<number> = []
  for (let count = 0; count < limit; count++) {
    const answers: Array<number> = []
    const sizes: Array<number> = []
    yield run((options) => {
      const answer = script[answers.length] ?? 0
      answers.push(answer)
      sizes.push(options)
      return answer
    })
    let last = answers.length - 1
    while (last >= 0 && (answers[last] ?? 0) + 1 >= (sizes[last] ?? 0)) last--
    if (last < 0) return true
    script = [...answers.slice(0, last), (answers[last] ?? 0) + 1]
  }
  return false
}

/**
 * Runs `run` with all combinations of answers if there are about `limit` or fewer. Otherwise `limit` times with a
 * sample: all happened, all lost, all happened but one, all lost but one, the rest at random from `seed`. Returns
 * whether these were all.
 */
export const someChoices = function*<A>(
  run: (choose: Choose) => A,
  options: { readonly limit: number; readonly seed: number }
): Generator<A, boolean> {
  const sizes: Array<number> = []
  const all = run((size) => {
    sizes.push(size)
    return 1
  })
  if (sizes.reduce((product, size) => product * size, 1) <= options.limit) {
    return yield* everyChoice(run, options.limit)
  }
  const except = (index: number, answer: number, otherwise: number): Choose => {
    let asked = 0
    return (size) => Math.min(asked++ === index ? answer : otherwise, size - 1)
  }
  let count = 2
  yield all
  yield run(loseAll)
  for (let index = 0; index < sizes.length && count < options.limit; index++) {
    for (let answer = 0; answer < (sizes[index] ?? 0) && count < options.limit; answer++) {
      count++
      yield run(answer === 1 ? except(index, 1, 0) : except(index, answer, 1))
    }
  }
  for (let seed = options.seed; count < options.limit; seed++) {
    count++
    yield run(seeded(seed))
  }
  return false
}
