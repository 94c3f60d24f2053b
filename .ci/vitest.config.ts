import { defineConfig } from "vitest/config"

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    setupFiles: ["test/support/seed.ts"],
    // For slow machines; no test waits for time to pass.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    coverage: { include: ["src/**"] }
  }
})
