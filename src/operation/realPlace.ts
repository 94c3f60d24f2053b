import * as FileSystem from "@effect/platform/FileSystem"
import * as Effect from "effect/Effect"
import { basename, dirname, join } from "node:path"
import * as Files from "../platform/Files.ts"

/**
 * Where a file that is to be written really lies, links followed; it need not exist, its directory must. Fails with what
 * `refuse` makes of a reason: also where a link leads to a name that is not UTF-8, which Node.js reads with a loss and does
 * not find again, and where the name ends with a slash, which only a directory's does.
 */
export const realPlace = Effect.fnUntraced(function*<E>(path: string, refuse: (reason: string) => E) {
  const system = yield* FileSystem.FileSystem
  /** The real path, or `missing` where nothing lies. */
  const real = (of: string, missing: Effect.Effect<string, E>) =>
    Effect.catchAll(
      system.realPath(of),
      () =>
        Effect.flatMap(Effect.option(system.stat(of)), (found) =>
          found._tag === "None"
            ? missing
            : Effect.fail(refuse("a link on the way leads to a name that is not UTF-8, which backy cannot use")))
    )
  const parent = yield* real(dirname(path), Effect.fail(refuse(`there is no directory ${dirname(path)}`)))
  const place = yield* real(path, Effect.succeed(join(parent, basename(path))))
  if (path.endsWith("/")) {
    const found = yield* Files.find(place)
    if (found === undefined) return yield* Effect.fail(refuse("there is no such directory, and it is to be a file"))
    if (found.kind !== "directory") return yield* Effect.fail(refuse("it is no directory, as the slash says"))
  }
  return place
})
