import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"

/**
 * Does work in a fiber of its own and waits for it. In a finalizer or another uninterruptible region no race ends
 * before its slowest side, and no time limit wins: their losers cannot be interrupted. In here they can, wherever the
 * work is waited for. An interrupt of the one who waits, where it is possible, interrupts the work.
 */
export const inOwnFiber = <A, E, R>(work: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(
      Effect.forkDaemon(Effect.interruptible(work)),
      (fiber) => Effect.onInterrupt(restore(Fiber.join(fiber)), () => Fiber.interrupt(fiber))
    )
  )
