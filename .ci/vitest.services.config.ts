import { defineConfig } from "vitest/config"

/** Tests against a real Ceph cluster and a real Consul, which `test/services/start.ts` brings up. */
export default defineConfig({
  test: {
    include: ["test/**/*.services.ts"],
    globalSetup: ["test/services/start.ts"],
    testTimeout: 120_000,
    hookTimeout: 300_000,
    // One cluster, one disk, two processors: side by side they only wait for each other.
    fileParallelism: false
  }
})
