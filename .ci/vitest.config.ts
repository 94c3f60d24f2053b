import { availableParallelism } from "node:os"
import { defineConfig } from "vitest/config"

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    setupFiles: ["test/support/setup.ts"],
    // For slow machines; no test waits for time to pass.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // By default the runner leaves one core to itself, which is half of a small machine.
    poolOptions: { forks: { maxForks: Math.max(2, availableParallelism() - 1) } },
    coverage: { include: ["src/**"] }
  }
})
