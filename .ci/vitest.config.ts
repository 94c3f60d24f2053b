import { defineConfig } from "vitest/config"

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // For slow machines; no test waits for time to pass.
    testTimeout: 30_000,
    hookTimeout: 30_000,
    coverage: { include: ["src/**"] }
  }
})
