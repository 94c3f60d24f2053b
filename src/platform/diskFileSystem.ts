/**
 * @effect/platform's FileSystem over any `Disk`: for simulations, where everything must happen at once.
 *
 * Owners, symbolic links, times and watching are not known to a `Disk`: those methods fail with ENOSYS. Modes are
 * not narrowed by a umask. Relative paths are the disk's business; `realPath` takes them from the root.
 */
import { type PlatformError, SystemError, type SystemErrorReason } from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Stream from "effect/Stream"
import { dirname, join } from "node:path"
import type { Disk } from "./Disk.ts"
import { makeFile, openOptions, toInfo, writeAll } from "./diskFile.ts"
import { codeOf, errnoError } from "./errno.ts"
import { temporaryName, uniqueFrom } from "./temporaryName.ts"

const reasons: Record<string, SystemErrorReason> = {
  EACCES: "PermissionDenied",
  EBUSY: "Busy",
  EEXIST: "AlreadyExists",
  EISDIR: "BadResource",
  ELOOP: "BadResource",
  ENOENT: "NotFound",
  ENOTDIR: "BadResource"
}

/** The error that the real FileSystem gives for what a call threw. */
const platformError = (method: string, path: string, cause: unknown): PlatformError =>
  new SystemError({
    reason: reasons[codeOf(cause)] ?? "Unknown",
    module: "FileSystem",
    method,
    pathOrDescriptor: path,
    description: cause instanceof Error ? cause.message : String(cause),
    cause
  })

const attempt = <A>(method: string, path: string, run: () => A): Effect.Effect<A, PlatformError> =>
  Effect.try({ try: run, catch: (cause) => platformError(method, path, cause) })

const unsupported = (method: string, path: string): PlatformError =>
  platformError(method, path, errnoError("ENOSYS", method, path))

/** Follows links, also in the last place; the path itself need not be normal. */
const canonical = (disk: Disk, path: string): string => {
  const ahead = path.split("/").reverse()
  let links = 0
  let found = "/"
  for (let name = ahead.pop(); name !== undefined; name = ahead.pop()) {
    if (name === "" || name === ".") continue
    if (name === "..") {
      found = dirname(found)
      continue
    }
    const next = join(found, name)
    if (disk.lstat(next).kind !== "symlink") {
      found = next
      continue
    }
    if (++links > 40) throw errnoError("ELOOP", "realpath", path)
    const target = disk.readLink(next)
    if (target.startsWith("/")) found = "/"
    ahead.push(...target.split("/").reverse())
  }
  return found
}

const listRecursively = (disk: Disk, path: string, prefix = ""): Array<string> =>
  disk.list(join(path, prefix)).flatMap((name) => {
    const at = join(prefix, name)
    return disk.lstat(join(path, at)).kind === "directory" ? [at, ...listRecursively(disk, path, at)] : [at]
  })

const makeDirectories = (disk: Disk, path: string, mode: number): void => {
  try {
    disk.makeDirectory(path, mode)
  } catch (cause) {
    const code = codeOf(cause)
    if (code === "ENOENT" && dirname(path) !== path) {
      makeDirectories(disk, dirname(path), mode)
      disk.makeDirectory(path, mode)
    } else if (code !== "EEXIST" || disk.lstat(canonical(disk, path)).kind !== "directory") {
      throw cause
    }
  }
}

const remove = (disk: Disk, path: string, options: FileSystem.RemoveOptions | undefined): void => {
  try {
    if (disk.lstat(path).kind !== "directory") return disk.unlink(path)
  } catch (cause) {
    if (options?.force === true && codeOf(cause) === "ENOENT") return
    throw cause
  }
  if (options?.recursive !== true) throw errnoError("EISDIR", "rm", path)
  for (const name of disk.list(path)) remove(disk, join(path, name), options)
  disk.removeDirectory(path)
}

const readWhole = (disk: Disk, path: string): Uint8Array => {
  const descriptor = disk.open(path, { access: "read", follow: true })
  try {
    let bytes = new Uint8Array(disk.stat(descriptor).size + 1)
    let done = 0
    for (;;) {
      const count = disk.read(descriptor, bytes.subarray(done), done)
      if (count === 0) return bytes.slice(0, done)
      done += count
      if (done === bytes.length) {
        const longer = new Uint8Array(done * 2)
        longer.set(bytes)
        bytes = longer
      }
    }
  } finally {
    disk.close(descriptor)
  }
}

const writeWhole = (
  disk: Disk,
  path: string,
  data: Uint8Array,
  options: FileSystem.WriteFileOptions | undefined
): void => {
  const { append, open } = openOptions(options?.flag ?? "w", options?.mode)
  const descriptor = disk.open(path, open)
  try {
    writeAll(disk, descriptor, data, append ? disk.stat(descriptor).size : 0)
  } catch (cause) {
    try {
      disk.close(descriptor)
    } catch {
      // The first error is the one to tell.
    }
    throw cause
  }
  disk.close(descriptor)
}

