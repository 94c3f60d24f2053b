import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Console from "effect/Console"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import { resolve } from "node:path"
import type { RestoreIncomplete } from "../operation/restore.ts"
import * as Humanise from "./humanise.ts"
import { load } from "./load.ts"
import * as option from "./options.ts"
import * as Output from "./output.ts"
import { Terminal } from "./Terminal.ts"

/** An image on a terminal helps nobody. */
export class OutputIsTerminal extends Data.TaggedError("OutputIsTerminal") {
  override get message() {
    return "standard output is a terminal: pipe it into another program, redirect it, or name a file instead of -"
  }
}

/** Every lost byte range, a line each, on standard error: standard output may be the image. */
const listLost = ({ lost, salvaged }: RestoreIncomplete) =>
  Effect.forEach(
    salvaged ? lost : [],
    ({ chunk, length, offset, why }) =>
      Console.error(`lost: bytes ${offset} to ${offset + length - 1} (chunk ${chunk} ${why})`),
    { discard: true }
  )

/** `backy restore`: writes an image to a file, a device or standard output. */
export const command = Command.make(
  "restore",
  {
    revision: option.revisions("latest"),
    force: option.force("Overwrite a file that is there and not empty."),
    salvage: Options.boolean("salvage").pipe(
      Options.withDescription("Go on where chunks are lost: zeros take their place, and they are listed.")
    ),
    wait: option.wait,
    target: Args.text({ name: "TARGET" }).pipe(
      Args.withDescription("A file, a block device, or - for standard output.")
    )
  },
  ({ force, revision, salvage, target, wait }) =>
    Effect.gen(function*() {
      const toOutput = target === "-"
      const { isTerminal } = yield* Terminal
      if (toOutput && isTerminal) return yield* new OutputIsTerminal()
      const { restore } = yield* load(() => import("../operation/restore.ts"))
      const { refuseSourceItself } = yield* load(() => import("./sourceItself.ts"))
      if (!toOutput && !force) yield* refuseSourceItself(resolve(target))
      const report = yield* restore({
        revision,
        target: toOutput ? { _tag: "Output" } : { _tag: "Path", path: resolve(target) },
        force,
        salvage,
        wait
      }).pipe(Effect.tapErrorTag("RestoreIncomplete", listLost))
      if (toOutput) return
      yield* Output.lines([
        `restored revision ${report.revision} to ${target}: ${Humanise.bytes(report.size)}, every byte checked`
      ])
    })
).pipe(Command.withDescription("Restore a revision's image."))
