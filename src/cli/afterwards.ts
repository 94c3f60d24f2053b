import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Finished from "../operation/Finished.ts"

/**
 * Tells of work that is done and has changed something. From now on nothing makes it a failure: neither that its report
 * cannot be made or printed, nor a signal.
 */
export const afterwards = (report: Effect.Effect<void>): Effect.Effect<void> =>
  Effect.zipRight(
    Finished.tell("done"),
    Effect.catchAllCause(report, (cause) =>
      Cause.isInterruptedOnly(cause)
        ? Effect.interrupt
        : Effect.logWarning("all is done, but there is a bug in what tells of it", cause))
  )
