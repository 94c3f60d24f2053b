import * as Command from "@effect/cli/Command"
import * as Effect from "effect/Effect"
import { counted } from "../domain/counted.ts"
import { afterwards } from "./afterwards.ts"
import * as Humanise from "./humanise.ts"
import { load } from "./load.ts"
import * as option from "./options.ts"
import * as Output from "./output.ts"

/** `backy purge`: deletes chunks that no revision names. */
export const command = Command.make(
  "purge",
  { dryRun: option.dryRun, wait: option.wait },
  (options) =>
    Effect.gen(function*() {
      const { purge } = yield* load(() => import("../operation/purge.ts"))
      const report = yield* purge(options)
      const answer = Output.lines([
        `${options.dryRun ? "would remove" : "removed"} ${counted(report.chunks, "chunk")} ` +
        `(${Humanise.bytes(report.bytes)})` +
        (report.leftovers + report.maps === 0
          ? ""
          : `, ${counted(report.leftovers + report.maps, "leftover")} of interrupted runs`) +
        `; ${counted(report.kept, "chunk")} needed by revisions`,
        ...report.unknown === 0 ? [] : [
          `left alone: ${counted(report.unknown, "file")} among the chunks that backy did not make`
        ]
      ])
      yield* options.dryRun ? answer : afterwards(answer)
    })
).pipe(Command.withDescription("Delete chunks that no revision needs, and what interrupted runs left."))
