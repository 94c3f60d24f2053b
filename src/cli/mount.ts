import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { resolve } from "node:path"
import { CommandLineInvalid } from "./argv.ts"
import * as Humanise from "./humanise.ts"
import { load } from "./load.ts"
import { runCommand } from "./nbd.ts"
import * as option from "./options.ts"
import * as Output from "./output.ts"

/** `backy mount`: shows a revision as a file, or the files in it. */
export const command = Command.make(
  "mount",
  {
    revision: option.revisions("latest"),
    partition: Options.integer("partition").pipe(
      Options.withPseudoName("N"),
      Options.withDescription("As root: mount the file system of this partition, read-only. 0 is the whole image."),
      Options.optional,
      Options.map(Option.getOrUndefined)
    ),
    run: Options.text("run").pipe(
      Options.withPseudoName("COMMAND"),
      Options.withDescription("Run a line of the shell, with what is mounted in $mounted, and end when it ends."),
      Options.optional,
      Options.map(Option.getOrUndefined)
    ),
    wait: option.wait,
    directory: Args.text({ name: "DIR" }).pipe(Args.withDescription("An empty directory."))
  },
  ({ directory, partition, revision, run, wait }) =>
    Effect.gen(function*() {
      if (partition !== undefined && partition < 0) {
        return yield* new CommandLineInvalid({
          reason: "--partition: partitions are numbered from 1, and 0 is the image"
        })
      }
      const { mount } = yield* load(() => import("../operation/nbd/mount.ts"))
      const mounted = yield* mount({
        revision,
        directory: resolve(directory),
        wait,
        ...(partition === undefined ? {} : { partition })
      })
      yield* Effect.logInfo(
        `revision ${mounted.revision} (${Humanise.bytes(mounted.size)}) is to be seen as ${mounted.path}`
      )
      // standard output is the command's
      if (run !== undefined) return yield* runCommand(run, { mounted: mounted.path })
      yield* Output.lines([mounted.path])
      yield* mounted.ended
    }).pipe(Effect.scoped)
).pipe(Command.withDescription("Show a revision as a file, or the files in it, until it is ended."))
