import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"

/**
 * Work for a finalizer that has a time limit in it. Finalizers are uninterruptible, so no timeout in them could win:
 * the work is done in a fiber of its own and waited for.
 */
export const released = <A, E, R>(work: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.flatMap(Effect.forkDaemon(Effect.interruptible(work)), Fiber.join)
