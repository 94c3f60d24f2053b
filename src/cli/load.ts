import * as Effect from "effect/Effect"

/**
 * Loads a module when it is needed: each command loads its own operation, and `--help` none. A module that cannot be
 * loaded is a bug in the build.
 */
export const load = <A>(module: () => Promise<A>): Effect.Effect<A> => Effect.promise(module)
