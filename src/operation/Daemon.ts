/** The scheduler as the command line sees it: something that runs until it is told to stop. */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import type { ConfigInvalid, ConfigMissing } from "../config/ConfigError.ts"
import type { IoError } from "../platform/IoError.ts"
import type { BaseUnmarked } from "./baseDirectory.ts"

/** One scheduler a base directory. */
export class SchedulerRunning extends Data.TaggedError("SchedulerRunning")<{
  readonly baseDir: string
  readonly holder: string | undefined
}> {
  override get message() {
    const by = this.holder === undefined ? "" : ` (${this.holder})`
    return `another scheduler runs on ${this.baseDir}${by}`
  }
}

export class Daemon extends Context.Tag("backy/operation/Daemon")<Daemon, {
  /** Runs all jobs of a config file until it is interrupted; then ends its children. */
  readonly run: (
    configFile: string
  ) => Effect.Effect<never, BaseUnmarked | ConfigMissing | ConfigInvalid | SchedulerRunning | IoError>
}>() {}
