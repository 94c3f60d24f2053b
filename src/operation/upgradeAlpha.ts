import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Revision from "../domain/Revision.ts"
import type { RevisionId } from "../domain/RevisionId.ts"
import * as locks from "../repository/locks.ts"
import { Repository } from "../repository/Repository.ts"

/**
 * Writes the metadata and the map of a revision anew that an alpha of 3.0 made; chunks and images are the same. The
 * metadata is the commit: before it, whatever was done to the map, the next run goes on. Fails with `MapUnusable` when
 * the map is not the one that the alpha wrote, `LockHeld`, `RepositoryMissing`, `IoError`. `done` follows the commit, and no
 * interrupt comes in between.
 */
export const upgradeAlpha = Effect.fn("upgradeAlpha")(function*(
  id: RevisionId,
  wait: Duration.Duration,
  done: Effect.Effect<void>
) {
  yield* locks.forBackup(wait)
  const repository = yield* Repository
  const revision = (yield* repository.history).broken.find((broken) => broken.id === id)?.alpha
  // somebody else was faster
  if (revision === undefined) return
  // one that was never completed, or of backy 2.5, has no map of ours
  if (!revision.isComplete || revision.isLegacy) {
    return yield* Effect.uninterruptible(Effect.zipRight(repository.publish(revision), done))
  }
  const map = yield* repository.readAlphaMap(revision)
  const mapDigest = yield* repository.publishMapBeside(id, map)
  const current = Revision.update(revision, { size: map.size, mapDigest })
  yield* Effect.uninterruptible(
    Effect.all([repository.publish(current), done, repository.settle(current)], { discard: true })
  )
  yield* Effect.logInfo(`revision ${id} of an alpha is upgraded`)
}, Effect.scoped)
