import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Console from "effect/Console"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { printable } from "../domain/printable.ts"
import type { RestoreIncomplete } from "../operation/restore.ts"
import type { DeltaReport } from "../operation/restoreDelta.ts"
import * as Rbd from "../platform/Rbd.ts"
import { absolute } from "./absolute.ts"
import { afterwards } from "./afterwards.ts"
import { CommandLineInvalid } from "./argv.ts"
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
      Console.error(printable(`lost: bytes ${offset} to ${offset + length - 1} (chunk ${chunk} ${why})`)),
    { discard: true }
  )

/** A file of such a name is written as `./rbd:…`. */
const imageOf = (target: string) => {
  const image = Rbd.parse(target.slice("rbd:".length))
  if (Either.isRight(image)) return Effect.succeed(image.right)
  const reason = `"${target}" does not name an image, as rbd:POOL/IMAGE or rbd:POOL/NAMESPACE/IMAGE does: ${image.left}`
  return new CommandLineInvalid({ reason })
}

/** What `--delta` has done, or would do. */
const deltaLine = (
  { cleared, revision, size, written }: DeltaReport,
  options: { readonly target: string; readonly dryRun: boolean }
): string => {
  const change = `${Humanise.bytes(written)}` + (cleared === 0 ? "" : ` and clear ${Humanise.bytes(cleared)}`)
  const of = Humanise.bytes(size)
  return options.dryRun
    ? `would write ${change} of ${of} to make ${options.target} revision ${revision}`
    : `restored revision ${revision} to ${options.target}: ${of}, every byte checked; ` +
      `${Humanise.bytes(written)} written` + (cleared === 0 ? "" : `, ${Humanise.bytes(cleared)} cleared`)
}

/** Which of the ways to restore is meant, or why none can be. */
const checkWays = (options: {
  readonly delta: boolean
  readonly dryRun: boolean
  readonly salvage: boolean
  readonly target: string
}) => {
  const invalid = (reason: string) => new CommandLineInvalid({ reason })
  const { delta, dryRun, salvage, target } = options
  if (target === "") return invalid("the target is an empty text: give a name")
  if (dryRun && !delta) return invalid("-n goes with --delta: it says how much that would write")
  if (dryRun && salvage) return invalid("-n says what a whole restore would write: leave --salvage out")
  return delta && (target === "-" || target.startsWith("rbd:"))
    ? invalid("--delta changes a file or a block device: name one")
    : Effect.void
}

/** `backy restore`: writes an image to a file, a device or standard output. */
export const command = Command.make(
  "restore",
  {
    revision: option.revisions("latest"),
    force: option.force("Overwrite a file or device that holds something."),
    salvage: Options.boolean("salvage").pipe(
      Options.withDescription("Go on where chunks are lost: zeros take their place, and they are listed.")
    ),
    delta: Options.boolean("delta").pipe(
      Options.withDescription(
        "Read what the target holds, and write only what differs. Until it ends, it is a mixture."
      )
    ),
    dryRun: Options.boolean("dry-run").pipe(
      Options.withAlias("n"),
      Options.withDescription("With --delta: only say how much would be written.")
    ),
    wait: option.wait,
    target: Args.text({ name: "TARGET" }).pipe(
      Args.withDescription(
        "A file, a block device, rbd:POOL/[NAMESPACE/]IMAGE for a new image in Ceph, or - for standard output."
      )
    )
  },
  ({ delta, dryRun, force, revision, salvage, target, wait }) =>
    Effect.gen(function*() {
      yield* checkWays({ delta, dryRun, salvage, target })
      const toOutput = target === "-"
      const { isTerminal } = yield* Terminal
      if (toOutput && isTerminal) return yield* new OutputIsTerminal()
      const image = target.startsWith("rbd:") ? yield* imageOf(target) : undefined
      const { restore } = yield* load(() => import("../operation/restore.ts"))
      const { restoreImage } = yield* load(() => import("../operation/restoreImage.ts"))
      const { sourceFile } = yield* load(() => import("../operation/sourceFile.ts"))
      if (delta) {
        const { restoreDelta } = yield* load(() => import("../operation/restoreDelta.ts"))
        const source = yield* sourceFile
        const done = yield* restoreDelta({ revision, path: absolute(target), force, source, salvage, dryRun, wait })
          .pipe(Effect.tapErrorTag("RestoreIncomplete", listLost))
        const answer = Output.lines([deltaLine(done, { target, dryRun })])
        return yield* dryRun ? answer : afterwards(answer)
      }
      const report = yield* Effect.gen(function*() {
        if (image !== undefined) return yield* restoreImage({ revision, image, salvage, wait })
        return yield* restore({
          revision,
          target: toOutput ? { _tag: "Output" } : { _tag: "Path", path: absolute(target) },
          force,
          source: yield* sourceFile,
          salvage,
          wait
        })
      }).pipe(Effect.tapErrorTag("RestoreIncomplete", listLost))
      if (toOutput) return
      yield* afterwards(Output.lines([
        `restored revision ${report.revision} to ${target}: ${Humanise.bytes(report.size)}, every byte checked`
      ]))
    })
).pipe(Command.withDescription("Restore a revision's image."))
