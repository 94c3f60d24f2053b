import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as ChunkId from "../domain/ChunkId.ts"
import * as IdSet from "../domain/IdSet.ts"
import type { RevisionId } from "../domain/RevisionId.ts"
import * as Durable from "../platform/Durable.ts"
import * as Files from "../platform/Files.ts"
import { isTemporary } from "../platform/temporaryName.ts"
import type { History } from "../repository/History.ts"
import * as locks from "../repository/locks.ts"
import { Repository } from "../repository/Repository.ts"
import { ChunkStore, fileName, isLegacyTemporary } from "../store/ChunkStore.ts"
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

/** What was removed, or with a dry run would be. */
export interface PurgeReport {
  readonly chunks: number
  /** Bytes that their files take. */
  readonly bytes: number
  /** Temporary files of killed runs. */
  readonly leftovers: number
  /** Maps that no revision goes with. */
  readonly maps: number
  /** Chunks that kept revisions name. */
  readonly kept: number
  /** Files in the chunk folders that are not backy's; they are left alone. */
  readonly unknown: number
}

/**
 * Removes the chunks that no kept revision names, and what killed runs left. Needs no space. Fails with `PurgeBlocked`
 * when a map cannot be read, `LockHeld`, `RepositoryMissing`, `IoError`; an interrupted purge has removed nothing that
 * is needed, and the next one goes on.
 */
export const purge = Effect.fn("purge")(function*(options: {
  /** Only tells what would be removed. */
  readonly dryRun: boolean
  readonly wait: Duration.Duration
}) {
  const repository = yield* Repository
  if (!options.dryRun) yield* locks.forPurge(options.wait)
  const history = yield* repository.history
  // first, so that what an interrupted upgrade has made is not taken for needed
  if (!options.dryRun) yield* settle(history)
  const { orphans, references } = yield* mark(history)
  const metadata = yield* metadataLeftovers
  // what made revisions vanish must be durable before what they named goes
  if (!options.dryRun) yield* Durable.syncDirectory(repository.directory)
  const swept = yield* sweep(references, options.dryRun)
  if (!options.dryRun) {
    yield* Effect.forEach(orphans, (id) => repository.removeMap(id), { discard: true })
    yield* Effect.forEach(metadata, Files.removeIfPresent, { discard: true })
  }
  return {
    ...swept,
    leftovers: swept.leftovers + metadata.length,
    maps: orphans.length,
    kept: references.size
  } satisfies PurgeReport
}, Effect.scoped)

/** Interrupted upgrades are brought to their end: nobody else is at work. */
const settle = (history: History) =>
  Effect.flatMap(Repository, (repository) =>
    Effect.forEach(
      history.complete,
      (revision) =>
        Effect.catchTag(repository.settle(revision), "MapUnusable", (error) => Effect.logWarning(error.message)),
      { discard: true }
    ))

/** All ids that any map names, whether or not its revision can be read, and the maps that no revision goes with. */
const mark = Effect.fnUntraced(function*(history: History) {
  const repository = yield* Repository
  const references = IdSet.make()
  const orphans: Array<RevisionId> = []
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
    for (const ids of named) {
      for (let offset = 0; offset < ids.length; offset += ChunkId.BYTES) references.add(ids, offset)
    }
  }
  return { orphans, references }
})

/**
 * Temporary files wherever small files are replaced. Who replaces them holds the lock of a backup, as we do. Never
 * through a link: what it leads to is not ours.
 */
const metadataLeftovers = Effect.gen(function*() {
  const { directory } = yield* Repository
  const isOurs = (path: string) => Effect.map(Files.find(path), (stat) => stat?.kind === "directory")
  const places = [directory]
  for (const folder of [`${directory}/chunks`, `${directory}/quarantine`]) {
    if (yield* isOurs(folder)) places.push(folder)
  }
  const contents = `${directory}/quarantine/chunks`
  if (places.includes(`${directory}/quarantine`) && (yield* isOurs(contents))) places.push(contents)
  const found = yield* Effect.forEach(
    places,
    (place) =>
      Effect.map(
        Files.list(place),
        (names) =>
          names.filter((name) => isTemporary(name) || isLegacyTemporary(name)).map((name) => `${place}/${name}`)
      )
  )
  return yield* Effect.filter(found.flat(), (path) => Effect.map(Files.find(path), (stat) => stat?.kind === "file"))
})

const sweep = Effect.fnUntraced(function*(references: IdSet.IdSet, dryRun: boolean) {
  const store = yield* ChunkStore
  const totals = { chunks: 0, bytes: 0, leftovers: 0, unknown: 0 }
  for (const folder of yield* store.folders) {
    const { chunks, leftovers, legacy, unknown } = yield* store.list(folder)
    const unneeded = [
      ...chunks.filter((id) => !references.has(ChunkId.toBytes(id), 0)).map(fileName),
      ...legacy.filter(({ name }) => !references.has(StoredId.ofLegacyName(name), 0)).map(({ file }) => file)
    ]
    totals.bytes += yield* (dryRun ? store.sizeOf : store.remove)(folder, unneeded)
    if (!dryRun) yield* store.remove(folder, leftovers)
    totals.chunks += unneeded.length
    totals.leftovers += leftovers.length
    totals.unknown += unknown.length
  }
  return totals
})
