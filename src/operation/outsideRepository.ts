import * as Effect from "effect/Effect"
import * as Files from "../platform/Files.ts"
import { isOfRepository } from "./ownFiles.ts"
import { realPlace } from "./realPlace.ts"

/**
 * Where a file that is to be written beside the repository really lies, links followed. Fails with what `refuse` makes
 * of a reason when it has no place, or when it belongs to the repository.
 */
export const outsideRepository = <E>(path: string, refuse: (reason: string) => E) =>
  Effect.gen(function*() {
    const target = yield* realPlace(path, refuse)
    if (yield* isOfRepository(target, yield* Files.find(target))) {
      return yield* Effect.fail(refuse("it lies within the repository"))
    }
    return target
  })
