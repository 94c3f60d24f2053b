/**
 * Locks on files, held by the kernel (flock(2)): they conflict with those of other programs, and die with the process.
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { dirname } from "node:path"
import { type Descriptor, type Disk, isSame, type Opened } from "./Disk.ts"
import { fromUnknown, type IoError } from "./IoError.ts"
import { type KernelLocks, lockFile, unlockFile } from "./lockFile.ts"
import * as MemoryDisk from "./MemoryDisk.ts"

/** Many may hold a shared lock at a time, or one an exclusive one. */
export type LockMode = "shared" | "exclusive"

/**
 * Somebody else holds the lock, maybe this very process through another `acquire`. `holder` is its command, process id
 * and since when: what an exclusive holder wrote into the file, or what the kernel tells of those who share it.
 */
export class LockHeld extends Data.TaggedError("LockHeld")<{
  readonly path: string
  readonly mode: LockMode
  readonly holder?: string
}> {
  override get message(): string {
    const by = this.holder === undefined ? "another process" : this.holder
    return `${this.path} is locked by ${by}; wait until it ends, or give it time with --wait`
  }
}

/** Somebody else has locked a file that was to be written. `by`: who, in words. */
export class FileInUse extends Data.TaggedError("FileInUse")<{
  readonly path: string
  readonly by: string
}> {
  override get message(): string {
    return `${this.path} is locked by ${this.by}`
  }
}

/**
 * Locks files. Each `acquire` opens the file anew, so a second one in the same process conflicts like one of another
 * process. A symbolic link in the lock file's place is refused (ELOOP).
 */
export class FileLock extends Context.Tag("backy/platform/FileLock")<FileLock, {
  /**
   * Locks until the scope ends, without waiting. The file is made if it is missing; one on a read-only file system or
   * that only others may write is opened for reading. An exclusive holder writes who it is into the file.
   */
  readonly acquire: (path: string, mode: LockMode) => Effect.Effect<void, LockHeld | IoError, Scope.Scope>
  /**
   * Like `acquire`, but gives `false`, holding nothing, when there is no file and none can be made because the file
   * system is read-only or the directory not ours; with `create: false`, whenever there is no file.
   */
  readonly acquireIfPossible: (
    path: string,
    mode: LockMode,
    options?: { readonly create?: boolean }
  ) => Effect.Effect<boolean, LockHeld | IoError, Scope.Scope>
  /**
   * Locks a file that is open, whatever its name is, alone, until the scope ends or it is closed. Nothing is written to
   * it. Fails with `FileInUse` when anybody has locked it, also by fcntl(2).
   */
  readonly acquireOpen: (file: Opened) => Effect.Effect<void, FileInUse | IoError, Scope.Scope>
}>() {}

/** Builds the service from a disk with the lock files and what locks an open one. */
export const make = (disk: Disk, kernel: KernelLocks): Context.Tag.Service<FileLock> => {
  const acquire = (path: string, mode: LockMode, create: "always" | "if-possible" | "never") =>
    Effect.acquireRelease(
      Effect.flatMap(lockFile(disk, kernel, path, mode, create), (locked) =>
        locked._tag === "Held"
          ? new LockHeld({ path, mode, ...(locked.holder === undefined ? {} : { holder: locked.holder }) })
          : Effect.succeed(locked)),
      (locked) => locked._tag === "Locked" ? unlockFile(disk, kernel, locked.descriptor, mode) : Effect.void
    )
  return {
    acquire: (path, mode) => Effect.asVoid(acquire(path, mode, "always")),
    acquireIfPossible: (path, mode, options) =>
      Effect.map(
        acquire(path, mode, options?.create === false ? "never" : "if-possible"),
        (locked) => locked._tag === "Locked"
      ),
    acquireOpen: lockOpened(kernel)
  }
}

const lockOpened = (kernel: KernelLocks): Context.Tag.Service<FileLock>["acquireOpen"] => ({ descriptor, path }) =>
  Effect.acquireRelease(
    Effect.gen(function*() {
      if (!(yield* kernel.lock(descriptor, path, "exclusive"))) {
        return yield* new FileInUse({ path, by: "another process" })
      }
      const by = yield* Effect.try({
        try: () => kernel.foreign(descriptor),
        catch: (cause) => fromUnknown("lock", path, cause)
      }).pipe(Effect.tapError(() => Effect.sync(() => kernel.unlock(descriptor))))
      if (by === undefined) return
      kernel.unlock(descriptor)
      return yield* new FileInUse({ path, by })
    }),
    () => Effect.sync(() => kernel.unlock(descriptor))
  )

