/**
 * The real files: `BlockFile` over Node's asynchronous calls, so that a long fsync never holds up the main thread.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as FS from "node:fs"
import { attempt, BlockFile, CallFailed, type Driver, driverOf, make } from "./BlockFile.ts"
import type { Descriptor, FileStat, OpenOptions } from "./Disk.ts"
import { errnoError, hasCode, isModeRefused } from "./errno.ts"
import { isUnsupported, kernel } from "./kernel.ts"
import { tellModeRefused } from "./modes.ts"
import { nodeDisk } from "./nodeDisk.ts"
import { toFileStat } from "./nodeStat.ts"
import { DEFAULT_MODE, MAX_TRANSFER, openFlags } from "./openFlags.ts"

/** One callback-style call. It cannot be taken back: the service sees to it that nobody tries. */
const call = <A>(run: (done: (error: Error | null, value: A) => void) => void): Effect.Effect<A, CallFailed> =>
  Effect.async<A, CallFailed>((resume) => {
    const done = (error: Error | null, value: A) =>
      resume(error === null ? Effect.succeed(value) : new CallFailed({ cause: error }))
    try {
      run(done)
    } catch (cause) {
      resume(new CallFailed({ cause }))
    }
  })

const close = (descriptor: Descriptor): Effect.Effect<void, CallFailed> =>
  call<void>((done) => FS.close(descriptor, done))

const openExisting = (path: string, options: OpenOptions): Effect.Effect<Descriptor, CallFailed> =>
  call<Descriptor>((done) => FS.open(path, openFlags(options, false), done))

/** Creates, with exactly this mode whatever the umask. */
const createExclusively = (path: string, options: OpenOptions): Effect.Effect<Descriptor, CallFailed> => {
  const mode = options.mode ?? DEFAULT_MODE
  return Effect.flatMap(
    call<Descriptor>((done) => FS.open(path, openFlags(options, true), mode, done)),
    (descriptor) =>
      call<void>((done) => FS.fchmod(descriptor, mode, done)).pipe(
        Effect.catchIf(({ cause }) => isModeRefused(cause), () => tellModeRefused(path)),
        Effect.tapError(() =>
          Effect.ignore(Effect.zipRight(close(descriptor), call<void>((done) => FS.unlink(path, done))))
        ),
        Effect.as(descriptor)
      )
  )
}

/** Another process may create or remove the file between the two attempts; it will not do so for ever. */
const openOrCreate = (path: string, options: OpenOptions, attempts: number): Effect.Effect<Descriptor, CallFailed> =>
  createExclusively(path, options).pipe(
    Effect.catchIf(({ cause }) => hasCode(cause, "EEXIST"), () => openExisting(path, options)),
    Effect.catchIf(
      ({ cause }) => hasCode(cause, "ENOENT") && attempts > 1,
      () => openOrCreate(path, options, attempts - 1)
    )
  )

const open = (path: string, options: OpenOptions): Effect.Effect<Descriptor, CallFailed> =>
  options.truncate === true && options.access === "read"
    ? new CallFailed({ cause: errnoError("EINVAL", "open", path) })
    : options.create === "exclusive"
    ? createExclusively(path, options)
    : options.create === "if-missing"
    ? openOrCreate(path, options, 3)
    : openExisting(path, options)

const punch = (descriptor: Descriptor, offset: number, length: number): Effect.Effect<boolean, CallFailed> =>
  length === 0
    ? Effect.succeed(true)
    : Effect.promise(() => kernel().punchHoleAsync(descriptor, offset, length)).pipe(
      Effect.flatMap((answer) =>
        answer.ok
          ? Effect.succeed(true)
          : isUnsupported(answer.code)
          ? Effect.succeed(false)
          : new CallFailed({ cause: errnoError(answer.code, "fallocate") })
      )
    )

const stat = (
  descriptor: Descriptor | undefined,
  run: (done: (error: Error | null, stats: FS.BigIntStats) => void) => void
): Effect.Effect<FileStat, CallFailed> =>
  Effect.flatMap(call(run), (stats) =>
    // The size of a device is asked elsewhere, and that may fail too.
    attempt(() => toFileStat(stats, descriptor)))

const driver: Driver = {
  // Asking where data lies and dropping caches take microseconds.
  ...driverOf(nodeDisk),
  open,
  close,
  punch,
  datasync: (descriptor) => call<void>((done) => FS.fdatasync(descriptor, done)),
  lstat: (path) => stat(undefined, (done) => FS.lstat(path, { bigint: true }, done)),
  read: (descriptor, buffer, position) =>
    call<number>((done) => FS.read(descriptor, buffer, 0, Math.min(buffer.length, MAX_TRANSFER), position, done)).pipe(
      Effect.retry({ while: ({ cause }) => hasCode(cause, "EINTR") })
    ),
  stat: (descriptor) => stat(descriptor, (done) => FS.fstat(descriptor, { bigint: true }, done)),
  sync: (descriptor) => call<void>((done) => FS.fsync(descriptor, done)),
  truncate: (descriptor, size) => call<void>((done) => FS.ftruncate(descriptor, size, done)),
  unlink: (path) => call<void>((done) => FS.unlink(path, done)),
  write: (descriptor, buffer, position) =>
    call<number>((done) => FS.write(descriptor, buffer, 0, Math.min(buffer.length, MAX_TRANSFER), position, done)).pipe(
      Effect.retry({ while: ({ cause }) => hasCode(cause, "EINTR") })
    )
}

/** The real files. */
export const layer: Layer.Layer<BlockFile> = Layer.succeed(BlockFile, make(driver))
