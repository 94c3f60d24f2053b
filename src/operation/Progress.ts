/** How far an operation is. A service with a silent default, so that the loops need not know who watches. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"

/** What is being done, as a word the user reads. */
export type Phase = "reading" | "verifying" | "restoring" | "comparing" | "checking" | "healing" | "upgrading"

export interface Watcher {
  /** A phase begins; `total` bytes are to be done in it. */
  readonly start: (phase: Phase, total: number) => Effect.Effect<void>
  /** Some bytes more are done. */
  readonly advance: (bytes: number) => Effect.Effect<void>
  /**
   * It fails for want of room on the repository's disk. `begun`: chunks may have been written that only a purge takes
   * away; otherwise nothing was.
   */
  readonly lacksRoom: (begun: boolean) => Effect.Effect<void>
}

export class Progress extends Context.Reference<Progress>()("backy/operation/Progress", {
  defaultValue: (): Watcher => ({ start: () => Effect.void, advance: () => Effect.void, lacksRoom: () => Effect.void })
}) {}
