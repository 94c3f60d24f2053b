/** The slots that `admission` gives away, as something to wait for. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { admit, type Applicant } from "./admission.ts"

export interface Slots {
  /** Runs the effect in a slot as soon as there is one; gives nothing, having run nothing, when the wait was given up. */
  readonly inSlot: <A, E, R>(
    applicant: Applicant,
    run: Effect.Effect<A, E, R>
  ) => Effect.Effect<Option.Option<A>, E, R>
  /** Lets a waiting job go; does nothing to a running one. */
  readonly giveUp: (job: string) => void
  /** A changed limit acts at once; running work finishes. */
  readonly resize: (limit: number) => void
}

interface Waiting {
  readonly applicant: Applicant
  readonly called: Deferred.Deferred<boolean>
}

/** Slots for `limit` jobs in each pool. */
export const make = (limit: number): Slots => {
  let current = limit
  const running = new Set<Applicant>()
  const waiting = new Map<Applicant, Waiting>()

  const call = ({ applicant, called }: Waiting, admitted: boolean): void => {
    waiting.delete(applicant)
    if (admitted) running.add(applicant)
    Deferred.unsafeDone(called, Effect.succeed(admitted))
  }
  const fill = (): void => {
    if (waiting.size === 0) return
    for (const applicant of admit({ limit: current, running: [...running], waiting: [...waiting.keys()] })) {
      const one = waiting.get(applicant)
      if (one !== undefined) call(one, true)
    }
  }
  const leave = (applicant: Applicant) =>
    Effect.sync(() => {
      waiting.delete(applicant)
      running.delete(applicant)
      fill()
    })

  return {
    inSlot: (given, run) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.gen(function*() {
          // the object itself is the ticket
          const applicant = { ...given }
          const called = yield* Deferred.make<boolean>()
          waiting.set(applicant, { applicant, called })
          fill()
          return yield* restore(Deferred.await(called)).pipe(
            Effect.flatMap((admitted) => admitted ? Effect.map(restore(run), Option.some) : Effect.succeedNone),
            Effect.ensuring(leave(applicant))
          )
        })
      ),
    giveUp: (job) => {
      for (const one of waiting.values()) if (one.applicant.job === job) call(one, false)
    },
    resize: (limit) => {
      current = limit
      fill()
    }
  }
}
