import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Effect from "effect/Effect"
import { load } from "./load.ts"
import * as option from "./options.ts"
import * as Output from "./output.ts"
import { Terminal } from "./Terminal.ts"

/** `backy find`: where revisions lie, a line each. */
export const command = Command.make(
  "find",
  {
    revisions: option.revisions("latest"),
    uuid: Options.boolean("uuid").pipe(Options.withDescription("Print the ids alone."))
  },
  ({ revisions, uuid }) =>
    Effect.gen(function*() {
      const { find } = yield* load(() => import("../operation/find.ts"))
      const found = yield* find(revisions)
      const { isTerminal } = yield* Terminal
      // a script needs the very path that -b named
      const print = isTerminal ? Output.lines : Output.text
      yield* print(found.map(({ id, path }) => uuid ? id : path))
    })
).pipe(Command.withDescription("Print the path of each revision's map or image."))
