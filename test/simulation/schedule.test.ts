/** The scheduler keeps its promises whatever happens: see scheduleHistory.ts. */
import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import { breathe } from "../support/breathe.ts"
import { historyOf, play } from "./scheduleHistory.ts"

const RUNS = Number(process.env.BACKY_HISTORIES ?? 500)

describe("the scheduler in random histories", () => {
  it(`keeps its promises in ${RUNS} of them`, async () => {
    const property = FastCheck.asyncProperty(historyOf, async (history) => {
      await breathe()
      assert.strictEqual(play(history).slice(0, 5).join("\n"), "")
    })
    const seed = process.env.BACKY_SEED === undefined ? {} : { seed: Number(process.env.BACKY_SEED) }
    await FastCheck.assert(property, { numRuns: RUNS, ...seed })
  }, 300_000)
})
