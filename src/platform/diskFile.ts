/**
 * Open files of the FileSystem that is derived from a `Disk`.
 */
import type { PlatformError } from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Descriptor, Disk, FileKind, FileStat, OpenOptions } from "./Disk.ts"
import { errnoError } from "./errno.ts"

/** What an open flag such as `wx+` means. Links are followed, as the real FileSystem does. */
export const openOptions = (
  flag: FileSystem.OpenFlag,
  mode = 0o644
): { readonly open: OpenOptions; readonly append: boolean } => {
  const append = flag.startsWith("a")
  const create = flag.includes("x") ? "exclusive" : flag.startsWith("r") ? "never" : "if-missing"
  const access = flag === "r" ? "read" : flag.includes("+") ? "read-write" : "write"
  return { open: { access, create, mode, truncate: flag.startsWith("w"), follow: true }, append }
}

/** Writes all bytes, in as many calls as it takes. */
export const writeAll = (disk: Disk, descriptor: Descriptor, bytes: Uint8Array, position: number): void => {
  for (let done = 0; done < bytes.length;) {
    const count = disk.write(descriptor, bytes.subarray(done), position + done)
    if (count === 0) throw errnoError("EIO", "write")
    done += count
  }
}

const types: Record<FileKind, readonly [FileSystem.File.Type, number]> = {
  file: ["File", 0o100000],
  directory: ["Directory", 0o040000],
  symlink: ["SymbolicLink", 0o120000],
  "block-device": ["BlockDevice", 0o060000],
  "character-device": ["CharacterDevice", 0o020000],
  pipe: ["FIFO", 0o010000],
  socket: ["Socket", 0o140000]
}

/** What the FileSystem tells of a file. */
export const toInfo = (stat: FileStat): FileSystem.File.Info => {
  const [type, bits] = types[stat.kind]
  return {
    type,
    mtime: Option.some(new Date(Number(stat.mtimeNs / 1_000_000n))),
    atime: Option.none(),
    birthtime: Option.none(),
    dev: stat.dev,
    rdev: Option.none(),
    ino: Option.some(stat.ino),
    mode: bits | stat.mode,
    nlink: Option.some(stat.nlink),
    uid: Option.none(),
    gid: Option.none(),
    size: FileSystem.Size(stat.size),
    blksize: Option.some(FileSystem.Size(4096)),
    blocks: Option.some(Math.ceil(stat.allocated / 512))
  }
}

/** An open file with a position of its own. `attempt` names the method that failed. */
export const makeFile = (
  disk: Disk,
  descriptor: Descriptor,
  append: boolean,
  attempt: <A>(method: string, run: () => A) => Effect.Effect<A, PlatformError>
): FileSystem.File => {
  let position = 0
  const read = (buffer: Uint8Array): number => {
    const count = disk.read(descriptor, buffer, position)
    position += count
    return count
  }
  const end = (): number => append ? disk.stat(descriptor).size : position
  return {
    [FileSystem.FileTypeId]: FileSystem.FileTypeId,
    fd: FileSystem.FileDescriptor(descriptor),
    stat: attempt("stat", () => toInfo(disk.stat(descriptor))),
    seek: (offset, from) =>
      Effect.sync(() => {
        position = Number(offset) + (from === "current" ? position : 0)
      }),
    sync: attempt("sync", () => disk.sync(descriptor)),
    read: (buffer) => attempt("read", () => FileSystem.Size(read(buffer))),
    readAlloc: (size) =>
      attempt("readAlloc", () => {
        const buffer = new Uint8Array(Number(size))
        const count = read(buffer)
        return count === 0 ? Option.none() : Option.some(buffer.subarray(0, count))
      }),
    truncate: (length) =>
      attempt("truncate", () => {
        disk.truncate(descriptor, Number(length ?? 0))
        if (!append) position = Math.min(position, Number(length ?? 0))
      }),
    write: (buffer) =>
      attempt("write", () => {
        const count = disk.write(descriptor, buffer, end())
        if (!append) position += count
        return FileSystem.Size(count)
      }),
    writeAll: (buffer) =>
      attempt("writeAll", () => {
        writeAll(disk, descriptor, buffer, end())
        if (!append) position += buffer.length
      })
  }
}
