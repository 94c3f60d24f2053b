import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as ChunkId from "../domain/ChunkId.ts"
import * as IdSet from "../domain/IdSet.ts"
import type { RevisionId } from "../domain/RevisionId.ts"
import * as Files from "../platform/Files.ts"
import type { History } from "../repository/History.ts"
import { Repository } from "../repository/Repository.ts"
import { ChunkStore } from "../store/ChunkStore.ts"
import * as StoredId from "../store/storedId.ts"

/** What a revision needs cannot be known, so nothing may be removed. */
export class PurgeBlocked extends Data.TaggedError("PurgeBlocked")<{
  readonly problem: string
  /** The revision that would have to go, when it is one. */
  readonly revision: RevisionId | undefined
}> {
  override get message() {
    const way = this.revision === undefined ? "" : `; backy forget -r ${this.revision} gives that revision up`
    return `nothing was purged, since it is unknown which chunks are still needed: ${this.problem}${way}`
  }
}

/**
 * All ids that any map names, whether or not its revision can be read; the maps that no revision goes with; and why all
 * chunks of backy 2.5 are to be kept, if they are. Fails with `PurgeBlocked`, `IoError`.
 */
export const neededChunks = Effect.fnUntraced(function*(history: History) {
  const repository = yield* Repository
  const references = IdSet.make()
  const orphans: Array<RevisionId> = []
  const doubts: Array<string> = []
  const ofLegacy = new Map<RevisionId, ReadonlyArray<Uint8Array>>()
  for (const { path, reason } of history.broken) {
    yield* Effect.logWarning(`${path} cannot be used (${reason}); what its chunk map names is kept`)
  }
  const maps = new Set(yield* repository.mapIds)
  for (const revision of history.complete) {
    if (!maps.has(revision.id)) {
      return yield* new PurgeBlocked({
        problem: `revision ${revision.id} has neither chunk map nor image`,
        revision: revision.id
      })
    }
  }
  const known = new Map([...history.complete, ...history.incomplete].map((revision) => [revision.id, revision]))
  const names = new Set(yield* Files.list(repository.directory))
  for (const id of maps) {
    if (!names.has(`${id}.rev`)) {
      orphans.push(id)
      continue
    }
    const named = yield* Effect.mapError(
      repository.references(id, known.get(id)),
      (error) => new PurgeBlocked({ problem: error.message, revision: id })
    )
    for (const ids of [...named.ids, ...named.legacy]) {
      for (let offset = 0; offset < ids.length; offset += ChunkId.BYTES) references.add(ids, offset)
    }
    if (named.doubt !== undefined) doubts.push(`${named.doubt} (backy forget -r ${id} gives that revision up)`)
    if (named.legacy.length > 0) ofLegacy.set(id, named.legacy)
  }
  const lacking = yield* lackingChunk(ofLegacy)
  if (lacking !== undefined) {
    doubts.push(
      `revision ${lacking} names a chunk that is not there, and its map has no digest that would tell whether it was ` +
        `damaged (backy forget -r ${lacking} gives that revision up)`
    )
  }
  const [doubt] = doubts
  if (doubt === undefined) return { orphans, references, legacyKept: undefined }
  const legacyKept = `no chunk of backy 2.5 is removed: ${doubt}`
  yield* Effect.logWarning(legacyKept)
  return { orphans, references, legacyKept }
})

/** A revision of backy 2.5 of which a chunk is missing: the map may have named another one before it was damaged. */
const lackingChunk = Effect.fnUntraced(function*(named: ReadonlyMap<RevisionId, ReadonlyArray<Uint8Array>>) {
  if (named.size === 0) return undefined
  const store = yield* ChunkStore
  const there = IdSet.make()
  for (const folder of yield* store.folders) {
    for (const { name } of (yield* store.list(folder)).legacy) there.add(StoredId.ofLegacyName(name), 0)
  }
  for (const [id, packed] of named) {
    for (const ids of packed) {
      for (let offset = 0; offset < ids.length; offset += ChunkId.BYTES) {
        if (!there.has(ids, offset)) return id
      }
    }
  }
  return undefined
})
