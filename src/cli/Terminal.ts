/** What backy runs in: whether a person looks at standard output, and what became of what was printed there. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { IoError } from "../platform/IoError.ts"

export interface Description {
  /** Whether standard output is a terminal, where an image would do harm. */
  readonly isTerminal: boolean
  /** Waits until everything printed has left the process. Fails when some of it could not be written. */
  readonly settled: Effect.Effect<void, IoError>
}

export class Terminal extends Context.Reference<Terminal>()("backy/cli/Terminal", {
  defaultValue: (): Description => ({ isTerminal: false, settled: Effect.void })
}) {}
