import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"

/**
 * Tells of work that is done and has changed something, as the operation itself has told (`Finished`). Nothing makes it a
 * failure any more: neither that its report cannot be made or printed, nor a signal.
 */
export const afterwards = (report: Effect.Effect<void>): Effect.Effect<void> =>
  Effect.catchAllCause(report, (cause) =>
    Cause.isInterruptedOnly(cause)
      ? Effect.interrupt
      : Effect.logWarning("all is done, but there is a bug in what tells of it", cause))
