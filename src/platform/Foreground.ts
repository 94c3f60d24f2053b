/** A command of the user's that has the terminal: it reads our standard input and writes to our standard output. */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { IoError } from "./IoError.ts"

/** How it ended: by itself, or by a signal. */
export type Ending =
  | { readonly _tag: "Exit"; readonly code: number }
  | { readonly _tag: "Signal"; readonly signal: string }

export class Foreground extends Context.Tag("backy/platform/Foreground")<Foreground, {
  /**
   * Runs a line of the shell with these variables besides our own. An interrupt ends it with SIGTERM, and with SIGKILL
   * when it has not ended two seconds later. Fails when no shell can be started.
   */
  readonly run: (line: string, env: Readonly<Record<string, string>>) => Effect.Effect<Ending, IoError>
}>() {}
