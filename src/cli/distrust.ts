import * as Command from "@effect/cli/Command"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import { afterwards } from "./afterwards.ts"
import { load } from "./load.ts"
import * as option from "./options.ts"
import * as Output from "./output.ts"

/** `backy distrust`: nothing builds on these revisions until they are verified. */
export const command = Command.make(
  "distrust",
  {
    revisions: option.revisions("clean"),
    from: option.instant("from", "f", "Only revisions from this day or instant on."),
    until: option.instant("until", "u", "Only revisions up to this day or instant, which is included."),
    wait: option.wait
  },
  ({ from, revisions, until, wait }) =>
    Effect.gen(function*() {
      const { distrust } = yield* load(() => import("../operation/distrust.ts"))
      const distrusted = yield* distrust({
        revisions,
        from: from === undefined ? undefined : DateTime.unsafeMake(from.from),
        until: until === undefined ? undefined : DateTime.unsafeMake(until.to + 1),
        wait
      })
      yield* afterwards(Output.lines(
        distrusted.length === 0 ? ["no trusted revision fits"] : distrusted.map(({ id }) => `distrusted ${id}`)
      ))
    })
).pipe(Command.withDescription("Distrust revisions: backups no longer build on them until verify has read them."))
