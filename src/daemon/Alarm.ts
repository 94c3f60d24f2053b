/**
 * One timer for all jobs. A fiber that sleeps beside another that waits for a bell takes some twenty kilobytes and has
 * to be made anew with each look; a thousand jobs look every minute.
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"

export interface Alarm {
  /** Waits so many milliseconds, or until the bell rings; tells whether the time is over. One waits for a bell. */
  readonly wait: (bell: Queue.Queue<void>, millis: number) => Effect.Effect<boolean>
}

/** An alarm that works until the scope ends. Durations are real ones: a clock that is set neither wakes nor delays. */
export const make: Effect.Effect<Alarm, never, Scope.Scope> = Effect.gen(function*() {
  /** When each bell is to be rung, on a clock that nobody sets. */
  const times = new Map<Queue.Queue<void>, number>()
  let earliest = Infinity
  let earlier = yield* Deferred.make<void>()
  const millis = Effect.map(Clock.currentTimeNanos, (nanos) => Number(nanos / 1000n) / 1000)

  const ringer = Effect.gen(function*() {
    while (true) {
      // before looking: who asks for an earlier time from now on is heard
      earlier = yield* Deferred.make<void>()
      const changed = Deferred.await(earlier)
      const now = yield* millis
      earliest = Infinity
      for (const [bell, at] of times) {
        if (at > now) earliest = Math.min(earliest, at)
        else {
          times.delete(bell)
          bell.unsafeOffer(undefined)
        }
      }
      // who asked for no time at all has been rung for; a timer may be early by a fraction
      yield* earliest === Infinity ? changed : Effect.raceFirst(Effect.sleep(Math.max(1, earliest - now)), changed)
    }
  })
  yield* Effect.forkScoped(ringer)

  return {
    wait: (bell, length) =>
      Effect.gen(function*() {
        const at = (yield* millis) + length
        times.set(bell, at)
        if (at < earliest) {
          earliest = at
          Deferred.unsafeDone(earlier, Effect.void)
        }
        yield* Queue.take(bell)
        // still there: somebody else has rung
        return !times.delete(bell)
      }).pipe(Effect.onInterrupt(() => Effect.sync(() => times.delete(bell))))
  }
})