const copy = (disk: Disk, from: string, to: string, overwrite: boolean): void => {
  const stat = disk.lstat(canonical(disk, from))
  if (stat.kind !== "directory") {
    return writeWhole(disk, to, readWhole(disk, from), { flag: overwrite ? "w" : "wx", mode: stat.mode })
  }
  makeDirectories(disk, to, stat.mode)
  for (const name of disk.list(from)) copy(disk, join(from, name), join(to, name), overwrite)
}

const makeTemporary = (
  disk: Disk,
  method: string,
  options: FileSystem.MakeTempDirectoryOptions | undefined
): Effect.Effect<string, PlatformError> =>
  Effect.flatMap(Effect.replicateEffect(Random.nextIntBetween(0, 36), 12), (numbers) => {
    const name = temporaryName(options?.prefix ?? "", uniqueFrom(() => numbers.pop() ?? 0)).slice(1)
    const path = join(options?.directory ?? "/tmp", name)
    return Effect.as(attempt(method, path, () => makeDirectories(disk, path, 0o700)), path)
  })

/** The service over `disk`. */
const make = (disk: Disk): FileSystem.FileSystem => {
  const makeTempDirectory: FileSystem.FileSystem["makeTempDirectory"] = (options) =>
    makeTemporary(disk, "makeTempDirectory", options)
  const makeTempFile: FileSystem.FileSystem["makeTempFile"] = (options) =>
    Effect.flatMap(makeTemporary(disk, "makeTempFile", options), (directory) => {
      const path = join(directory, `file${options?.suffix ?? ""}`)
      return Effect.as(attempt("makeTempFile", path, () => writeWhole(disk, path, new Uint8Array(0), undefined)), path)
    })
  const removeQuietly = (path: string) =>
    Effect.ignore(attempt("remove", path, () => remove(disk, path, { recursive: true })))
  return FileSystem.make({
    access: (path) => attempt("access", path, () => void disk.lstat(canonical(disk, path))),
    chmod: (path, mode) => attempt("chmod", path, () => disk.chmod(canonical(disk, path), mode)),
    chown: (path) => Effect.fail(unsupported("chown", path)),
    copy: (from, to, options) => attempt("copy", from, () => copy(disk, from, to, options?.overwrite ?? false)),
    copyFile: (from, to) =>
      attempt(
        "copyFile",
        from,
        () => writeWhole(disk, to, readWhole(disk, from), { mode: disk.lstat(canonical(disk, from)).mode })
      ),
    link: (from, to) => attempt("link", from, () => disk.link(from, to)),
    makeDirectory: (path, options) =>
      attempt("makeDirectory", path, () => {
        const mode = options?.mode ?? 0o755
        if (options?.recursive === true) makeDirectories(disk, path, mode)
        else disk.makeDirectory(path, mode)
      }),
    makeTempDirectory,
    makeTempDirectoryScoped: (options) => Effect.acquireRelease(makeTempDirectory(options), removeQuietly),
    makeTempFile,
    makeTempFileScoped: (options) =>
      Effect.acquireRelease(makeTempFile(options), (path) => removeQuietly(dirname(path))),
    open: (path, options) => {
      const { append, open } = openOptions(options?.flag ?? "r", options?.mode)
      return Effect.acquireRelease(
        attempt("open", path, () => disk.open(path, open)),
        // a finalizer cannot fail; what was written has been synced before by those who care
        (descriptor) => Effect.orDie(attempt("close", path, () => disk.close(descriptor)))
      ).pipe(
        Effect.map((descriptor) => makeFile(disk, descriptor, append, (method, run) => attempt(method, path, run)))
      )
    },
    readDirectory: (path, options) =>
      attempt(
        "readDirectory",
        path,
        () => options?.recursive === true ? listRecursively(disk, path) : Array.from(disk.list(path))
      ),
    readFile: (path) => attempt("readFile", path, () => readWhole(disk, path)),
    readLink: (path) => attempt("readLink", path, () => disk.readLink(path)),
    realPath: (path) => attempt("realPath", path, () => canonical(disk, path)),
    remove: (path, options) => attempt("remove", path, () => remove(disk, path, options)),
    rename: (from, to) => attempt("rename", from, () => disk.rename(from, to)),
    stat: (path) => attempt("stat", path, () => toInfo(disk.lstat(canonical(disk, path)))),
    symlink: (_target, path) => Effect.fail(unsupported("symlink", path)),
    truncate: (path, length) =>
      attempt("truncate", path, () => {
        const descriptor = disk.open(path, { access: "write", follow: true })
        try {
          disk.truncate(descriptor, Number(length ?? 0))
        } finally {
          disk.close(descriptor)
        }
      }),
    utimes: (path) => Effect.fail(unsupported("utimes", path)),
    watch: (path) => Stream.fail(unsupported("watch", path)),
    writeFile: (path, data, options) => attempt("writeFile", path, () => writeWhole(disk, path, data, options))
  })
}

/** The service over `disk`, as a layer. */
export const layer = (disk: Disk): Layer.Layer<FileSystem.FileSystem> =>
  Layer.succeed(FileSystem.FileSystem, make(disk))
