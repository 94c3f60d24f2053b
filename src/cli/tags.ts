import * as Command from "@effect/cli/Command"
import * as Effect from "effect/Effect"
import type { TagChange } from "../operation/tags.ts"
import { afterwards } from "./afterwards.ts"
import { load } from "./load.ts"
import * as option from "./options.ts"
import * as Output from "./output.ts"
import * as TagList from "./tagList.ts"

const make = (change: TagChange, description: string) =>
  Command.make(
    change,
    {
      revisions: option.revisions("latest"),
      force: option.force("Take tags that the schedule does not know."),
      wait: option.wait,
      tags: change === "remove" ? TagList.existing : TagList.fresh
    },
    (options) =>
      Effect.gen(function*() {
        const { job } = yield* load(() => import("./job.ts"))
        const { tags } = yield* load(() => import("../operation/tags.ts"))
        // a copy of a repository may have no config, and then there is nothing to compare with
        const schedule = options.force || change === "remove" ? undefined : yield* job.pipe(
          Effect.map((config) => config.schedule),
          Effect.catchTag("ConfigMissing", () => Effect.succeed(undefined))
        )
        const edited = yield* tags({ ...options, change, schedule })
        yield* afterwards(Output.lines(
          edited.length === 0
            ? ["no tags are different now"]
            : edited.map((revision) => `${revision.id}  ${revision.tags.join(",") || "-"}`)
        ))
      })
  ).pipe(Command.withDescription(description))

/** The subcommands of `backy tags`. */
export const subcommands = {
  set: make("set", "Give revisions exactly these tags."),
  add: make("add", "Add tags to revisions."),
  remove: make("remove", "Take tags from revisions.")
}

/** `backy tags`: changes the tags of revisions. */
export const group = Command.make("tags").pipe(Command.withDescription("Change the tags of revisions."))
