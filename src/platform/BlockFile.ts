/**
 * Positional, durable I/O on files and block devices, as effects.
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { Extent } from "../domain/Extent.ts"
import type { Descriptor, Disk, FileStat, Opened, OpenOptions } from "./Disk.ts"
import { errnoError } from "./errno.ts"
import { fromUnknown, IoError } from "./IoError.ts"

/**
 * An open file. Offsets and lengths are bytes. A system call that has begun is waited for, so an interrupted fiber
 * never leaves one behind that touches a buffer or a descriptor already given to someone else. After `close` every
 * method fails with EBADF.
 */
export interface OpenFile extends Opened {
  /** Fills `buffer` from `position` on; returns how many bytes came: fewer than its length only at the end. */
  readonly readAt: (buffer: Uint8Array, position: number) => Effect.Effect<number, IoError>
  /** Writes all of `bytes` at `position`. After a failure some of them may have been written. */
  readonly writeAt: (bytes: Uint8Array, position: number) => Effect.Effect<void, IoError>
  /** Content and metadata are on the medium, or it fails. After a failure the content is lost: do not try again. */
  readonly sync: Effect.Effect<void, IoError>
  /** Like `sync`, without metadata that is not needed to read the content (times, mode). */
  readonly datasync: Effect.Effect<void, IoError>
  /** Cuts the file, or extends it with a hole. Fails with EINVAL on a block device. */
  readonly truncate: (size: number) => Effect.Effect<void, IoError>
  readonly stat: Effect.Effect<FileStat, IoError>
  /** The parts of a range that may hold data; the rest of it reads as zeros. All of it where the kernel cannot tell. */
  readonly dataExtents: (offset: number, length: number) => Effect.Effect<ReadonlyArray<Extent>, IoError>
  /** Makes a range read as zeros without writing them; `false`: not possible here, nothing was changed. */
  readonly punch: (offset: number, length: number) => Effect.Effect<boolean, IoError>
  /** Asks the kernel to forget cached pages of a range, so that the next read comes from the medium. */
  readonly dropCache: (offset: number, length: number) => Effect.Effect<void>
  /**
   * Closes the file; a write error that the kernel kept back until now fails it. Closing again does nothing. A scope
   * that finds the file open closes it too, but can only log what goes wrong.
   */
  readonly close: Effect.Effect<void, IoError>
}

