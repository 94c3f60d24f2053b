/** What earlier runs left in a repository. */
import * as Effect from "effect/Effect"
import * as Files from "../platform/Files.ts"
import type { History } from "../repository/History.ts"
import { Repository } from "../repository/Repository.ts"

/** Removes what interrupted backups left; nobody else makes revisions while the lock is held. */
export const withoutIncomplete = Effect.gen(function*() {
  const repository = yield* Repository
  const history = yield* repository.history
  yield* Effect.forEach(history.broken, ({ path, reason }) => Effect.logWarning(`ignoring ${path}: ${reason}`), {
    discard: true
  })
  for (const { id } of history.incomplete) {
    yield* repository.remove(id)
    yield* Effect.logInfo(`removed revision ${id}, which was never completed`)
  }
  yield* withoutLinks
  return {
    history: { ...history, incomplete: [] } satisfies History,
    removed: history.incomplete.map(({ id }) => id)
  }
})

/** Versions before 2.5 of the ancestor kept links to the newest revision, which would point to an old one for ever. */
const withoutLinks = Effect.gen(function*() {
  const { directory } = yield* Repository
  for (const name of ["last", "last.rev"]) {
    const path = `${directory}/${name}`
    if ((yield* Files.find(path))?.kind === "symlink") yield* Files.removeIfPresent(path)
  }
})
