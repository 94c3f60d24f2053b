import * as FileSystem from "@effect/platform/FileSystem"
import * as Effect from "effect/Effect"
import { basename, dirname, join } from "node:path"
import * as Files from "../platform/Files.ts"
import { fromPlatform } from "../platform/IoError.ts"
import { isOfRepository } from "./ownFiles.ts"

/**
 * Where a file that is to be written beside the repository really lies, links followed. Fails with what `refuse` makes
 * of a reason when its directory is missing, or when it belongs to the repository.
 */
export const outsideRepository = <E>(path: string, refuse: (reason: string) => E) =>
  Effect.gen(function*() {
    const system = yield* FileSystem.FileSystem
    const real = (of: string) => Effect.mapError(system.realPath(of), (error) => fromPlatform(error, of))
    const parent = yield* Effect.mapError(
      real(dirname(path)),
      () => refuse(`there is no directory ${dirname(path)}`)
    )
    const target = yield* Effect.orElseSucceed(real(path), () => join(parent, basename(path)))
    if (yield* isOfRepository(target, yield* Files.find(target))) {
      return yield* Effect.fail(refuse("it lies within the repository"))
    }
    return target
  })
