/** Property tests are the same at each run, so that what fails fails again; BACKY_SEED explores others. */
import * as FastCheck from "effect/FastCheck"

FastCheck.configureGlobal({ ...FastCheck.readConfigureGlobal(), seed: Number(process.env.BACKY_SEED ?? 1) })
