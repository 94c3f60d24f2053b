/** What verification put in quarantine. */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as locks from "../repository/locks.ts"
import * as Quarantine from "../repository/Quarantine.ts"
import { Repository } from "../repository/Repository.ts"

/** In a directory that is no repository, or of which a part leads elsewhere, nothing is looked for. */
const checked = Effect.flatMap(Repository, ({ check }) => check)

/** All reports, oldest first; an unreadable one as the error that says why. Takes no lock. */
export const listReports = () => Effect.zipRight(checked, Quarantine.list())

/** One report. Fails with `ReportUnusable`. */
export const showReport = (id: string) => Effect.zipRight(checked, Quarantine.read(id))

/** Deletes a report and the contents that only it names. Fails with `ReportUnusable`, `LockHeld`, `IoError`. */
export const deleteReport = Effect.fn("deleteReport")(function*(options: {
  readonly id: string
  readonly wait: Duration.Duration
}) {
  yield* locks.forEdit(options.wait)
  yield* Quarantine.remove(options.id)
}, Effect.scoped)