/**
 * Lets an acquisition that fails with `LockHeld` try again until `wait` is over; the last attempt is at that moment.
 * Other errors fail at once.
 */
export const within =
  (wait: Duration.DurationInput) => <A, E, R>(acquire: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> => {
    const limit = Duration.decode(wait)
    const polls = Schedule.exponential("50 millis", 1.5).pipe(
      Schedule.union(Schedule.spaced("1 second")),
      Schedule.zipRight(Schedule.elapsed),
      Schedule.modifyDelay((elapsed, delay) => Duration.min(delay, Duration.subtract(limit, elapsed))),
      Schedule.whileOutput((elapsed) => Duration.lessThan(elapsed, limit))
    )
    return Effect.retry(acquire, { schedule: polls, while: (error) => error instanceof LockHeld })
  }

/** `acquire`, trying again until `wait` is over. */
export const acquireWithin = (
  path: string,
  mode: LockMode,
  wait: Duration.DurationInput
): Effect.Effect<void, LockHeld | IoError, FileLock | Scope.Scope> =>
  Effect.flatMap(FileLock, (locks) => locks.acquire(path, mode)).pipe(within(wait))

/** The locks of a simulated machine: those who share it conflict. A power loss leaves a new one. */
export interface LockTable {
  /** Who holds which inode: descriptors, and whether one of them alone. */
  readonly held: Map<string, { readonly mode: LockMode; readonly descriptors: Set<Descriptor> }>
  /** Paths of files that other programs have locked by fcntl(2), and who they are. */
  readonly foreign: Map<string, string>
  /** The lock files, when there is no disk for them. */
  readonly files: MemoryDisk.MemoryDisk
}

/** A machine on which nobody holds a lock. */
export const makeTable = (): LockTable => ({ held: new Map(), foreign: new Map(), files: MemoryDisk.make() })

const tableLocks = (disk: Disk, { foreign, held }: LockTable, prefix = ""): KernelLocks => {
  const keyOf = (descriptor: Descriptor): string => {
    const { dev, ino } = disk.stat(descriptor)
    return `${prefix}${dev}:${ino}`
  }
  const keys = new Map<Descriptor, string>()
  return {
    lock: (descriptor, path, mode) =>
      Effect.map(
        Effect.try({ try: () => keyOf(descriptor), catch: (cause) => fromUnknown("lock", path, cause) }),
        (key) => {
          const others = held.get(key)
          if (others !== undefined && (mode === "exclusive" || others.mode === "exclusive")) return false
          const descriptors = (others?.descriptors ?? new Set()).add(descriptor)
          held.set(key, { mode, descriptors })
          keys.set(descriptor, key)
          return true
        }
      ),
    unlock: (descriptor) => {
      const key = keys.get(descriptor) ?? ""
      const holders = held.get(key)?.descriptors
      holders?.delete(descriptor)
      if (holders?.size === 0) held.delete(key)
    },
    foreign: (descriptor) => {
      const file = disk.stat(descriptor)
      for (const [path, who] of foreign) if (isSame(disk.lstat(path), file)) return who
      return undefined
    },
    // Nobody dies without letting go but by a power loss, which leaves a new table.
    isGone: () => false,
    lockersOf: () => []
  }
}

/**
 * Locks of a simulated machine. With a `disk`, the lock files are on it, as in production; without, they are nowhere,
 * and the names alone conflict. `opened`: the disk of the files that are locked when they are open.
 */
export const layerMemory = (
  table: LockTable = makeTable(),
  disk?: Disk,
  opened: Disk | undefined = disk
): Layer.Layer<FileLock> => {
  if (disk !== undefined) return Layer.succeed(FileLock, make(disk, tableLocks(disk, table)))
  const { files } = table
  const locks = make(files.disk, tableLocks(files.disk, table))
  const inFolder = <A, E, R>(path: string, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.zipRight(Effect.sync(() => files.plantDirectory(dirname(path))), effect)
  return Layer.succeed(FileLock, {
    acquireOpen: opened === undefined
      // a mistake of the test
      ? () => Effect.dieMessage("these locks know no disk with open files")
      : lockOpened(tableLocks(opened, table, "open ")),
    acquire: (path, mode) => inFolder(path, locks.acquire(path, mode)),
    acquireIfPossible: (path, mode, options) => inFolder(path, locks.acquireIfPossible(path, mode, options))
  })
}
