import * as Config from "effect/Config"
import * as Effect from "effect/Effect"

/**
 * An environment variable, or `fallback` where it is not set or empty.
 * Not for secrets.
 */
export const variable = (name: string, fallback: string): Effect.Effect<string> =>
  // A text can only be absent or empty, and for both there is the default: no error is left.
  Effect.orDie(Config.withDefault(Config.nonEmptyString(name), fallback))
