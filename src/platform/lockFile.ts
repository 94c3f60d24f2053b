/**
 * How a lock file is opened, locked, signed and let go: the same for the kernel's locks and for simulated ones.
 */
import * as Effect from "effect/Effect"
import { hostname } from "node:os"
import { type Descriptor, type Disk, kindWords } from "./Disk.ts"
import { errnoError, hasCode } from "./errno.ts"
import { fromUnknown, IoError } from "./IoError.ts"
import { type Holder, holderText, MAX_HOLDER, parseHolder } from "./LockHolder.ts"
import type { Locker } from "./procLocks.ts"

/** Locks open files. */
export interface KernelLocks {
  /** Tries to lock without waiting: `false` when others hold it. */
  readonly lock: (
    descriptor: Descriptor,
    path: string,
    mode: "shared" | "exclusive"
  ) => Effect.Effect<boolean, IoError>
  /** Who holds a lock of another kind on it, as a running VM does; `undefined`: nobody. May throw. */
  readonly foreign: (descriptor: Descriptor) => string | undefined
  /** Called before the descriptor is closed, which unlocks it. */
  readonly unlock: (descriptor: Descriptor) => void
  /** Is this surely not the holder, because it has ended? */
  readonly isGone: (holder: Holder) => boolean
  /** Who holds a lock on a file, as far as that can be told. */
  readonly lockersOf: (path: string) => ReadonlyArray<Locker>
}

/** What came of an attempt. */
export type Attempt =
  | { readonly _tag: "Locked"; readonly descriptor: Descriptor }
  | { readonly _tag: "Held"; readonly holder: string | undefined }
  | { readonly _tag: "NoFile" }

const LOCK_FILE_MODE = 0o640

const isRefused = (cause: unknown): boolean =>
  hasCode(cause, "EROFS") || hasCode(cause, "EACCES") || hasCode(cause, "EPERM")

/** Opens the lock file, for writing if it is to be signed and we may; `undefined` when there is none. */
const open = (
  disk: Disk,
  path: string,
  mode: "shared" | "exclusive",
  create: "always" | "if-possible" | "never"
): Descriptor | undefined => {
  const access = mode === "exclusive" ? "read-write" : "read"
  try {
    // a link is refused by open itself; to open a device does something to it
    const { kind } = disk.lstat(path)
    if (kind !== "file" && kind !== "symlink") {
      throw new IoError({ operation: "lock", path, code: "EINVAL", detail: `it is ${kindWords[kind]}, not a file` })
    }
    return disk.open(path, { access })
  } catch (cause) {
    if (isRefused(cause) && access !== "read") return disk.open(path, { access: "read" })
    if (!hasCode(cause, "ENOENT")) throw cause
  }
  if (create === "never") return undefined
  try {
    return disk.open(path, { access, create: "if-missing", mode: LOCK_FILE_MODE })
  } catch (cause) {
    if (create === "if-possible" && isRefused(cause)) return undefined
    throw cause
  }
}

/** Is the locked file still the one that others find under its name? */
const isCurrent = (disk: Disk, descriptor: Descriptor, path: string): boolean => {
  try {
    const ours = disk.stat(descriptor)
    const named = disk.lstat(path)
    return ours.dev === named.dev && ours.ino === named.ino
  } catch {
    return false
  }
}

const readHolder = (disk: Disk, descriptor: Descriptor): Holder | undefined => {
  try {
    const buffer = new Uint8Array(MAX_HOLDER)
    return parseHolder(buffer.subarray(0, disk.read(descriptor, buffer, 0)))
  } catch {
    return undefined
  }
}

/**
 * Whom to name: one who holds the lock alone has signed the file; those who share it have not, and what stands there may
 * be left by somebody who was killed.
 */
const nameHolder = (kernel: KernelLocks, path: string, signed: Holder | undefined): string | undefined => {
  const lockers = kernel.lockersOf(path)
  const [first, ...others] = lockers
  if (signed !== undefined && !kernel.isGone(signed)) {
    // what another machine does on a file system that both have is not in our /proc
    if (first === undefined || signed.host !== hostname() || lockers.some(({ pid }) => pid === signed.pid)) {
      return signed.text
    }
  }
  return first && others.length > 0 ? `${first.text}, and ${others.length} more` : first?.text
}

/** A full disk, or a file that was opened for reading, does not keep us from locking. */
const sign = (disk: Disk, descriptor: Descriptor, text: string): void => {
  try {
    // by a second name it may be anybody's file, such as one of a copy that cp -al made
    if (disk.stat(descriptor).nlink > 1) return
    disk.truncate(descriptor, 0)
    if (text !== "") disk.write(descriptor, new TextEncoder().encode(text), 0)
  } catch {
    return
  }
}

const close = (disk: Disk, descriptor: Descriptor): void => {
  try {
    disk.close(descriptor)
  } catch {
    // It is closed all the same, and nothing of worth was in it.
  }
}

/** Opens and locks. Not interruptible half-way when used as the acquisition of a resource. */
export const lockFile = (
  disk: Disk,
  kernel: KernelLocks,
  path: string,
  mode: "shared" | "exclusive",
  create: "always" | "if-possible" | "never",
  attempts = 3
): Effect.Effect<Attempt, IoError> =>
  Effect.gen(function*() {
    const descriptor = yield* Effect.try({
      try: () => open(disk, path, mode, create),
      catch: (cause) => fromUnknown("lock", path, cause)
    })
    if (descriptor === undefined) return { _tag: "NoFile" }
    const locked = yield* Effect.tapError(kernel.lock(descriptor, path, mode), () =>
      Effect.sync(() => close(disk, descriptor)))
    if (!locked) {
      const holder = readHolder(disk, descriptor)
      close(disk, descriptor)
      return { _tag: "Held", holder: nameHolder(kernel, path, holder) }
    }
    if (isCurrent(disk, descriptor, path)) {
      if (mode === "exclusive") {
        sign(disk, descriptor, `${yield* holderText}\n`)
      }
      return { _tag: "Locked", descriptor }
    }
    // Somebody removed or replaced the file between our opening and our locking it.
    kernel.unlock(descriptor)
    close(disk, descriptor)
    if (attempts > 1) {
      return yield* lockFile(disk, kernel, path, mode, create, attempts - 1)
    }
    return yield* fromUnknown("lock", path, errnoError("ESTALE", "flock", path))
  })

/** Wipes the signature and lets go. */
export const unlockFile = (
  disk: Disk,
  kernel: KernelLocks,
  descriptor: Descriptor,
  mode: "shared" | "exclusive"
): Effect.Effect<void> =>
  Effect.sync(() => {
    if (mode === "exclusive") sign(disk, descriptor, "")
    kernel.unlock(descriptor)
    close(disk, descriptor)
  })
