/** `Progress` for people: a line that is redrawn on a terminal, a log line now and then elsewhere. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Runtime from "effect/Runtime"
import * as Schedule from "effect/Schedule"
import type { EventEmitter } from "node:events"
import * as NoRoom from "../domain/noRoom.ts"
import { type Phase, Progress } from "../operation/Progress.ts"
import * as Humanise from "./humanise.ts"
import type { Screen } from "./Screen.ts"
import { ASKING } from "./signals.ts"

/** How often the line is redrawn, and how often one is logged. */
const REDRAW = "100 millis"
const LOG = "30 seconds"
/** How often the daemon is told. */
const REPORT = "10 seconds"

/** The speed shown is that of the last seconds: it follows a change, but does not jump. */
const WINDOW_MILLIS = 15_000

/** How far one phase is. Bytes and milliseconds. */
export interface State {
  readonly phase: Phase
  readonly total: number
  readonly done: number
  /** Times at which it was looked at, oldest first, and how much was done then. */
  readonly samples: ReadonlyArray<{ readonly at: number; readonly done: number }>
}

/** A phase begins. */
export const begin = (phase: Phase, total: number, at: number): State => ({
  phase,
  total,
  done: 0,
  samples: [{ at, done: 0 }]
})

/** Somebody looks: the sample from which the speed is reckoned moves on. */
export const sample = (state: State, at: number): State => {
  const recent = state.samples.filter((one) => at - one.at <= WINDOW_MILLIS)
  const kept = recent.length > 0 ? recent : state.samples.slice(-1)
  const last = kept.at(-1)
  // a sample a second is enough
  return last !== undefined && at - last.at < 1000
    ? { ...state, samples: kept }
    : { ...state, samples: [...kept, { at, done: state.done }] }
}

/** `verifying  43 %  1.20 GiB of 2.80 GiB  145 MB/s  11 s left`. Percent are rounded down: 100 means done. */
export const render = (state: State, at: number): string => {
  const done = Math.min(state.done, state.total)
  const percent = state.total === 0 ? 100 : Math.floor(done / state.total * 100)
  const parts = [state.phase, `${percent} %`.padStart(5), `${Humanise.bytes(done)} of ${Humanise.bytes(state.total)}`]
  const [oldest] = state.samples
  const seconds = oldest === undefined ? 0 : (at - oldest.at) / 1000
  const rate = oldest === undefined || seconds < 0.2 ? 0 : (state.done - oldest.done) / seconds
  if (rate > 0) {
    parts.push(`${Math.round(rate / 1e6)} MB/s`)
    if (done < state.total) parts.push(`${Humanise.duration((state.total - done) / rate)} left`)
  }
  return parts.join("  ")
}

/**
 * Shows progress while the layer lives; at the end the redrawn line is gone.
 *
 * - `screen`: where a line can be redrawn;
 * - `log`: whether lines are logged all the same, since the log goes to a file;
 * - `report`: takes a line of JSON for the daemon that started us, if one did;
 * - `signals`: where somebody asks for a line at once.
 */
export const layer = (
  options: {
    readonly screen: Screen
    readonly log: boolean
    readonly report?: ((line: string) => void) | undefined
    readonly signals?: Pick<EventEmitter, "on" | "off">
  }
): Layer.Layer<never> =>
  Layer.scoped(
    Progress,
    Effect.gen(function*() {
      const { screen } = options
      let state: State | undefined

      const look = Effect.map(Clock.currentTimeMillis, (at) => {
        if (state === undefined) return ""
        state = sample(state, at)
        return render(state, at)
      })
      const draw = Effect.map(look, screen.status)
      const write = Effect.flatMap(look, (text) => text === "" ? Effect.void : Effect.logInfo(text))

      if (screen.canRedraw) {
        yield* Effect.addFinalizer(() => Effect.sync(() => screen.status("")))
        yield* Effect.forkScoped(Effect.schedule(draw, Schedule.spaced(REDRAW)))
      }
      if (options.log || !screen.canRedraw) {
        yield* Effect.forkScoped(Effect.schedule(write, Schedule.spaced(LOG)))
      }
      const { report, signals } = options
      if (signals !== undefined) {
        const show = Effect.map(look, (text) => text === "" ? undefined : screen.line(text))
        const run = Runtime.runFork(yield* Effect.runtime())
        const answer = () => void run(show)
        yield* Effect.acquireRelease(
          Effect.sync(() => ASKING.forEach((signal) => signals.on(signal, answer))),
          () => Effect.sync(() => ASKING.forEach((signal) => signals.off(signal, answer)))
        )
      }
      const tell = Effect.sync(() => {
        if (state === undefined || report === undefined) return
        report(JSON.stringify({ phase: state.phase, bytes: state.done, total: state.total }))
      })
      if (report !== undefined) yield* Effect.forkScoped(Effect.schedule(tell, Schedule.spaced(REPORT)))
      return {
        start: (phase: Phase, total: number) =>
          Effect.flatMap(Clock.currentTimeMillis, (at) => {
            state = begin(phase, total, at)
            return tell
          }),
        advance: (bytes: number) =>
          Effect.sync(() => {
            if (state !== undefined) state = { ...state, done: state.done + bytes }
          }),
        lacksRoom: (begun: boolean) => Effect.sync(() => report?.(NoRoom.line(begun)))
      }
    })
  )
