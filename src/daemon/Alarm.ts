/**
 * One timer for all jobs. A fiber that sleeps beside another that waits for a bell takes some twenty kilobytes and has
 * to be made anew with each look; a thousand jobs look every minute. Most of these looks find nothing new: the alarm has
 * them done without waking anybody, because what a woken fiber leaves behind lives for just so long that only the
 * collection of old garbage gets rid of it.
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"

/** Asked when a wait is over: for how many milliseconds it goes on; for none when there may be news. */
export type More = Effect.Effect<number>

export interface Alarm {
  /**
   * Waits so many milliseconds, and then for as long as `more` says, or until the bell rings; tells whether the time is
   * over. One waits for a bell. A `more` that takes longer than a second is taken for none as soon as another is to be
   * asked.
   */
  readonly wait: (bell: Queue.Queue<void>, millis: number, more?: More) => Effect.Effect<boolean>
}

/** Milliseconds after which nobody waits for an answer any more. */
const PATIENCE = 1000

interface Waiting {
  readonly bell: Queue.Queue<void>
  /** When the bell is to be rung, on a clock that nobody sets; infinite while `more` is asked. */
  at: number
  readonly more: More | undefined
}

/** An alarm that works until the scope ends. Durations are real ones: a clock that is set neither wakes nor delays. */
export const make: Effect.Effect<Alarm, never, Scope.Scope> = Effect.gen(function*() {
  const scope = yield* Effect.scope
  const waiting = new Map<Queue.Queue<void>, Waiting>()
  let earliest = Infinity
  let earlier = yield* Deferred.make<void>()
  const millis = Effect.map(Clock.currentTimeNanos, (nanos) => Number(nanos / 1000n) / 1000)

  const isWaiting = (one: Waiting): boolean => waiting.get(one.bell) === one
  const ring = (one: Waiting): void => {
    // who has gone, or waits anew, is not meant
    if (!isWaiting(one)) return
    waiting.delete(one.bell)
    one.bell.unsafeOffer(undefined)
  }
  const hurry = (at: number): void => {
    if (at >= earliest) return
    earliest = at
    Deferred.unsafeDone(earlier, Effect.void)
  }

  /** Those for whom nobody has an answer yet; who is added is asked in turn. */
  let asked = new Set<Waiting>()
  let asking: Fiber.RuntimeFiber<void> | undefined
  let askedSince = 0
  const ask = Effect.fnUntraced(function*(all: Set<Waiting>) {
    for (const one of all) {
      askedSince = yield* millis
      const length = isWaiting(one) && one.more !== undefined ? yield* one.more : 0
      const now = yield* millis
      // from here on nothing interrupts: who is not among them any more has got a new time, or been rung for
      all.delete(one)
      if (length > 0) {
        one.at = now + length
        hurry(one.at)
      } else {
        ring(one)
      }
    }
  })
  /** Aside: a file system that does not answer must not keep the others from their time. */
  const askAll = Effect.fnUntraced(function*(all: Set<Waiting>, now: number) {
    if (asked.size > 0 && now - askedSince < PATIENCE) {
      for (const one of all) asked.add(one)
      return
    }
    for (const one of asked) ring(one)
    if (asking !== undefined) yield* Fiber.interruptFork(asking)
    asked = all
    askedSince = now
    asking = yield* Effect.forkIn(ask(all), scope)
  })

  const ringer = Effect.gen(function*() {
    while (true) {
      // before looking: who asks for an earlier time from now on is heard
      earlier = yield* Deferred.make<void>()
      const changed = Deferred.await(earlier)
      const now = yield* millis
      const over = new Set<Waiting>()
      earliest = Infinity
      for (const one of waiting.values()) {
        if (one.at > now) {
          earliest = Math.min(earliest, one.at)
        } else if (one.more === undefined) {
          ring(one)
        } else {
          one.at = Infinity
          over.add(one)
        }
      }
      if (over.size > 0) yield* askAll(over, now)
      // who asked for no time at all has been rung for; a timer may be early by a fraction
      yield* earliest === Infinity ? changed : Effect.raceFirst(Effect.sleep(Math.max(1, earliest - now)), changed)
    }
  })
  yield* Effect.forkScoped(ringer)

  return {
    wait: (bell, length, more) =>
      Effect.gen(function*() {
        const at = (yield* millis) + length
        waiting.set(bell, { bell, at, more })
        hurry(at)
        yield* Queue.take(bell)
        // still there: somebody else has rung
        return !waiting.delete(bell)
      }).pipe(Effect.onInterrupt(() => Effect.sync(() => waiting.delete(bell))))
  }
})
