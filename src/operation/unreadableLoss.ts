/**
 * A revision whose metadata cannot be read may be one whose lost content was accepted. Then the revision before it stays
 * until somebody forgets it (`LostContent.keptForLoss`), and damage to one file must not end that.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as ChunkMap from "../domain/ChunkMap.ts"
import { counted } from "../domain/counted.ts"
import type { Revision } from "../domain/Revision.ts"
import type { BrokenRevision, History } from "../repository/History.ts"
import { Repository } from "../repository/Repository.ts"
import { hasData, sizeOf } from "./mapFacts.ts"

/**
 * Which complete revisions stay as long as a broken one may be an accepted loss, and why. A source that is measured by the
 * revisions before it is at least half of the largest of them, so what comes before a loss of size is larger than that:
 * where sizes never change, nothing is kept. Before an image without data anything may come, and where neither size nor
 * data are known. What an alpha wrote accepted no loss.
 */
export const keptForUnreadable = Effect.fnUntraced(function*(history: History) {
  const kept = new Map<Revision, string>()
  for (const broken of history.broken) {
    if (broken.alpha !== undefined) continue
    const map = yield* mapOf(broken)
    const before = kept.size
    for (const revision of history.complete) {
      if (kept.has(revision) || !(yield* mayPrecede(revision, map))) continue
      kept.set(revision, `revision ${broken.id} cannot be read, and its source may have lost content when it was made`)
    }
    if (kept.size === before) continue
    yield* Effect.logWarning(
      `${broken.path} cannot be used (${broken.reason}): ${
        counted(kept.size - before, "revision")
      } that may be the last ` +
        `before its source lost content cannot expire (backy forget -r ${broken.id} gives that revision up)`
    )
  }
  return kept
})

/** The first broken revision, which may be an accepted loss, of whose map this is so. */
export const findUnreadable = Effect.fnUntraced(function*(
  { broken }: Pick<History, "broken">,
  isSo: (map: ChunkMap.ChunkMap) => boolean
) {
  for (const one of broken) {
    if (one.alpha === undefined && Option.exists(yield* mapOf(one), isSo)) return one.id
  }
  return undefined
})

/** What cannot be read of it is unknown, and for verify to say. */
const mapOf = ({ id }: BrokenRevision) =>
  Effect.flatMap(
    Repository,
    ({ unclaimedMap }) => Effect.map(Effect.option(unclaimedMap(id)), Option.flatten)
  )

/** Whether a revision may be the newest one before a loss of which this map is left. */
const mayPrecede = (revision: Revision, map: Option.Option<ChunkMap.ChunkMap>) => {
  if (Option.isNone(map) || !hasData(map.value)) return Effect.succeed(true)
  const { size } = map.value
  return Effect.map(sizeOf(revision), (known) => Option.isNone(known) || known.value > size)
}
