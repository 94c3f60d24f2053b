/** Copies of files that share their blocks until one of them is written to. By default there are none. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { IoError } from "./IoError.ts"

export class Reflink extends Context.Reference<Reflink>()("backy/platform/Reflink", {
  defaultValue: () => ({
    /** Makes `to`, which must not exist, a copy of `from`. `false`: the file system cannot, and nothing was made. */
    clone: (_from: string, _to: string): Effect.Effect<boolean, IoError> => Effect.succeed(false)
  })
}) {}
