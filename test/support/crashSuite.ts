/**
 * Power loss before every call, in every operation, with all (or a stated sample) of the states that may be left.
 * Whatever is left: no revision is harmed, and the next backup and the next purge need no hand. A failing case prints
 * the command that replays it alone.
 */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import type * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { env } from "node:process"
import { aftermath, type Known, knownOf } from "./aftermath.ts"
import { breathe } from "./breathe.ts"
import { fairLimit, type Point, pointsOf, type Survivor, survivorsOf } from "./crashes.ts"
import * as Machine from "./Machine.ts"
import * as Scenarios from "./scenarios.ts"

/** `SCENARIO/POINT/STATE`, as a failing case prints it. */
const REPLAY = env["BACKY_CRASH_REPLAY"]

/** Which states are looked at when there are too many depends on these. */
const GIVEN = ["BACKY_CRASH_STATES", "BACKY_SCENARIO", "BACKY_SEED"].flatMap((name) =>
  env[name] === undefined ? [] : [`${name}='${env[name]}' `]
).join("")

export interface Options {
  /** The test file, below `test/simulation`. */
  readonly file: string
  readonly scenarios: ReadonlyArray<Scenarios.Scenario>
  /** About how many states are to be explored. */
  readonly states: number
  /** Those points of an operation that are looked at. Default: all. */
  readonly some?: (points: ReadonlyArray<Point>) => ReadonlyArray<Point>
  /** Those of what follows that are looked at. */
  readonly someNext?: (points: ReadonlyArray<Point>) => ReadonlyArray<Point>
  /** Says which points they were, for the figures at the end. */
  readonly said?: string
}

/** The tests of some scenarios. */
export const crashSuite = (
  { file, said = "", scenarios, some = (points) => points, someNext = (points) => points, states: WANTED }: Options
): void => {
  const machine = Machine.make()

  interface Case {
    readonly scenario: Scenarios.Scenario
    readonly known: Known
    readonly points: ReadonlyArray<Point>
    /** What was done, and when. */
    readonly start: number
  }

  const explored = { states: 0, distinct: 0, points: 0, complete: 0 }

  const complain = (title: string, { disk, number, point }: Survivor, found: ReadonlyArray<string>): never =>
    assert.fail([
      `a power loss in "${title}" before call ${point.n} (${point.before}), state ${number}:`,
      ...found.map((what) => `  ${what}`),
      "what was left:",
      ...disk.describe().map((line) => `  ${line}`),
      "replay it with",
      `  ${GIVEN}BACKY_CRASH_REPLAY='${title}/${point.n}/${number}' npm test -- test/simulation/${file}`
    ].join("\n"))

  /** The rest of a text that begins so. */
  const behind = (text: string, begin: string): string => text.startsWith(begin) ? text.slice(begin.length) : ""

  /** Looks at what is left at some points; gives every state that differs for backy, untouched. */
  const explore = async (
    { known, scenario }: Case,
    title: string,
    points: ReadonlyArray<Point>,
    limit: number,
    seen: Set<string>
  ): Promise<ReadonlyArray<Survivor>> => {
    if (REPLAY !== undefined && !REPLAY.startsWith(`${title}/`)) return []
    const [, wantedPoint, wantedState] = REPLAY?.slice(title.length).split("/") ?? []
    const different: Array<Survivor> = []
    for (const point of points) {
      if (wantedPoint !== undefined && Number(wantedPoint) !== point.n) continue
      await breathe()
      const states = survivorsOf(point, limit)
      explored.points++
      for (let next = states.next();; next = states.next()) {
        if (next.done === true) {
          if (next.value) explored.complete++
          break
        }
        const survivor = next.value
        if (wantedState !== undefined && Number(wantedState) !== survivor.number) continue
        explored.states++
        if (seen.has(survivor.key)) continue
        seen.add(survivor.key)
        explored.distinct++
        different.push(survivor)
        const found = aftermath(machine, scenario, known, survivor.disk.clone())
        if (found.length > 0) complain(title, survivor, found)
      }
    }
    return different
  }

  /** States looked at where a second operation is cut short, too. */
  const SECOND_LIMIT = Math.max(2, Math.round(WANTED / 33_000))
  const HOUR = 3_600_000

  /** What people and daemons do next. */
  const followers: ReadonlyArray<
    readonly [string, (scenario: Scenarios.Scenario) => Effect.Effect<unknown, unknown, Machine.Services>]
  > = [
    ["the next backup", ({ next }) => next ?? Scenarios.backup],
    ["the next verify", () => Scenarios.verifyAll]
  ]

  describe("after a power loss before any call of the disk, nothing is lost and nobody has to help", () => {
    let cases: ReadonlyArray<Case> = []
    let limit = 0

    beforeAll(() => {
      cases = scenarios.map((scenario) => {
        const prepared = Scenarios.prepare(machine, scenario)
        const { memory, options } = prepared
        const known = knownOf(prepared)
        const { exit, points } = pointsOf(machine, memory, scenario.operation, options)
        assert.strictEqual(Exit.isFailure(exit), scenario.fails === true, `${scenario.name}: ${JSON.stringify(exit)}`)
        return { scenario, known, points: some(points), start: options.start }
      })
      limit = fairLimit(cases.flatMap(({ points }) => points), WANTED / 2)
    })

    const inEach = (title: (scenario: string) => string, run: (one: Case, title: string) => Promise<void>): void => {
      for (const [index, { name }] of scenarios.entries()) {
        const named = title(name)
        it.skipIf(REPLAY !== undefined && !/^( before call \d+| at \d+\.\d+)?\//.test(behind(REPLAY, named)))(
          `in ${named}`,
          { timeout: 600_000 },
          async () => {
            const one = cases[index]
            const before = explored.states
            if (one !== undefined) await run(one, named)
            // a case that is mended may leave other states than when it was printed
            assert.isAbove(explored.states, before, "there is no such state (any more)")
          }
        )
      }
    }

    inEach((name) => name, async (one, title) => {
      await explore(one, title, one.points, limit, new Set())
    })

    for (const [follower, operation] of followers) {
      inEach((name) => `${follower} after kill -9 in ${name}`, async (one, title) => {
        const seen = new Set<string>()
        for (const killed of one.points) {
          const { points } = pointsOf(machine, killed.disk, operation(one.scenario), {
            seed: 2_000_001,
            start: one.start + HOUR
          })
          await explore(one, `${title} before call ${killed.n}`, someNext(points), SECOND_LIMIT, seen)
        }
      })
    }

    inEach((name) => `the backup after a power loss in ${name}`, async (one, title) => {
      const seen = new Set<string>()
      const first = new Set<string>()
      const backup = one.scenario.next ?? Scenarios.backup
      for (const point of one.points) {
        for (const { disk, key, number } of survivorsOf(point, limit)) {
          if (first.has(key)) continue
          first.add(key)
          const { points } = pointsOf(machine, disk, backup, { seed: 3_000_001, start: one.start + HOUR })
          await explore(one, `${title} at ${point.n}.${number}`, someNext(points), SECOND_LIMIT, seen)
        }
      }
    })

    afterAll(() => {
      process.stdout.write(
        `crash states explored: ${explored.states} at ${explored.points} points of ${cases.length} operations and what ` +
          `follows them; all that are possible at ${explored.complete} points; ` +
          `${explored.distinct} differ for backy and were each continued with a backup and a purge${said}\n`
      )
    })
  })
}
