import * as Effect from "effect/Effect"
import type { RevisionId } from "../domain/RevisionId.ts"
import { Repository } from "../repository/Repository.ts"
import { select, type Selection } from "./select.ts"

/** Where a revision's map or image lies. */
export interface Found {
  readonly id: RevisionId
  readonly path: string
}

/** The paths of revisions, in the order of the spec. Fails as selecting does. */
export const find = Effect.fn("find")(function*(revisions: Selection) {
  const { directory } = yield* Repository
  return (yield* select(revisions)).map(({ id }): Found => ({ id, path: `${directory}/${id}` }))
})
