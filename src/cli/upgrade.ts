import * as Command from "@effect/cli/Command"
import type * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import { counted } from "../domain/counted.ts"
import type { UpgradeReport } from "../operation/upgrade.ts"
import { afterwards } from "./afterwards.ts"
import * as Humanise from "./humanise.ts"
import { load } from "./load.ts"
import * as option from "./options.ts"
import * as Output from "./output.ts"

const print = ({ failed, plan, upgraded }: UpgradeReport, dryRun: boolean) => {
  if (plan.revisions.length + plan.alphas.length === 0) return Output.lines(["all revisions are in the current format"])
  if (!dryRun) {
    return Output.lines([
      `upgraded ${counted(upgraded.length, "revision")}` +
      (failed.length === 0 ? "" : `, left ${counted(failed.length, "revision")} as before`)
    ])
  }
  const room = plan.free === undefined ? "" : `, ${Humanise.bytes(plan.free)} are free`
  return Output.lines([
    ...plan.alphas.map(({ id, timestamp }) => line(id, timestamp, "of an alpha of 3.0")),
    ...plan.revisions.map(({ id, isImage, timestamp }) => line(id, timestamp, isImage ? "image" : "chunks of 2.5")),
    `${
      counted(new Set([...plan.alphas, ...plan.revisions].map(({ id }) => id)).size, "revision")
    }; for the time being this needs up to ` +
    `${Humanise.bytes(plan.needed)}${room}`
  ])
}

const line = (id: string, timestamp: DateTime.Utc, what: string): string =>
  `would upgrade ${id}  ${Humanise.localTime(timestamp)}  ${what}`

/** `backy upgrade`: brings what backy 2.5 or an alpha of 3.0 wrote into the current format. */
export const command = Command.make(
  "upgrade",
  {
    dryRun: option.dryRun,
    force: option.force("Begin although there may be too little room."),
    wait: option.wait
  },
  ({ dryRun, force, wait }) =>
    Effect.gen(function*() {
      const { job } = yield* load(() => import("./job.ts"))
      const { upgrade } = yield* load(() => import("../operation/upgrade.ts"))
      const { backend } = (yield* job).source
      const report = yield* upgrade({ dryRun, force, backend: backend ?? "chunked", wait }).pipe(
        Effect.tapErrorTag(
          "UpgradeIncomplete",
          (error) => print(error.report, false)
        )
      )
      yield* dryRun ? print(report, dryRun) : afterwards(print(report, dryRun))
    })
).pipe(
  Command.withDescription("Convert revisions that backy 2.5 or an alpha made to the current format, newest first.")
)
