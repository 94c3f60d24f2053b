import * as Effect from "effect/Effect"
import type { Revision } from "../domain/Revision.ts"
import type { BrokenRevision } from "../repository/History.ts"
import { Repository } from "../repository/Repository.ts"
import { select, type SelectError, type Selection } from "./select.ts"

/** The revisions of a repository, oldest first, and what could not be read. */
export interface StatusReport {
  readonly revisions: ReadonlyArray<Revision>
  readonly broken: ReadonlyArray<BrokenRevision>
}

/** Why a status cannot be told. */
export type StatusError = SelectError

/** What is there. Takes no lock and makes nothing. Fails with `SelectError`. */
export const status = Effect.fn("status")(function*(options: {
  /** Without a spec: everything, incomplete revisions too. */
  readonly revisions: Selection | undefined
}): Effect.fn.Return<StatusReport, StatusError, Repository> {
  const repository = yield* Repository
  const history = yield* repository.history
  if (options.revisions !== undefined) {
    // what cannot be read may be meant, too: which revisions the spec names is then not certain
    return { revisions: yield* select(options.revisions), broken: history.broken }
  }
  const revisions = [...history.complete, ...history.incomplete]
  return { revisions, broken: history.broken }
})
