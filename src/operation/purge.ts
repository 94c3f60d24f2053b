import type { FileSystem } from "@effect/platform/FileSystem"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as ChunkId from "../domain/ChunkId.ts"
import type * as IdSet from "../domain/IdSet.ts"
import type { BlockFile } from "../platform/BlockFile.ts"
import * as Durable from "../platform/Durable.ts"
import type { FileLock, LockHeld } from "../platform/FileLock.ts"
import * as Files from "../platform/Files.ts"
import type { IoError } from "../platform/IoError.ts"
import { isTemporary } from "../platform/temporaryName.ts"
import type { History } from "../repository/History.ts"
import * as locks from "../repository/locks.ts"
import { Repository } from "../repository/Repository.ts"
import type { RepositoryMissing } from "../repository/RepositoryError.ts"
import { ChunkStore, fileName, isLegacyTemporary } from "../store/ChunkStore.ts"
import * as StoredId from "../store/storedId.ts"
import * as Finished from "./Finished.ts"
import { neededChunks, type PurgeBlocked } from "./neededChunks.ts"

export { PurgeBlocked } from "./neededChunks.ts"

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
  /** Why chunks of backy 2.5 were all kept, if they were. */
  readonly legacyKept: string | undefined
}

/** Why nothing, or not everything, was purged. */
export type PurgeError = PurgeBlocked | LockHeld | RepositoryMissing | IoError

/**
 * Removes the chunks that no kept revision names, and what killed runs left. Needs no space. Where a revision's metadata
 * cannot be read its map counts; where it is unknown which chunks of backy 2.5 are needed, those are kept. Fails with
 * `PurgeBlocked` when a map cannot be read, `LockHeld`, `RepositoryMissing`, `IoError`; an interrupted purge has removed nothing that
 * is needed, and the next one goes on.
 */
export const purge = Effect.fn("purge")(function*(options: {
  /** Only tells what would be removed. */
  readonly dryRun: boolean
  readonly wait: Duration.Duration
}): Effect.fn.Return<
  PurgeReport,
  PurgeError,
  BlockFile | ChunkStore | FileLock | FileSystem | Repository | Scope.Scope
> {
  const repository = yield* Repository
  if (!options.dryRun) yield* locks.forPurge(options.wait)
  const history = yield* repository.history
  // first, so that what an interrupted upgrade has made is not taken for needed
  if (!options.dryRun) yield* settle(history)
  const { legacyKept, orphans, references } = yield* neededChunks(history)
  const metadata = yield* metadataLeftovers
  // what made revisions vanish must be durable before what they named goes
  if (!options.dryRun) yield* Durable.syncDirectory(repository.directory)
  const { sweeps, totals: swept } = yield* sweep(references, legacyKept === undefined, options.dryRun)
  const rest = [...orphans.map((id) => repository.removeMap(id)), ...metadata.map(Files.removeIfPresent)]
  yield* options.dryRun
    ? Effect.all(sweeps, { discard: true })
    : Finished.inTurn<IoError, Steps>([...sweeps, ...rest])
  return {
    ...swept,
    leftovers: swept.leftovers + metadata.length,
    maps: orphans.length,
    kept: references.size,
    legacyKept
  }
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

/** What removing from a folder takes, or looking at one. */
type Steps = Effect.Effect.Context<ReturnType<typeof Files.removeIfPresent>>

/** A step for each folder, and the totals of those that are done. */
const sweep = Effect.fnUntraced(function*(references: IdSet.IdSet, withLegacy: boolean, dryRun: boolean) {
  const store = yield* ChunkStore
  const totals = { chunks: 0, bytes: 0, leftovers: 0, unknown: 0 }
  const one = Effect.fnUntraced(function*(folder: string) {
    const { chunks, leftovers, legacy, unknown } = yield* store.list(folder)
    const unneeded = [
      ...chunks.filter((id) => !references.has(ChunkId.toBytes(id), 0)).map(fileName),
      ...legacy.filter(({ name }) => withLegacy && !references.has(StoredId.ofLegacyName(name), 0)).map(({ file }) =>
        file
      )
    ]
    totals.bytes += yield* (dryRun ? store.sizeOf : store.remove)(folder, unneeded)
    if (!dryRun) yield* store.remove(folder, leftovers)
    totals.chunks += unneeded.length
    totals.leftovers += leftovers.length
    totals.unknown += unknown.length
  })
  return { totals, sweeps: (yield* store.folders).map(one) }
})
