/** Failing calls in every operation on a repository whose source is a file: see `faultsSuite`. */
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import { knownOf } from "../support/aftermath.ts"
import { faultsSuite } from "../support/faultsSuite.ts"
import { verdict } from "../support/faultVerdict.ts"
import * as Machine from "../support/Machine.ts"
import * as Scenarios from "../support/scenarios.ts"

const machine = Machine.make()

faultsSuite({ file: "faults.test.ts", scenarios: Scenarios.scenarios })

describe("a disk that is full", () => {
  const full = ["purge", "expire, which removes and takes tags", "forget, and purge at once"]
  for (const scenario of Scenarios.scenarios.filter(({ name }) => full.includes(name))) {
    it(`does not keep ${scenario.name} from making room`, () => {
      const prepared = Scenarios.prepare(machine, scenario)
      const { memory, options } = prepared
      const known = knownOf(prepared)
      memory.capacity = memory.used
      const exit = machine.run(memory, scenario.operation, options)
      assert.isTrue(Exit.isSuccess(exit), Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "")
      assert.isBelow(memory.used, memory.capacity)
      assert.deepStrictEqual(verdict(scenario, known, exit, memory), [])
    })
  }
})
