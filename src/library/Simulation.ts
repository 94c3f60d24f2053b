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
import * as Runtime from "effect/Runtime"
import * as RuntimeFlags from "effect/RuntimeFlags"
import type { Scheduler } from "effect/Scheduler"
import { randomNumbers } from "../platform/MemoryChoices.ts"

/** When a simulation begins unless told otherwise: 2026-01-01T00:00:00Z, in milliseconds. */
export const START = Date.UTC(2026, 0, 1)

export interface Options {
  /** Decides who goes next, and seeds the `Random` service. */
  readonly seed: number
  /** Milliseconds since 1970. */
  readonly start?: number
  /** How likely a fiber gives way at each of its steps. Default 0: only where it waits. */
  readonly yields?: number
  /** How likely others go on in the middle of a task. Default 0. */
  readonly interleaves?: number
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
  /**
   * To be called in the middle of a task that is synchronous for long, at a call of the disk: maybe others go on before
   * it does, by the seed. So a batch of blocks is as many steps as it makes calls.
   */
  readonly interleave: () => void
  /** Drives until `done`, or until nothing is left to do. */
  readonly drive: (done?: () => boolean) => void
  /** Drives everything that happens within so many milliseconds; then they have passed. */
  readonly pass: (millis: number) => void
  /** Sets the clock on the wall forward or back. Who sleeps does not notice; durations stay right. */
  readonly jump: (millis: number) => void
  /** Runs one effect to its end. What is stuck dies. */
  readonly run: <A, E>(effect: Effect.Effect<A, E>) => Exit.Exit<A, E>
}

/** Nobody asks how many fibers there are, and counting them takes longer than what they do. */
const runFork = Runtime.runFork(Runtime.disableRuntimeFlag(Runtime.defaultRuntime, RuntimeFlags.RuntimeMetrics))

interface Sleeper {
  /** On a clock that nobody sets. */
  readonly at: number
  readonly order: number
  /** None once it was interrupted. */
  wake: (() => void) | undefined
}

const isBefore = (a: Sleeper, b: Sleeper): boolean => a.at < b.at || (a.at === b.at && a.order < b.order)

/** Sleepers by the time at which they wake: a binary heap, because a thousand jobs sleep at once. */
const makeHeap = () => {
  const heap: Array<Sleeper> = []
  const at = (index: number): Sleeper => heap[index]!
  const swap = (a: number, b: number): void => {
    const kept = at(a)
    heap[a] = at(b)
    heap[b] = kept
  }
  const sink = (from: number): void => {
    for (let index = from;;) {
      const left = 2 * index + 1
      const right = left + 1
      let least = index
      if (left < heap.length && isBefore(at(left), at(least))) least = left
      if (right < heap.length && isBefore(at(right), at(least))) least = right
      if (least === index) return
      swap(index, least)
      index = least
    }
  }
  const shift = (): void => {
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return
    heap[0] = last
    sink(0)
  }
  return {
    push: (sleeper: Sleeper): void => {
      heap.push(sleeper)
      for (let index = heap.length - 1; index > 0;) {
        const parent = (index - 1) >> 1
        if (!isBefore(at(index), at(parent))) return
        swap(index, parent)
        index = parent
      }
    },
    /** The next who still sleeps. */
    first: (): Sleeper | undefined => {
      while (heap.length > 0 && at(0).wake === undefined) shift()
      return heap[0]
    },
    shift
  }
}

/** How many tasks can be in the middle of one another. */
const DEEPEST = 4

/** A new world. */
export const make = (options: Options): Simulation => {
  const next = randomNumbers(options.seed)
  const yields = options.yields ?? 0
  const interleaves = options.interleaves ?? 0
  let passed = 0
  let offset = options.start ?? START
  let slept = 0
  const ready: Array<() => void> = []
  const sleepers = makeHeap()
  const wall = () => passed + offset
  const nanos = () => BigInt(Math.round(passed * 1e6))
  const history: Array<number> = []

  const scheduler: Scheduler = {
    shouldYield: () => yields > 0 && next() < yields ? 0 : false,
    scheduleTask: (task) => void ready.push(task)
  }

  const clock: Clock.Clock = {
    [Clock.ClockTypeId]: Clock.ClockTypeId,
    unsafeCurrentTimeMillis: wall,
    unsafeCurrentTimeNanos: nanos,
    currentTimeMillis: Effect.sync(wall),
    currentTimeNanos: Effect.sync(nanos),
    sleep: (duration) =>
      Effect.async((resume) => {
        const millis = Duration.toMillis(duration)
        // as a real timer, which takes such a time for ever
        if (millis > 2 ** 31 - 1) return
        const sleeper: Sleeper = { at: passed + Math.max(0, millis), order: slept++, wake: () => resume(Effect.void) }
        sleepers.push(sleeper)
        return Effect.sync(() => void (sleeper.wake = undefined))
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
    const first = sleepers.first()
    if (first === undefined) return false
    sleepers.shift()
    passed = Math.max(passed, first.at)
    first.wake?.()
    return true
  }

  let within = 0
  const interleave = (): void => {
    // who is in the middle of a task goes on only when all have that began within it
    if (within >= DEEPEST || ready.length === 0 || next() >= interleaves) return
    within++
    for (let tasks = 1 + Math.floor(next() * 20); tasks > 0; tasks--) pick()?.()
    within--
  }

  const drive = (done?: () => boolean): void => {
    while (done?.() !== true && step());
  }

  const pass = (millis: number): void => {
    const end = passed + millis
    while (ready.length > 0 || (sleepers.first()?.at ?? Infinity) <= end) step()
    passed = end
  }

  const random = Random.make(`simulation ${options.seed}`)

  const fork = <A, E>(effect: Effect.Effect<A, E>): Fiber.RuntimeFiber<A, E> =>
    runFork(
      effect.pipe(Effect.withClock(clock), Effect.withRandom(random), Effect.withTracerEnabled(false)),
      { scheduler, immediate: false }
    )

  return {
    get now() {
      return wall()
    },
    jump: (millis) => void (offset += millis),
    pass,
    history,
    fork,
    step,
    interleave,
    drive,
    run: (effect) => {
      const fiber = fork(effect)
      drive(() => fiber.unsafePoll() !== null)
      return fiber.unsafePoll() ??
        Exit.failCause(Cause.die(new Error("the simulation is stuck: somebody waits for ever")))
    }
  }
}
