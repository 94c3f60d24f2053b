/** What a new revision is built on. */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type * as ChunkMap from "../domain/ChunkMap.ts"
import type * as Revision from "../domain/Revision.ts"
import type { RevisionId } from "../domain/RevisionId.ts"
import { Repository } from "../repository/Repository.ts"
import type { Changes } from "../source/Source.ts"
import { convert } from "./convert.ts"
import { requireRoom, roomFor } from "./room.ts"

/** A revision whose chunks are durable, and its map. */
export interface Base {
  readonly revision: Revision.Revision
  readonly map: ChunkMap.ChunkMap
  /** What the base holds in its own format, where the map was made of that. */
  readonly held?: ChunkMap.ChunkMap
}

/**
 * The changes since the newest revision that is trusted, whose map can be read, and that the source still knows. One of
 * backy 2.5, or an image, is converted from what is stored: its source need not be read again.
 */
export const findDifference = Effect.fnUntraced(function*(
  content: Changes,
  complete: ReadonlyArray<Revision.Revision>,
  run: RevisionId,
  force: boolean
) {
  const repository = yield* Repository
  let candidates = complete.toReversed().filter(({ isTrusted }) => isTrusted)
  while (true) {
    const { base: id, changes } = yield* content.since(candidates.map((revision) => revision.id))
    const revision = candidates.find((candidate) => candidate.id === id)
    if (revision === undefined) return { base: undefined, changes }
    const map = yield* Effect.either(baseMap(revision, run, force))
    if (Either.isRight(map) && map.right.map.chunkSize === repository.chunkSize) {
      return { base: { revision, ...map.right } satisfies Base, changes }
    }
    if (Either.isLeft(map) && map.left._tag === "SpaceLacking") return yield* map.left
    const why = Either.isLeft(map) ? map.left.message : "its chunks have another size"
    yield* Effect.logWarning(`cannot build on revision ${revision.id}: ${why}`)
    candidates = candidates.filter((candidate) => candidate !== revision)
  }
})

const baseMap = Effect.fnUntraced(function*(revision: Revision.Revision, run: RevisionId, force: boolean) {
  const repository = yield* Repository
  const image = yield* repository.readMap(revision)
  if (revision.backendType === "chunked-v4" || image.chunkSize !== repository.chunkSize) return { map: image }
  const room = yield* roomFor([revision])
  yield* Effect.logInfo(
    `revision ${revision.id} is in an old format; what has not changed since is converted, which takes up to ` +
      `${Math.ceil(room.needed / 2 ** 20)} MiB until the old revisions are gone (backy upgrade converts them)`
  )
  yield* requireRoom(room, force)
  return { map: yield* convert({ image, known: undefined, run }), held: image }
})

/** The newest trusted revision whose map can be read. Without one every block is looked up by its hash. */
export const findBase = Effect.fnUntraced(function*(complete: ReadonlyArray<Revision.Revision>) {
  const repository = yield* Repository
  for (const revision of complete.toReversed()) {
    if (!revision.isTrusted || revision.backendType !== "chunked-v4") continue
    const map = yield* Effect.either(repository.readMap(revision))
    if (Either.isRight(map)) return { revision, map: map.right } satisfies Base
    yield* Effect.logWarning(`cannot build on revision ${revision.id}: ${map.left.message}`)
  }
  return undefined
})
