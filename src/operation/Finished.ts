/**
 * Whoever runs an operation may want to know at once that its work is done: what still happens then, a signal above all,
 * makes it no failure. By default nobody wants to.
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

export class Finished extends Context.Reference<Finished>()("backy/operation/Finished", {
  defaultValue: (): Listener => ({ tell: () => Effect.void, outcome: () => undefined })
}) {}

/** A listener that remembers. */
export const make = (): Listener => {
  let told: Outcome | undefined
  return { tell: (outcome) => Effect.sync(() => void (told = outcome)), outcome: () => told }
}

/** Tells that the work is done. To be run where nothing can come between it and the work's last change. */
export const tell = (outcome: Outcome): Effect.Effect<void> =>
  Effect.flatMap(Finished, (listener) => listener.tell(outcome))
