/** What verification put in quarantine. */
import type { FileSystem } from "@effect/platform/FileSystem"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Either from "effect/Either"
import type * as Scope from "effect/Scope"
import type { RevisionId } from "../domain/RevisionId.ts"
import type { BlockFile } from "../platform/BlockFile.ts"
import type { FileLock, LockHeld } from "../platform/FileLock.ts"
import type { IoError } from "../platform/IoError.ts"
import * as locks from "../repository/locks.ts"
import * as Quarantine from "../repository/Quarantine.ts"
import { Repository } from "../repository/Repository.ts"
import type { RepositoryMissing } from "../repository/RepositoryError.ts"
import * as Finished from "./Finished.ts"

/** In a directory that is no repository, or of which a part leads elsewhere, nothing is looked for. */
const checked = Effect.flatMap(Repository, ({ check }) => check)

/** A report by its id, or why it cannot be read: what it says, or that it cannot be had at all. */
export interface ListedReport {
  readonly id: RevisionId
  readonly report: Either.Either<Quarantine.Report, Quarantine.ReportUnusable | IoError>
}

/** Why reports cannot be listed. */
export type ListReportsError = RepositoryMissing | IoError

/** Why a report cannot be shown. */
export type ShowReportError = Quarantine.ReportUnusable | RepositoryMissing | IoError

/** Why a report is not deleted. */
export type DeleteReportError = Quarantine.ReportUnusable | LockHeld | RepositoryMissing | IoError

/**
 * All reports, oldest first; an unreadable one as the error that says why. Takes no lock. Fails with `RepositoryMissing`,
 * `IoError`.
 */
export const listReports = (): Effect.Effect<
  ReadonlyArray<ListedReport>,
  ListReportsError,
  BlockFile | FileSystem | Repository
> => Effect.zipRight(checked, Quarantine.list())

/** One report. Fails with `ReportUnusable`, `RepositoryMissing`, `IoError`. */
export const showReport = (
  id: string
): Effect.Effect<Quarantine.Report, ShowReportError, BlockFile | Repository> =>
  Effect.zipRight(checked, Quarantine.read(id))

/**
 * Deletes a report and the contents that only it names. Fails with `ReportUnusable`, `LockHeld`, `RepositoryMissing`,
 * `IoError`.
 */
export const deleteReport = Effect.fn("deleteReport")(function*(options: {
  readonly id: string
  readonly wait: Duration.Duration
}): Effect.fn.Return<void, DeleteReportError, BlockFile | FileLock | FileSystem | Repository | Scope.Scope> {
  yield* locks.forEdit(options.wait)
  yield* Finished.lastly(Quarantine.remove(options.id))
}, Effect.scoped)
