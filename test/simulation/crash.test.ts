/**
 * Power loss before every call of the disk, in every operation, with all (or a stated sample) of the states that may be
 * left. Whatever is left: no revision is harmed, and the next backup and the next purge need no hand.
 *
 * `BACKY_CRASH_STATES` says how many states to explore (default 100,000). A failing case prints the command that
 * replays it alone.
 */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import type * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { aftermath } from "../support/aftermath.ts"
import { breathe } from "../support/breathe.ts"
import { fairLimit, type Point, pointsOf, type Survivor, survivorsOf } from "../support/crashes.ts"
import * as Machine from "../support/Machine.ts"
import * as Scenarios from "../support/scenarios.ts"
import * as Survey from "../support/Survey.ts"

const WANTED = Number(process.env["BACKY_CRASH_STATES"] ?? 100_000)
/** `SCENARIO/POINT/STATE`, as a failing case prints it. */
const REPLAY = process.env["BACKY_CRASH_REPLAY"]

/** Which states are looked at when there are too many depends on these. */
const GIVEN = ["BACKY_CRASH_STATES", "BACKY_SCENARIO"].flatMap((name) =>
  process.env[name] === undefined ? [] : [`${name}='${process.env[name]}' `]
).join("")

const machine = Machine.make()

interface Case {
  readonly scenario: Scenarios.Scenario
  readonly image: Uint8Array
  readonly before: Survey.Survey
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
    `  ${GIVEN}BACKY_CRASH_REPLAY='${title}/${point.n}/${number}' npm test -- test/simulation/crash.test.ts`
  ].join("\n"))

/** The rest of a text that begins so. */
const behind = (text: string, begin: string): string => text.startsWith(begin) ? text.slice(begin.length) : ""

/** Looks at what is left at some points; gives every state that differs for backy, untouched. */
const explore = async (
  { before, image, scenario }: Case,
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
      const found = aftermath(machine, scenario, { image, before }, survivor.disk.clone())
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
    cases = Scenarios.scenarios.map((scenario) => {
      const { image, memory, options } = Scenarios.prepare(machine, scenario)
      const before = Survey.take(memory)
      const { exit, points } = pointsOf(machine, memory, scenario.operation, options)
      assert.strictEqual(Exit.isFailure(exit), scenario.fails === true, `${scenario.name}: ${JSON.stringify(exit)}`)
      return { scenario, image, before, points, start: options.start }
    })
    limit = fairLimit(cases.flatMap(({ points }) => points), WANTED / 2)
  })

  const inEach = (title: (scenario: string) => string, run: (one: Case, title: string) => Promise<void>): void => {
    for (const [index, { name }] of Scenarios.scenarios.entries()) {
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
        await explore(one, `${title} before call ${killed.n}`, points, SECOND_LIMIT, seen)
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
        await explore(one, `${title} at ${point.n}.${number}`, points, SECOND_LIMIT, seen)
      }
    }
  })

  afterAll(() => {
    process.stdout.write(
      `crash states explored: ${explored.states} at ${explored.points} points of ${cases.length} operations and what ` +
        `follows them; all that are possible at ${explored.complete} points; ` +
        `${explored.distinct} differ for backy and were each continued with a backup and a purge\n`
    )
  })
})
