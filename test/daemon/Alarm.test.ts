import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Alarm from "../../src/daemon/Alarm.ts"
import * as Simulation from "../../src/library/Simulation.ts"

/** Who waits from when for how long, and when somebody else rings, if anybody does. */
const waiter = FastCheck.record({
  from: FastCheck.nat(50),
  length: FastCheck.nat(100),
  rung: FastCheck.option(FastCheck.nat(200), { nil: undefined })
})

describe("the alarm", () => {
  it.prop("wakes everybody in time, or when his bell rings, whatever is set on the clock", [
    FastCheck.array(waiter, { maxLength: 12 }),
    FastCheck.nat()
  ], ([waiters, seed]) => {
    const simulation = Simulation.make({ seed, yields: 0.01 })
    const woken: Array<string> = []
    let passed = 0
    simulation.fork(Effect.scoped(Effect.gen(function*() {
      const alarm = yield* Alarm.make
      for (const [index, { from, length, rung }] of waiters.entries()) {
        const bell = yield* Queue.sliding<void>(1)
        yield* Effect.forkScoped(Effect.gen(function*() {
          yield* Effect.sleep(from)
          const isOver = yield* alarm.wait(bell, length)
          woken.push(`${index} at ${passed} ${isOver}`)
        }))
        if (rung !== undefined) {
          yield* Effect.forkScoped(Effect.zipRight(Effect.sleep(rung), Queue.offer(bell, undefined)))
        }
      }
      return yield* Effect.async<never>(() => {})
    })))
    for (; passed < 300; passed++) {
      simulation.pass(passed === 0 ? 0 : 1)
      if (passed === 40) simulation.jump(-1e9)
    }
    const expected = waiters.map(({ from, length, rung = Infinity }, index) => {
      // at the same moment either may be first
      const over = from + Math.max(length, 0)
      const isOver = rung > over
      return { index, at: Math.max(from, Math.min(over, rung)), isOver, isEither: rung === over }
    })
    assert.strictEqual(woken.length, waiters.length)
    for (const { at, index, isEither, isOver } of expected) {
      const line = woken.find((one) => one.startsWith(`${index} `)) ?? ""
      const [, , moment, said] = line.split(" ")
      // a wait of no time takes the ringer's next look
      assert.isAtMost(Math.abs(Number(moment) - at), 1, line)
      if (!isEither && Number(moment) === at) assert.strictEqual(said, String(isOver), line)
    }
  })

  /** Waits ten milliseconds and then as `more` says, until 3000 have passed; gives when it was woken, and by whom. */
  const waking = (
    more: (count: number) => Effect.Effect<number>,
    rest: (alarm: Alarm.Alarm, bell: Queue.Queue<void>) => Effect.Effect<unknown, never, Scope.Scope> = () =>
      Effect.void
  ) => {
    const simulation = Simulation.make({ seed: 1 })
    let woken = "never"
    let count = 0
    simulation.fork(Effect.scoped(Effect.gen(function*() {
      const alarm = yield* Alarm.make
      const bell = yield* Queue.sliding<void>(1)
      yield* Effect.forkScoped(Effect.gen(function*() {
        const isOver = yield* alarm.wait(bell, 10, Effect.suspend(() => more(++count)))
        woken = `at ${simulation.now - Simulation.START}: ${isOver}`
      }))
      yield* Effect.forkScoped(rest(alarm, bell))
      return yield* Effect.async<never>(() => {})
    })))
    simulation.pass(3000)
    return `${woken}, asked ${count}`
  }

  it("wakes nobody for whom nothing is new, until something is", () => {
    assert.strictEqual(waking((count) => Effect.succeed(count < 5 ? 20 : 0)), "at 90: true, asked 5")
    assert.strictEqual(waking(() => Effect.succeed(100)), "never, asked 30")
    const ringing = (_: Alarm.Alarm, bell: Queue.Queue<void>) =>
      Effect.zipRight(Effect.sleep(55), Queue.offer(bell, undefined))
    assert.strictEqual(waking(() => Effect.succeed(20), ringing), "at 55: false, asked 3")
    // also while it is asked
    assert.strictEqual(waking(() => Effect.delay(Effect.succeed(20), 100), ringing), "at 55: false, asked 1")
  })

  it("asks for each in turn, though the next come while one is asked", () => {
    const slowly = () => Effect.delay(Effect.succeed(500), 30)
    let others = 0
    const crowd = (alarm: Alarm.Alarm) =>
      Effect.forEach([15, 20, 25], (length) =>
        Effect.flatMap(Queue.sliding<void>(1), (bell) =>
          Effect.forkScoped(
            alarm.wait(bell, length, Effect.delay(Effect.sync(() => (others++, 500)), 30))
          )))
    assert.match(waking(slowly, crowd), /^never, asked \d$/)
    assert.isAbove(others, 6)
  })

  it("wakes who cannot be told whether something is new, as soon as another is to be asked", () => {
    const hanging = () => Effect.async<number>(() => {})
    const another = (alarm: Alarm.Alarm) =>
      Effect.gen(function*() {
        const bell = yield* Queue.sliding<void>(1)
        yield* alarm.wait(bell, 70, Effect.succeed(1500))
      })
    assert.strictEqual(waking(hanging), "never, asked 1")
    assert.strictEqual(waking(hanging, another), "never, asked 1")
    const two = (alarm: Alarm.Alarm) =>
      Effect.zipRight(Effect.forkScoped(another(alarm)), Effect.delay(another(alarm), 1200))
    assert.strictEqual(waking(hanging, two), "at 1270: true, asked 1")
    assert.strictEqual(waking(() => Effect.dieMessage("a bug"), two), "at 1270: true, asked 1")
  })

  it("forgets who is interrupted", () => {
    const simulation = Simulation.make({ seed: 1 })
    const exit = simulation.run(Effect.scoped(Effect.gen(function*() {
      const alarm = yield* Alarm.make
      const bell = yield* Queue.sliding<void>(1)
      const waiting = yield* Effect.fork(alarm.wait(bell, 1000))
      yield* Effect.sleep(10)
      yield* Fiber.interrupt(waiting)
      yield* Effect.sleep(2000)
      return yield* Queue.size(bell)
    })))
    assert.deepStrictEqual(exit._tag === "Success" && exit.value, 0)
  })
})
