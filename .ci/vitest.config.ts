import { availableParallelism } from "node:os"
import { defineConfig } from "vitest/config"
import { BaseSequencer, type TestSpecification } from "vitest/node"

/** What takes minutes, longest first: begun last, one of these would keep one processor busy and leave the others idle. */
const LONG = [
  "simulation/crash.test.ts",
  "end-to-end/scheduler.test.ts",
  "simulation/faults.test.ts",
  "end-to-end/damage.test.ts",
  "end-to-end/kill.test.ts",
  "end-to-end/terminate.test.ts",
  "end-to-end/bombs.test.ts",
  "end-to-end/plugin.test.ts",
  "end-to-end/delta.test.ts",
  "end-to-end/commands.test.ts",
  "end-to-end/together.test.ts"
]

const rank = ({ moduleId }: TestSpecification): number => {
  const at = LONG.findIndex((name) => moduleId.endsWith(`/${name}`))
  return at < 0 ? LONG.length : at
}

class LongestFirst extends BaseSequencer {
  override async sort(files: Array<TestSpecification>): Promise<Array<TestSpecification>> {
    return (await super.sort(files)).sort((a, b) => rank(a) - rank(b))
  }
}

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    setupFiles: ["test/support/setup.ts"],
    sequence: { sequencer: LongestFirst },
    // For slow machines; no test waits for time to pass.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // By default the runner leaves one core to itself, which is half of a small machine.
    poolOptions: { forks: { maxForks: Math.max(2, availableParallelism() - 1) } },
    coverage: { include: ["src/**"] }
  }
})
