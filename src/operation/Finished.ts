/**
 * Whoever runs an operation may want to know at once that its work is done: what still happens then, a signal above all,
 * makes it no failure. By default nobody wants to. Every operation that changes something tells it, in one step with its
 * last change; one that runs within another is made silent, for its work is not all.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"

/** How the work ended: all of it is done, or it found what it must fail for. */
export type Outcome = "done" | "failed"

interface Listener {
  readonly tell: (outcome: Outcome) => Effect.Effect<void>
  /** What was told last; none as long as the work goes on. */
  readonly outcome: () => Outcome | undefined
}

const nobody: Listener = { tell: () => Effect.void, outcome: () => undefined }

export class Finished extends Context.Reference<Finished>()("backy/operation/Finished", {
  defaultValue: () => nobody
}) {}

/** A listener that remembers. */
export const make = (): Listener => {
  let told: Outcome | undefined
  return { tell: (outcome) => Effect.sync(() => void (told = outcome)), outcome: () => told }
}

/** Tells that the work is done. To be run where nothing can come between it and the work's last change. */
export const tell = (outcome: Outcome): Effect.Effect<void> =>
  Effect.flatMap(Finished, (listener) => listener.tell(outcome))

/** Makes the last change and tells of it: an interrupt comes before both, or after both. */
export const lastly = <A, E, R>(change: Effect.Effect<A, E, R>, outcome: Outcome = "done"): Effect.Effect<A, E, R> =>
  Effect.uninterruptible(Effect.zipLeft(change, tell(outcome)))

/**
 * Makes changes one after the other. An interrupt may come between two of them; after the last one the outcome is told
 * first, if there is one by then.
 */
export const inTurn = <E, R>(
  changes: Iterable<Effect.Effect<unknown, E, R>>,
  outcome: () => Outcome | undefined = () => "done"
): Effect.Effect<void, E, R> =>
  Effect.suspend(() => {
    const first = [...changes]
    const last = first.pop() ?? Effect.void
    const told = Effect.suspend(() => {
      const known = outcome()
      return known === undefined ? Effect.void : tell(known)
    })
    return Effect.zipRight(
      Effect.forEach(first, (change) => change, { discard: true }),
      Effect.uninterruptible(Effect.zipRight(last, told))
    )
  })

/** Runs what is only a part of the work: that it is done is told to nobody. */
export const silently = Effect.provideService(Finished, nobody)
