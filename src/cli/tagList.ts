/** Tags as arguments: `daily,weekly`. */
import * as Args from "@effect/cli/Args"
import * as HelpDoc from "@effect/cli/HelpDoc"
import * as Effect from "effect/Effect"
import { load } from "./load.ts"

/** Each tag once; spaces around and empty words do not count. */
const split = (text: string): ReadonlyArray<string> => [
  ...new Set(text.split(",").map((tag) => tag.trim()).filter((tag) => tag !== ""))
]

const text = Args.text({ name: "TAGS" }).pipe(Args.withDescription("Tags, separated by commas."))

/** Tags that revisions have, whatever they look like; at least one. */
export const existing = text.pipe(
  Args.map(split),
  Args.mapEffect((tags) => tags.length === 0 ? Effect.fail(HelpDoc.p("Name at least one tag.")) : Effect.succeed(tags))
)

/** Tags that revisions are to get; at least one. */
export const fresh = existing.pipe(
  Args.mapEffect((tags) =>
    Effect.flatMap(load(() => import("../domain/Tag.ts")), (Tag) => {
      const problem = tags.map(Tag.problem).find((one) => one !== undefined)
      return problem === undefined ? Effect.succeed(tags) : Effect.fail(HelpDoc.p(problem))
    })
  )
)
