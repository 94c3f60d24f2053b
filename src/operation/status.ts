import * as Effect from "effect/Effect"
import type { Revision } from "../domain/Revision.ts"
import type { BrokenRevision } from "../repository/History.ts"
import { Repository } from "../repository/Repository.ts"
import { select, type Selection } from "./select.ts"

/** The revisions of a repository, oldest first, and what could not be read. */
export interface StatusReport {
  readonly revisions: ReadonlyArray<Revision>
  readonly broken: ReadonlyArray<BrokenRevision>
}

/** What is there. Takes no lock and makes nothing. Fails with `RepositoryMissing`, `IoError` and as selecting does. */
export const status = Effect.fn("status")(function*(options: {
  /** Without a spec: everything, incomplete revisions too. */
  readonly revisions: Selection | undefined
}) {
  const repository = yield* Repository
  const history = yield* repository.history
  if (options.revisions !== undefined) {
    return { revisions: yield* select(options.revisions), broken: [] } satisfies StatusReport
  }
  const revisions = [...history.complete, ...history.incomplete]
  return { revisions, broken: history.broken } satisfies StatusReport
})
