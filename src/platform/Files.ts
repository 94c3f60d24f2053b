/**
 * Names in directories: small helpers over @effect/platform's FileSystem that fail with `IoError`.
 */
import type { PlatformError } from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Effect from "effect/Effect"
import { dirname } from "node:path"
import { BlockFile } from "./BlockFile.ts"
import type { FileStat } from "./Disk.ts"
import { syncDirectory } from "./Durable.ts"
import { isModeRefused } from "./errno.ts"
import { fromPlatform, IoError, isMissing } from "./IoError.ts"
import { tellModeRefused } from "./modes.ts"

const use = <A>(
  path: string,
  run: (system: FileSystem.FileSystem) => Effect.Effect<A, PlatformError>
): Effect.Effect<A, IoError, FileSystem.FileSystem> =>
  Effect.mapError(Effect.flatMap(FileSystem.FileSystem, run), (error) => fromPlatform(error, path))

/** The names in a directory, sorted. */
export const list = (path: string): Effect.Effect<ReadonlyArray<string>, IoError, FileSystem.FileSystem> =>
  Effect.map(use(path, (system) => system.readDirectory(path)), (names) => names.sort())

/** What lies at a path, not following a link there; `undefined` when nothing does. */
export const find = (path: string): Effect.Effect<FileStat | undefined, IoError, BlockFile> =>
  Effect.flatMap(BlockFile, (files) => files.lstat(path)).pipe(
    Effect.catchIf(isMissing, () => Effect.succeed(undefined))
  )

/** Does anything lie at this path, be it a dangling link? */
export const exists = (path: string): Effect.Effect<boolean, IoError, BlockFile> =>
  Effect.map(find(path), (stat) => stat !== undefined)

/** Removes a file or link, not a directory. Not durable before `syncDirectory`. */
export const remove = (path: string): Effect.Effect<void, IoError, BlockFile> =>
  // not the FileSystem's: that one takes an EPERM for a directory's, and says something else
  Effect.flatMap(BlockFile, (files) => files.unlink(path))

/** Removes a file if it is there; tells whether it was. */
export const removeIfPresent = (path: string): Effect.Effect<boolean, IoError, BlockFile> =>
  Effect.as(remove(path), true).pipe(Effect.catchIf(isMissing, () => Effect.succeed(false)))

/** Gives a file a second name. Fails with EEXIST when there is one, with EPERM where the file system gives none. */
export const link = (from: string, to: string): Effect.Effect<void, IoError, FileSystem.FileSystem> =>
  use(to, (system) => system.link(from, to))

/** Renames, replacing a file of the new name. Not durable before `syncDirectory`. */
export const rename = (from: string, to: string): Effect.Effect<void, IoError, FileSystem.FileSystem> =>
  use(to, (system) => system.rename(from, to))

/**
 * Makes a directory durably, with exactly this mode (default 0o750), whatever the umask. Its parent must exist. Fails
 * with EEXIST when anything of that name is there.
 */
export const makeDirectory = Effect.fn("Files.makeDirectory")(
  function*(path: string, mode: number = 0o750): Effect.fn.Return<void, IoError, BlockFile | FileSystem.FileSystem> {
    yield* use(path, (system) => system.makeDirectory(path, { mode }))
    yield* Effect.catchIf(
      use(path, (system) => system.chmod(path, mode)),
      isModeRefused,
      () => tellModeRefused(path)
    )
    yield* syncDirectory(dirname(path))
  }
)

/**
 * Makes a directory durably unless it is there; tells whether it was made. A link or another thing of that name is
 * refused with ENOTDIR.
 */
export const ensureDirectory = Effect.fn("Files.ensureDirectory")(
  function*(path: string, mode: number = 0o750): Effect.fn.Return<boolean, IoError, BlockFile | FileSystem.FileSystem> {
    const there = yield* find(path)
    if (there === undefined) return yield* Effect.as(makeDirectory(path, mode), true)
    if (there.kind === "directory") return false
    return yield* new IoError({ operation: "create directory", path, code: "ENOTDIR" })
  }
)
