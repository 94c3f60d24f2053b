import * as Command from "@effect/cli/Command"
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import { load } from "./load.ts"
import * as option from "./options.ts"
import * as Output from "./output.ts"

/** Not everything is fine: what is, has been printed. */
export class CheckWarning extends Data.TaggedError("CheckWarning") {
  override readonly message = "something needs a look"
}

/** Some job is not within its SLA. */
export class CheckCritical extends Data.TaggedError("CheckCritical") {
  override readonly message = "not all jobs are within SLA"
}

/** It cannot be said whether everything is fine. */
export class CheckUnknown extends Data.TaggedError("CheckUnknown") {
  override readonly message = "it is not known whether all jobs are within SLA"
}

/** `backy check`: whether all backups are young enough, for monitoring systems. */
export const command = Command.make(
  "check",
  { config: option.config, json: option.json },
  ({ config: file, json }) =>
    Effect.gen(function*() {
      const Check = yield* load(() => import("../operation/check.ts"))
      const Config = yield* load(() => import("../config/Config.ts"))
      const StatusFile = yield* load(() => import("../daemon/StatusFile.ts"))
      const BaseDirectory = yield* load(() => import("../operation/baseDirectory.ts"))
      const config = yield* Config.loadDaemon(file)
      const unmarked = yield* Effect.as(BaseDirectory.requireMarker(config), undefined).pipe(
        Effect.catchTag("BaseUnmarked", (error) => Effect.succeed(error))
      )
      if (unmarked !== undefined) {
        const report = Check.critical(unmarked.message)
        yield* json ? Output.json(report) : Output.lines(Check.lines(report))
        return yield* new CheckCritical()
      }
      const base = yield* BaseDirectory.unmountedHint(config)
      const { jobs: status, writtenAt } = yield* StatusFile.read(config.statusFile)
      const report = Check.check({ config, status, writtenAt, base, now: yield* Clock.currentTimeMillis })
      yield* json ? Output.json(report) : Output.lines(Check.lines(report))
      switch (report.level) {
        case "OK":
          return
        case "WARNING":
          return yield* new CheckWarning()
        case "CRITICAL":
          return yield* new CheckCritical()
        case "UNKNOWN":
          return yield* new CheckUnknown()
      }
    })
).pipe(Command.withDescription("Say whether all backups are young enough, for Nagios, Icinga and the like."))
