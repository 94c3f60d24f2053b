/** How much room there is on a file system. A service that by default cannot tell. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"

export class FreeSpace extends Context.Reference<FreeSpace>()("backy/platform/FreeSpace", {
  defaultValue: () => ({
    /** Bytes that may still be written below a directory; `undefined` where nobody can tell. */
    at: (_directory: string): Effect.Effect<number | undefined> => Effect.succeed(undefined)
  })
}) {}
