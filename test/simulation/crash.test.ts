/**
 * Power loss before every call of the disk, in every operation on a repository whose source is a file.
 *
 * `BACKY_CRASH_STATES` says how many states to explore (default 100,000).
 */
import { env } from "node:process"
import { crashSuite } from "../support/crashSuite.ts"
import { scenarios } from "../support/scenarios.ts"

crashSuite({ file: "crash.test.ts", scenarios, states: Number(env["BACKY_CRASH_STATES"] ?? 100_000) })