/** Opens files. Symbolic links in the last component of a path are refused (ELOOP) unless `follow`. */
export class BlockFile extends Context.Tag("backy/platform/BlockFile")<BlockFile, {
  /** Opens a file until the scope ends. */
  readonly open: (path: string, options: OpenOptions) => Effect.Effect<OpenFile, IoError, Scope.Scope>
  /** Opens a file for the time of `use`, and closes it; an error at closing fails the whole. */
  readonly withFile: <A, E, R>(
    path: string,
    options: OpenOptions,
    use: (file: OpenFile) => Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | IoError, R>
  /** Examines what lies at a path, without following a link in its last component. */
  readonly lstat: (path: string) => Effect.Effect<FileStat, IoError>
  /** Removes a file or link, never a directory. Not durable before the directory is synced. */
  readonly unlink: (path: string) => Effect.Effect<void, IoError>
}>() {}

/** A system call threw. Only between a driver and the service, which says what was attempted where. */
export class CallFailed extends Data.TaggedError("CallFailed")<{ readonly cause: unknown }> {}

/** The calls of `Disk` that an open file needs, as effects. */
export type Driver = {
  readonly [
    Call in
      | "close"
      | "datasync"
      | "dropCache"
      | "lstat"
      | "nextData"
      | "open"
      | "punch"
      | "read"
      | "stat"
      | "sync"
      | "truncate"
      | "unlink"
      | "write"
  ]: (...args: Parameters<Disk[Call]>) => Effect.Effect<ReturnType<Disk[Call]>, CallFailed>
}

const makeFile = (driver: Driver, descriptor: Descriptor, path: string): OpenFile => {
  let closed = false
  const call = <A>(operation: string, run: () => Effect.Effect<A, CallFailed>): Effect.Effect<A, IoError> =>
    Effect.suspend(() => closed ? new CallFailed({ cause: errnoError("EBADF", operation, path) }) : run()).pipe(
      Effect.mapError(({ cause }) => fromUnknown(operation, path, cause)),
      // The descriptor must not be closed, nor the buffer reused, while the kernel works on them.
      Effect.uninterruptible
    )
  return {
    path,
    descriptor,
    readAt: Effect.fnUntraced(function*(buffer, position) {
      let done = 0
      while (done < buffer.length) {
        const at = done
        const count = yield* call("read", () => driver.read(descriptor, buffer.subarray(at), position + at))
        if (count === 0) break
        done += count
      }
      return done
    }),
    writeAt: Effect.fnUntraced(function*(bytes, position) {
      let done = 0
      while (done < bytes.length) {
        const at = done
        const count = yield* call("write", () => driver.write(descriptor, bytes.subarray(at), position + at))
        if (count === 0) {
          return yield* new IoError({ operation: "write", path, code: "EIO", detail: "nothing was written" })
        }
        done += count
      }
    }),
    sync: call("sync", () => driver.sync(descriptor)),
    datasync: call("sync", () => driver.datasync(descriptor)),
    truncate: (size) => call("truncate", () => driver.truncate(descriptor, size)),
    stat: call("examine", () => driver.stat(descriptor)),
    dataExtents: Effect.fnUntraced(function*(offset, length) {
      const extents: Array<Extent> = []
      const end = offset + length
      for (let position = offset; position < end;) {
        const from = position
        const data = yield* call("find data in", () => driver.nextData(descriptor, from))
        if (data === undefined || data.offset >= end) break
        const start = Math.max(data.offset, position)
        const stop = Math.min(data.offset + data.length, end)
        extents.push({ offset: start, length: stop - start })
        position = stop
      }
      return extents
    }),
    punch: (offset, length) => call("punch a hole into", () => driver.punch(descriptor, offset, length)),
    dropCache: (offset, length) => Effect.ignore(call("read", () => driver.dropCache(descriptor, offset, length))),
    close: Effect.suspend(() => {
      if (closed) return Effect.void
      closed = true
      return driver.close(descriptor)
    }).pipe(Effect.mapError(({ cause }) => fromUnknown("close", path, cause)), Effect.uninterruptible)
  }
}

/** Builds the service from the calls of one kind of disk. */
export const make = (driver: Driver): Context.Tag.Service<BlockFile> => {
  const openFile = (path: string, options: OpenOptions): Effect.Effect<OpenFile, IoError> =>
    driver.open(path, options).pipe(
      Effect.mapError(({ cause }) => fromUnknown(options.create === "exclusive" ? "create" : "open", path, cause)),
      Effect.map((descriptor) => makeFile(driver, descriptor, path))
    )
  return {
    open: (path, options) =>
      Effect.acquireRelease(
        openFile(path, options),
        (file) => Effect.catchAll(file.close, (error) => Effect.logWarning(error.message))
      ),
    withFile: (path, options, use) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.flatMap(
          openFile(path, options),
          (file) =>
            Effect.flatMap(Effect.exit(restore(Effect.suspend(() => use(file)))), (used) =>
              // Both causes when both fail.
              Effect.flatMap(Effect.exit(file.close), (close) => Exit.zipLeft(used, close)))
        )
      ),
    lstat: (path) => Effect.mapError(driver.lstat(path), ({ cause }) => fromUnknown("examine", path, cause)),
    unlink: (path) => Effect.mapError(driver.unlink(path), ({ cause }) => fromUnknown("remove", path, cause))
  }
}

/** A synchronous call as an effect. */
export const attempt = <A>(run: () => A): Effect.Effect<A, CallFailed> =>
  Effect.try({ try: run, catch: (cause) => new CallFailed({ cause }) })

/** Lifts a synchronous disk; everything happens at once, so it also runs in a simulation. */
export const driverOf = (disk: Disk): Driver => ({
  close: (descriptor) => attempt(() => disk.close(descriptor)),
  datasync: (descriptor) => attempt(() => disk.datasync(descriptor)),
  dropCache: (descriptor, offset, length) => attempt(() => disk.dropCache(descriptor, offset, length)),
  lstat: (path) => attempt(() => disk.lstat(path)),
  nextData: (descriptor, position) => attempt(() => disk.nextData(descriptor, position)),
  open: (path, options) => attempt(() => disk.open(path, options)),
  punch: (descriptor, offset, length) => attempt(() => disk.punch(descriptor, offset, length)),
  read: (descriptor, buffer, position) => attempt(() => disk.read(descriptor, buffer, position)),
  stat: (descriptor) => attempt(() => disk.stat(descriptor)),
  sync: (descriptor) => attempt(() => disk.sync(descriptor)),
  truncate: (descriptor, size) => attempt(() => disk.truncate(descriptor, size)),
  unlink: (path) => attempt(() => disk.unlink(path)),
  write: (descriptor, buffer, position) => attempt(() => disk.write(descriptor, buffer, position))
})

/** Files of any `Disk`: a simulated one in tests, or the real one where blocking the thread does no harm. */
export const layerDisk = (disk: Disk): Layer.Layer<BlockFile> => Layer.succeed(BlockFile, make(driverOf(disk)))
