import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Effect from "effect/Effect"
import { afterwards } from "./afterwards.ts"
import { CommandLineInvalid } from "./argv.ts"
import { load } from "./load.ts"
import * as Output from "./output.ts"
import { providers } from "./plugins.ts"

/** `backy init`: makes a repository for a source. */
export const command = Command.make(
  "init",
  {
    type: Args.text({ name: "TYPE" }).pipe(
      Args.withDescription("The kind of source: file, ceph-rbd, flyingcircus, or a plug-in's.")
    ),
    source: Args.text({ name: "SOURCE" }).pipe(
      Args.withDescription(
        "For file: the path of the image file or device; for ceph-rbd POOL/[NAMESPACE/]IMAGE; for flyingcircus the same " +
          "and ,VM."
      )
    )
  },
  ({ source: operand, type }) =>
    Effect.gen(function*() {
      const { defaultSchedule } = yield* load(() => import("../domain/JobConfig.ts"))
      const { init } = yield* load(() => import("../operation/init.ts"))
      const { Source } = yield* load(() => import("../source/Source.ts"))
      const Registry = yield* load(() => import("../source/registry.ts"))
      const known = yield* providers
      const provider = yield* Effect.provideService(Registry.find(type), Registry.Registry, known)
      const source = provider.parse(operand)
      if (source === undefined) {
        return yield* new CommandLineInvalid({
          reason: `"${operand}" does not name a source of type ${type}, which looks like ${provider.operand}`
        })
      }
      const { config, directory } = yield* init(
        { source, schedule: defaultSchedule },
        known.map(({ type }) => type)
      )
      const { check } = yield* Effect.provide(Source, Registry.layer(source)).pipe(
        Effect.provideService(Registry.Registry, known)
      )
      yield* Effect.catchAll(check, (error) => Effect.logWarning(`as it is now, backy ${error.message}`))
      yield* afterwards(Output.lines([
        `made ${config}, which holds the schedule`,
        `next: backy -b ${directory} backup daily`
      ]))
    })
).pipe(Command.withDescription("Make a repository in the directory that -b names."))
