/**
 * The two kernel locks of a repository, `.backup` and `.purge`, and who takes which (docs/reliability.md). The order
 * is always `.backup` first, and nobody waits for `.backup` while holding `.purge`.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as FileLock from "../platform/FileLock.ts"
import type { IoError } from "../platform/IoError.ts"
import { Repository } from "./Repository.ts"
import type { RepositoryMissing } from "./RepositoryError.ts"

type Locked = Effect.Effect<
  void,
  FileLock.LockHeld | RepositoryMissing | IoError,
  Repository | FileLock.FileLock | Scope.Scope
>

/** How long a backup waits for a purge or restore that is under way, at least. */
const PURGE_PATIENCE = Duration.minutes(5)

const take = (name: ".backup" | ".purge", mode: FileLock.LockMode, wait: Duration.Duration): Locked =>
  Effect.flatMap(
    Repository,
    // no lock files in a directory that is none of ours
    // who takes `.purge` enters the folders with chunks
    ({ check, directory, inspectFolders }) =>
      Effect.zipRight(
        Effect.zipRight(check, name === ".purge" ? inspectFolders : Effect.void),
        FileLock.acquireWithin(`${directory}/${name}`, mode, wait)
      )
  )

/** For a backup: alone with the revisions, and nobody purges meanwhile. */
export const forBackup = (wait: Duration.Duration): Locked =>
  Effect.zipRight(take(".backup", "exclusive", wait), take(".purge", "shared", Duration.max(wait, PURGE_PATIENCE)))

/** For a purge: alone. */
export const forPurge = (wait: Duration.Duration): Locked =>
  Effect.zipRight(take(".backup", "exclusive", wait), take(".purge", "exclusive", wait))

/** For changes to revisions' metadata: alone with the revisions. */
export const forEdit = (wait: Duration.Duration): Locked => take(".backup", "exclusive", wait)

const takeIfPossible = (name: ".backup" | ".purge", mode: FileLock.LockMode, wait: Duration.Duration): Locked =>
  Effect.flatMap(
    Effect.all([Repository, FileLock.FileLock]),
    ([{ check, directory, inspectFolders }, locks]) =>
      locks.acquireIfPossible(`${directory}/${name}`, mode).pipe(
        FileLock.within(wait),
        (acquired) => Effect.zipRight(Effect.zipRight(check, inspectFolders), acquired),
        Effect.asVoid
      )
  )

/** For reading chunks: nobody purges meanwhile. Beside a read-only copy without lock files there is nobody to fear. */
export const forReading = (wait: Duration.Duration): Locked => takeIfPossible(".purge", "shared", wait)

/** For writing down what was read: as for a backup, and without locks on a read-only copy. */
export const forRecording = (wait: Duration.Duration): Locked =>
  Effect.zipRight(takeIfPossible(".backup", "exclusive", wait), takeIfPossible(".purge", "shared", wait))
