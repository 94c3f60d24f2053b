import * as Command from "@effect/cli/Command"
import * as Effect from "effect/Effect"
import { afterwards } from "./afterwards.ts"
import { load } from "./load.ts"
import * as option from "./options.ts"
import * as Output from "./output.ts"

/** `backy forget`: removes revisions. */
export const command = Command.make(
  "forget",
  {
    revisions: option.revisionsRequired,
    force: option.force(
      "Also remove the newest trusted revision, one that marks lost content, or one that cannot be read though none is trusted."
    ),
    wait: option.wait
  },
  (options) =>
    Effect.gen(function*() {
      const { forget } = yield* load(() => import("../operation/forget.ts"))
      const ids = yield* forget(options)
      yield* afterwards(Output.lines(
        ids.length === 0
          ? ["no revision fits"]
          : [...ids.map((id) => `removed ${id}`), "their chunks go with the next purge"]
      ))
    })
).pipe(Command.withDescription("Remove revisions."))
