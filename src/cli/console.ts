/** The console that commands print to, over the real standard output and error. */
import type * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import { format } from "node:util"
import type { IoError } from "../platform/IoError.ts"
import type { Screen } from "./Screen.ts"
import type { Stdout } from "./Stdout.ts"

const textOf = (args: ReadonlyArray<unknown>): string => format(...args)

/**
 * A console whose `log` waits until standard output has taken the text. That it could not be written is told by
 * `settled`; that the reader has gone is told to nobody: it had enough.
 */
export const consoleOver = (
  stdout: Stdout,
  screen: Screen
): { readonly console: Console.Console; readonly settled: Effect.Effect<void, IoError> } => {
  let failure: IoError | undefined
  return {
    console: {
      ...Effect.runSync(Effect.console),
      log: (...args) =>
        Effect.sync(screen.end).pipe(
          Effect.zipRight(stdout.write(new TextEncoder().encode(`${textOf(args)}\n`))),
          Effect.catchTags({
            OutputClosed: () => Effect.void,
            IoError: (error) => Effect.sync(() => void (failure ??= error))
          })
        ),
      error: (...args) => Effect.sync(() => screen.line(textOf(args)))
    },
    settled: Effect.suspend(() => failure === undefined ? Effect.void : Effect.fail(failure))
  }
}
