import * as Command from "@effect/cli/Command"
import * as Effect from "effect/Effect"
import { Daemon } from "../operation/Daemon.ts"
import * as option from "./options.ts"

/** `backy scheduler`: runs all jobs of a config file, in the foreground, until it is told to stop. */
export const command = Command.make(
  "scheduler",
  { config: option.config },
  ({ config }) => Effect.flatMap(Daemon, (daemon) => daemon.run(config))
).pipe(Command.withDescription("Run all jobs of a config file when they are due. Stays in the foreground."))
