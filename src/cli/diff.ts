import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Effect from "effect/Effect"
import { counted } from "../domain/counted.ts"
import * as Humanise from "./humanise.ts"
import { load } from "./load.ts"
import * as option from "./options.ts"
import * as Output from "./output.ts"

const revision = (name: string) =>
  Args.text({ name }).pipe(Args.withDescription("One revision: an id, a number, latest, a tag, …"))

/** `backy diff`: where two revisions differ. */
export const command = Command.make(
  "diff",
  { json: option.json, a: revision("A"), b: revision("B") },
  ({ a, b, json }) =>
    Effect.flatMap(load(() => import("../operation/diff.ts")), ({ diff }) => diff(a, b)).pipe(
      Effect.flatMap((report) =>
        json
          ? Output.json({
            from: report.from,
            to: report.to,
            from_size: report.fromSize,
            to_size: report.toSize,
            bytes: report.bytes,
            ranges: report.ranges.map(({ length, offset }) => ({ offset, length }))
          })
          : Output.lines([
            ...report.ranges.length === 0 ? [] : Output.table([
              { title: "Offset", align: "right", cell: ({ offset }) => String(offset) },
              { title: "Length", align: "right", cell: ({ length }) => String(length) },
              { title: "", align: "right", cell: ({ length }) => Humanise.bytes(length) }
            ], report.ranges),
            report.ranges.length === 0
              ? `${report.from} and ${report.to} do not differ`
              : `${report.from} and ${report.to} differ in ${counted(report.ranges.length, "range")}, ` +
                `${Humanise.bytes(report.bytes)} (whole chunks)`
          ])
      )
    )
).pipe(Command.withDescription("Print the byte ranges in which two revisions differ."))
