import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Effect from "effect/Effect"
import { counted } from "../domain/counted.ts"
import type { Decision } from "../domain/Retention.ts"
import { afterwards } from "./afterwards.ts"
import * as Humanise from "./humanise.ts"
import { load } from "./load.ts"
import * as option from "./options.ts"
import * as Output from "./output.ts"

const columns = (): ReadonlyArray<Output.Column<Decision>> => [
  { title: `Date (${Humanise.zoneName()})`, cell: ({ revision }) => Humanise.localTime(revision.timestamp) },
  { title: "Revision", cell: ({ revision }) => revision.id },
  { title: "Decision", cell: ({ _tag }) => _tag },
  {
    title: "Tags",
    cell: ({ lost, tags }) => [...tags, ...lost.map((tag) => `-${tag}`)].join(",")
  },
  { title: "Because", cell: ({ reason }) => reason }
]

const summary = (decisions: ReadonlyArray<Decision>, dryRun: boolean): string => {
  const number = (tag: Decision["_tag"]) => decisions.filter(({ _tag }) => _tag === tag).length
  const removed = number("remove")
  if (removed + number("untag") === 0) {
    return `nothing is to expire; ${counted(decisions.length, "revision")} kept`
  }
  return `${dryRun ? "would remove" : "removed"} ${counted(removed, "revision")}, ` +
    `${dryRun ? "take" : "took"} tags from ${number("untag")}, ${dryRun ? "keep" : "kept"} ` +
    `${decisions.length - removed}` + (removed > 0 && !dryRun ? "; their chunks go with the next purge" : "")
}

/** `backy expire`: applies retention now. */
export const command = Command.make(
  "expire",
  {
    dryRun: option.dryRun,
    unknownTags: Options.boolean("unknown-tags").pipe(
      Options.withDescription("Also take tags away that the schedule does not know (any more).")
    ),
    wait: option.wait
  },
  (options) =>
    Effect.gen(function*() {
      const { job } = yield* load(() => import("./job.ts"))
      const { expire } = yield* load(() => import("../operation/expire.ts"))
      const { schedule } = yield* job
      const { decisions } = yield* expire({ ...options, schedule })
      const shown = options.dryRun ? decisions : decisions.filter(({ _tag }) => _tag !== "keep")
      const answer = Output.lines([
        ...shown.length === 0 ? [] : Output.table(columns(), shown),
        summary(decisions, options.dryRun)
      ])
      yield* options.dryRun ? answer : afterwards(answer)
    })
).pipe(Command.withDescription("Apply the schedule's retention now."))
