import * as Command from "@effect/cli/Command"
import * as Effect from "effect/Effect"
import { Daemon } from "../operation/Daemon.ts"
import * as option from "./options.ts"
import { Plugins } from "./plugins.ts"

/** `backy scheduler`: runs all jobs of a config file, in the foreground, until it is told to stop. */
export const command = Command.make(
  "scheduler",
  { config: option.config },
  ({ config }) =>
    Effect.gen(function*() {
      // its jobs, and who asks with `check`, have to know them as well
      if ((yield* Plugins).length > 0) {
        yield* Effect.logWarning(
          "--plugin and BACKY_PLUGINS are ignored: the scheduler's plug-ins are those that its config names"
        )
      }
      return yield* (yield* Daemon).run(config)
    })
).pipe(Command.withDescription("Run all jobs of a config file when they are due. Stays in the foreground."))
