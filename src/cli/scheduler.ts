import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Effect from "effect/Effect"
import { Daemon } from "../operation/Daemon.ts"
import { afterwards } from "./afterwards.ts"
import { CommandLineInvalid } from "./argv.ts"
import { load } from "./load.ts"
import * as option from "./options.ts"
import * as Output from "./output.ts"
import { Plugins } from "./plugins.ts"

/** Once, by hand, when the file system of the base directory is mounted. */
const markBase = Effect.fnUntraced(function*(file: string) {
  const Config = yield* load(() => import("../config/Config.ts"))
  const { mark } = yield* load(() => import("../operation/baseDirectory.ts"))
  const { baseDir, baseMarker } = yield* Config.loadDaemon(file)
  if (baseMarker === undefined) {
    return yield* new CommandLineInvalid({
      reason: `${file} names no base-marker: "base-marker: .backy-base" below global is one`
    })
  }
  const { isNew, path } = yield* mark(baseDir, baseMarker)
  yield* afterwards(Output.lines([isNew ? `made ${path}: ${baseDir} is marked` : `${path} is there already`]))
})

/** `backy scheduler`: runs all jobs of a config file, in the foreground, until it is told to stop. */
export const command = Command.make(
  "scheduler",
  {
    config: option.config,
    initBase: Options.boolean("init-base").pipe(
      Options.withDescription("Only mark the base directory with the file that base-marker names; run nothing.")
    )
  },
  ({ config, initBase }) =>
    Effect.gen(function*() {
      if (initBase) return yield* markBase(config)
      // its jobs, and who asks with `check`, have to know them as well
      if ((yield* Plugins).length > 0) {
        yield* Effect.logWarning(
          "--plugin and BACKY_PLUGINS are ignored: the scheduler's plug-ins are those that its config names"
        )
      }
      return yield* (yield* Daemon).run(config)
    })
).pipe(Command.withDescription("Run all jobs of a config file when they are due. Stays in the foreground."))
