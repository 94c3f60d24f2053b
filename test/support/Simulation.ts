/**
 * A world without real time: a scheduler that picks the next task by a seed, and a clock that jumps to the next sleeper
 * when nobody has anything to do. The same seed gives the same interleaving.
 *
 * To stop driving it is a power loss or kill -9: finalizers do not run. `Fiber.interrupt` is SIGTERM. Condition: all
 * that runs inside is synchronous; a real promise shows as "stuck".
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import type { Scheduler } from "effect/Scheduler"
import { randomNumbers } from "../../src/platform/MemoryChoices.ts"

/** When a simulation begins unless told otherwise: 2026-01-01T00:00:00Z, in milliseconds. */
export const START = Date.UTC(2026, 0, 1)

export interface Options {
  /** Decides who goes next, and seeds the `Random` service. */
  readonly seed: number
  /** Milliseconds since 1970. */
  readonly start?: number
  /** How likely a fiber gives way at each of its steps. Default 0: only where it waits. */
  readonly yields?: number
}

export interface Simulation {
  /** Milliseconds since 1970. */
  readonly now: number
  /** Which task was picked at each choice between several: what makes this run differ from others. */
  readonly history: ReadonlyArray<number>
  /** Starts something. It makes no step before the simulation is driven. */
  readonly fork: <A, E>(effect: Effect.Effect<A, E>) => Fiber.RuntimeFiber<A, E>
  /** Runs one task, or lets time pass until somebody wakes up. `false`: nobody ever will. */
  readonly step: () => boolean
  /** Drives until `done`, or until nothing is left to do. */
  readonly drive: (done?: () => boolean) => void
  /** Runs one effect to its end. What is stuck dies. */
  readonly run: <A, E>(effect: Effect.Effect<A, E>) => Exit.Exit<A, E>
}

interface Sleeper {
  readonly at: number
  readonly wake: () => void
}

/** A new world. */
export const make = (options: Options): Simulation => {
  const next = randomNumbers(options.seed)
  const yields = options.yields ?? 0
  let now = options.start ?? START
  const ready: Array<() => void> = []
  let sleepers: Array<Sleeper> = []
  const history: Array<number> = []

  const scheduler: Scheduler = {
    shouldYield: () => yields > 0 && next() < yields ? 0 : false,
    scheduleTask: (task) => void ready.push(task)
  }

  const clock: Clock.Clock = {
    [Clock.ClockTypeId]: Clock.ClockTypeId,
    unsafeCurrentTimeMillis: () => now,
    unsafeCurrentTimeNanos: () => BigInt(now) * 1_000_000n,
    currentTimeMillis: Effect.sync(() => now),
    currentTimeNanos: Effect.sync(() => BigInt(now) * 1_000_000n),
    sleep: (duration) =>
      Effect.async((resume) => {
        const sleeper = { at: now + Duration.toMillis(duration), wake: () => resume(Effect.void) }
        sleepers.push(sleeper)
        return Effect.sync(() => {
          sleepers = sleepers.filter((other) => other !== sleeper)
        })
      })
  }

  const pick = (): (() => void) | undefined => {
    if (ready.length < 2) return ready.pop()
    const index = Math.floor(next() * ready.length)
    history.push(index)
    return ready.splice(index, 1)[0]
  }

  const step = (): boolean => {
    const task = pick()
    if (task !== undefined) {
      task()
      return true
    }
    const [first] = sleepers.sort((a, b) => a.at - b.at)
    if (first === undefined) return false
    sleepers.shift()
    now = Math.max(now, first.at)
    first.wake()
    return true
  }

  const drive = (done?: () => boolean): void => {
    while (done?.() !== true && step());
  }

  const random = Random.make(`simulation ${options.seed}`)

  const fork = <A, E>(effect: Effect.Effect<A, E>): Fiber.RuntimeFiber<A, E> =>
    Effect.runFork(
      effect.pipe(Effect.withClock(clock), Effect.withRandom(random), Effect.withTracerEnabled(false)),
      { scheduler, immediate: false }
    )

  return {
    get now() {
      return now
    },
    history,
    fork,
    step,
    drive,
    run: (effect) => {
      const fiber = fork(effect)
      drive(() => fiber.unsafePoll() !== null)
      return fiber.unsafePoll() ??
        Exit.failCause(Cause.die(new Error("the simulation is stuck: somebody waits for ever")))
    }
  }
}
