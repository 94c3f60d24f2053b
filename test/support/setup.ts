/** What holds for every test file. */
import { afterEach } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import { breathe } from "./breathe.ts"

// Property tests are the same at each run, so that what fails fails again; BACKY_SEED explores others.
FastCheck.configureGlobal({ ...FastCheck.readConfigureGlobal(), seed: Number(process.env.BACKY_SEED ?? 1) })

// Tests that are synchronous follow each other without a turn of the event loop.
afterEach(breathe)
