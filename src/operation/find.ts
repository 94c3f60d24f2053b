import * as Effect from "effect/Effect"
import type { RevisionId } from "../domain/RevisionId.ts"
import type { BlockFile } from "../platform/BlockFile.ts"
import * as Files from "../platform/Files.ts"
import { Repository } from "../repository/Repository.ts"
import { selectCertain, type SelectError, type Selection } from "./select.ts"

/** Where a revision's map or image lies. */
export interface Found {
  readonly id: RevisionId
  readonly path: string
}

/** Why revisions are not found. */
export type FindError = SelectError

/** The paths of revisions, in the order of the spec. Fails with `SelectError`. */
export const find = Effect.fn("find")(function*(
  revisions: Selection
): Effect.fn.Return<ReadonlyArray<Found>, FindError, BlockFile | Repository> {
  const { directory } = yield* Repository
  return yield* Effect.forEach(yield* selectCertain(revisions), ({ backendType, id }) =>
    Effect.map(
      // where an upgrade by backy 2.5 was interrupted
      backendType === "cowfile" ? Files.exists(`${directory}/${id}.old`) : Effect.succeed(false),
      (isOld): Found => ({ id, path: `${directory}/${id}${isOld ? ".old" : ""}` })
    ))
})
