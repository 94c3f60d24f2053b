/**
 * Failing calls of the disk, of the cluster and of Consul in every operation on a repository whose image lies in Ceph:
 * see `faultsSuite`.
 *
 * `BACKY_FAULTS` says one in how many calls is made to fail (default 25; 1: every one), `BACKY_SEED` which.
 */
import { env } from "node:process"
import { randomNumbers } from "../../src/platform/MemoryChoices.ts"
import { faultsSuite } from "../support/faultsSuite.ts"
import { rbdScenarios } from "../support/rbdScenarios.ts"

const ONE_IN = Number(env["BACKY_FAULTS"] ?? 25)
const SEED = Number(env["BACKY_SEED"] ?? 1)

faultsSuite({
  file: "rbdFaults.test.ts",
  scenarios: rbdScenarios,
  some: (scenario, n) => randomNumbers(SEED * 7919 + scenario.length * 1009 + n)() * ONE_IN < 1,
  said: ONE_IN === 1 ? "" : ` (one in ${ONE_IN} calls, chosen by BACKY_SEED=${SEED})`
})
