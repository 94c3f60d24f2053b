/** How much room there is on a file system. A service that by default cannot tell. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"

/** Bytes of a file system. */
export interface Space {
  /** That may still be written. */
  readonly free: number
  /** That it has. */
  readonly total: number
}

export class FreeSpace extends Context.Reference<FreeSpace>()("backy/platform/FreeSpace", {
  defaultValue: () => ({
    /** The file system below a directory; `undefined` where nobody can tell. */
    at: (_directory: string): Effect.Effect<Space | undefined> => Effect.succeed(undefined)
  })
}) {}
