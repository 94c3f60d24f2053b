import * as DateTime from "effect/DateTime"
import type * as Effect from "effect/Effect"

/** The current time of the `Clock` service. */
export const now: Effect.Effect<DateTime.Utc> = DateTime.now
