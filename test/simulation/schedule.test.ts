/** The scheduler keeps its promises whatever happens: see scheduleHistory.ts. */
import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import { breathe } from "../support/breathe.ts"
import { DAY, HOUR } from "../support/ScheduleWorld.ts"
import { type History, historyOf, play } from "./scheduleHistory.ts"

const RUNS = Number(process.env.BACKY_HISTORIES ?? 500)

/** Which history of a seed, as a failure tells it. */
const PATH = process.env.BACKY_PATH

const found: ReadonlyArray<{ readonly name: string; readonly history: History }> = [
  {
    name: "a job is taken out during a run and put back while the clock is an hour slow",
    history: {
      seed: 0,
      config: { jobs: [{ name: "web01", schedule: 0 }], workerLimit: 1 },
      events: [
        { kind: "edit", config: { jobs: [{ name: "db01", schedule: 0 }], workerLimit: 1 } },
        { kind: "jump", millis: -HOUR - 1 },
        { kind: "edit", config: { jobs: [{ name: "web01", schedule: 0 }], workerLimit: 1 } },
        { kind: "jump", millis: 3_457_980 }
      ]
    }
  },
  {
    name: "the clock is set back by a year while a job waits after failures",
    history: {
      seed: 0,
      config: { jobs: [{ name: "x", schedule: 0 }], workerLimit: 1 },
      events: [
        { kind: "weather", job: "x", weather: "fails" },
        { kind: "pass", millis: 22_620_000 },
        { kind: "jump", millis: -365 * DAY }
      ]
    }
  },
  {
    name: "the clock is set back twice after a backup that hung",
    history: {
      seed: 0,
      config: { jobs: [{ name: "web01", schedule: 0 }], workerLimit: 1 },
      events: [
        { kind: "weather", job: "web01", weather: "hangs" },
        { kind: "pass", millis: 31_920_000 },
        { kind: "jump", millis: -41_609_694 },
        { kind: "jump", millis: -521_195 }
      ]
    }
  },
  {
    name: "the clock is set back by days after a power loss during failures",
    history: {
      seed: 0,
      config: { jobs: [{ name: "web01", schedule: 0 }], workerLimit: 1 },
      events: [
        { kind: "weather", job: "web01", weather: "fails" },
        { kind: "power-loss", down: 16_320_000 },
        { kind: "pass", millis: 15_240_000 },
        { kind: "jump", millis: -203_051_763 },
        { kind: "pass", millis: 16_740_000 }
      ]
    }
  }
]

describe("the scheduler in random histories", () => {
  it(`keeps its promises in ${RUNS} of them`, async () => {
    const property = FastCheck.asyncProperty(historyOf, async (history) => {
      await breathe()
      assert.strictEqual(play(history).slice(0, 5).join("\n"), "")
    })
    const details = await FastCheck.check(property, { numRuns: RUNS, ...PATH === undefined ? {} : { path: PATH } })
    if (!details.failed) return
    throw new Error(
      `${await FastCheck.asyncDefaultReportMessage(details)}\n\nreplay it with ` +
        `BACKY_SEED=${details.seed} BACKY_PATH=${details.counterexamplePath ?? ""} ` +
        "npm test -- test/simulation/schedule.test.ts"
    )
  }, 300_000)
})

describe("the scheduler in histories that once went wrong", () => {
  for (const { history, name } of found) {
    it(`no more when ${name}`, () => {
      assert.deepStrictEqual(play(history), [])
    })
  }
})
