/**
 * One chunk as a file `chunks/ab/<64 hex>.chunk.zst`, over the synchronous `Disk`: reading it whole and checked,
 * writing it aside and renaming it. Format: docs/format.md.
 */
import { type Descriptor, type Disk, kindWords } from "../platform/Disk.ts"
import { errnoError } from "../platform/errno.ts"
import { type Hash, type Hasher, toHex } from "../platform/hash.ts"
import { temporaryName } from "../platform/temporaryName.ts"
import * as Trailer from "./chunkTrailer.ts"
import { compress, decompress, maxFrameLength } from "./codec.ts"
import { release } from "./release.ts"

/** What reading and writing chunks takes. */
export interface Tools {
  readonly disk: Disk
  readonly hash: Hash
  /** The same hash for blocks that are read in pieces. */
  readonly hasher: () => Hasher
  /** In pieces of how many bytes the source is read where no whole block is needed. */
  readonly piece: number
  /** zstd level of chunks that are written. */
  readonly level: number
  /** Six characters, 0–9 and a–z: makes temporary names unique among the threads that write to a repository. */
  readonly writer: string
}

/** The folder below the repository that holds all chunks. */
export const CHUNKS = "chunks"

const SUFFIX = ".chunk.zst"

/** No file of a chunk of `length` bytes is longer than this: its frame, and perhaps a trailer. */
export const maxFileLength = (length: number): number => maxFrameLength(length) + Trailer.LENGTH

/** Two hexadecimal digits: the folder of a chunk below `chunks`. */
export const folderOf = (hex: string): string => hex.slice(0, 2)

/** Where a chunk lies, below the repository's directory. */
export const pathOf = (repository: string, hex: string): string =>
  `${repository}/${CHUNKS}/${folderOf(hex)}/${hex}${SUFFIX}`

/** The hexadecimal name of a chunk file, or `undefined` for any other file name. */
export const hexOf = (fileName: string): string | undefined =>
  /^[0-9a-f]{64}\.chunk\.zst$/.test(fileName) ? fileName.slice(0, 64) : undefined

const errno = (cause: unknown): string | undefined =>
  cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : undefined

/** Whether a thrown value says that a path does not exist. */
export const isMissing = (cause: unknown): boolean => errno(cause) === "ENOENT"

/** Runs `use` on an opened file and closes it; an error of close is not lost, and never hides an earlier one. */
export const withFile = <A>(disk: Disk, descriptor: Descriptor, use: (descriptor: Descriptor) => A): A => {
  let result: A
  try {
    result = use(descriptor)
  } catch (cause) {
    try {
      disk.close(descriptor)
    } catch {
      // the first error is the one to tell
    }
    throw cause
  }
  disk.close(descriptor)
  return result
}

/** Reads until `buffer` is full or the file ends; returns how many bytes came. */
export const readFully = (disk: Disk, descriptor: Descriptor, buffer: Uint8Array, position: number): number => {
  let done = 0
  while (done < buffer.byteLength) {
    const count = disk.read(descriptor, buffer.subarray(done), position + done)
    if (count === 0) break
    done += count
  }
  return done
}

/** Writes all of `buffer`; `path` is for errors. */
export const writeFully = (
  disk: Disk,
  descriptor: Descriptor,
  buffer: Uint8Array,
  position: number,
  path?: string
): void => {
  let done = 0
  while (done < buffer.byteLength) {
    const count = disk.write(descriptor, buffer.subarray(done), position + done)
    // to try for ever would help nobody
    if (count === 0) throw errnoError("EIO", "write", path)
    done += count
  }
}

/** A chunk as it was found on disk. `raw` is the file's content where it was read, as evidence. */
export type Found =
  | {
    readonly state: "good"
    readonly content: Uint8Array
    /** There is a trailer, and it is of another file; only told when it was asked for. */
    readonly hasForeignTrailer?: boolean
  }
  | { readonly state: "missing" }
  | { readonly state: "damaged"; readonly why: string; readonly raw: Uint8Array }

/**
 * Reads a chunk and decodes it. `length` is the exact length that its place in the image requires, in bytes; with
 * `hashed` the content must also match the name; with `trailer` it is told whether a trailer matches. An unreadable file (EIO, EACCES, …) throws: that is not damage.
 */
export const read = (
  tools: Tools,
  repository: string,
  hex: string,
  length: number,
  options: { readonly hashed: boolean; readonly sync?: boolean; readonly trailer?: boolean }
): Found => {
  const { disk } = tools
  let descriptor: Descriptor
  try {
    const path = pathOf(repository, hex)
    // before it is opened: that alone does something to a device
    const { kind } = disk.lstat(path)
    if (kind !== "file") return { state: "damaged", why: `is ${kindWords[kind]}`, raw: new Uint8Array(0) }
    descriptor = disk.open(path, { access: "read" })
  } catch (cause) {
    if (isMissing(cause)) return { state: "missing" }
    // whoever put a link there: it is not what was stored, and a good file can be renamed over it
    if (errno(cause) === "ELOOP") return { state: "damaged", why: "is a symbolic link", raw: new Uint8Array(0) }
    throw cause
  }
  return withFile(disk, descriptor, (descriptor): Found => {
    const { kind, size } = disk.stat(descriptor)
    if (kind !== "file") return { state: "damaged", why: `is ${kindWords[kind]}`, raw: new Uint8Array(0) }
    if (size > maxFileLength(length)) {
      return { state: "damaged", why: `has ${size} bytes, too many for a chunk of ${length}`, raw: new Uint8Array(0) }
    }
    const buffer = frameBuffer(size)
    const file = buffer.subarray(0, readFully(disk, descriptor, buffer, 0))
    // nobody reads it again soon, and others need the memory; who doubts what came reads the medium the next time
    disk.dropCache(descriptor, 0, 0)
    const damaged = (why: string): Found => ({ state: "damaged", why, raw: Uint8Array.from(file) })
    const parts = Trailer.split(file)
    const inFrame = parts === undefined ? undefined : decompress(parts.frame, length)
    const content = inFrame ?? decompress(file, length)
    if (content === undefined) return damaged(`is no zstd frame of ${length} bytes`)
    if (content.byteLength !== length) return damaged(`holds ${content.byteLength} bytes where ${length} belong`)
    if (options.hashed && toHex(tools.hash(content)) !== hex) return damaged("does not hash to its name")
    if (options.sync === true) disk.sync(descriptor)
    const isForeign = options.trailer === true && parts !== undefined && inFrame !== undefined &&
      !Trailer.matches(tools.hash, hex, parts)
    return isForeign ? { state: "good", content, hasForeignTrailer: true } : { state: "good", content }
  })
}

/** Errors by which the kernel says that the medium lost a file's content. */
const isMediumError = (cause: unknown): cause is Error =>
  cause instanceof Error && "code" in cause && ["EIO", "EUCLEAN", "EBADMSG"].includes(String(cause.code))

/**
 * Reads a chunk whose right content is at hand. A bad sector then need not stop the job for ever: a good file can be
 * renamed over the unreadable one, and nothing readable is lost.
 */
export const readReplaceable = (
  tools: Tools,
  repository: string,
  hex: string,
  length: number,
  options: { readonly hashed: boolean; readonly sync?: boolean }
): Found => {
  try {
    return read(tools, repository, hex, length, options)
  } catch (cause) {
    if (!isMediumError(cause)) throw cause
    return { state: "damaged", why: `cannot be read: ${cause.message}`, raw: new Uint8Array(0) }
  }
}

let frames = Buffer.alloc(0)

/** One buffer a thread for the frames it reads: new ones for each chunk cost more in garbage than in reading. */
const frameBuffer = (length: number): Buffer => {
  if (frames.byteLength < length) frames = Buffer.allocUnsafeSlow(length)
  return frames.subarray(0, length)
}

/** A chunk written under a temporary name, not yet synced. */
export interface Pending {
  readonly hex: string
  readonly temporary: string
  readonly descriptor: Descriptor
  /** Bytes of the frame on disk. */
  readonly stored: number
}

let counter = 0

/** Writes the frame of `content` beside its final place; makes the folder where it is missing. */
export const writeAside = (tools: Tools, repository: string, hex: string, content: Uint8Array): Pending => {
  const { disk } = tools
  const frame = compress(content, tools.level)
  const folder = `${repository}/${CHUNKS}/${folderOf(hex)}`
  const unique = `${tools.writer}${(counter++ % 36 ** 6).toString(36).padStart(6, "0")}`
  const temporary = `${folder}/${temporaryName(`${hex}${SUFFIX}`, unique)}`
  const descriptor = openIn(disk, folder, temporary)
  try {
    writeFully(disk, descriptor, frame, 0, temporary)
  } catch (cause) {
    discard(tools, { hex, temporary, descriptor, stored: 0 })
    throw cause
  }
  // the kernel begins to write it out: by the time it is synced, most of that is done
  disk.dropCache(descriptor, 0, 0)
  const stored = frame.byteLength
  release(frame)
  return { hex, temporary, descriptor, stored }
}

const openIn = (disk: Disk, folder: string, path: string): Descriptor => {
  const options = { access: "write", create: "exclusive", mode: 0o440 } as const
  try {
    return disk.open(path, options)
  } catch (cause) {
    if (!isMissing(cause)) throw cause
  }
  makeFolder(disk, folder)
  return disk.open(path, options)
}

const makeFolder = (disk: Disk, folder: string): void => {
  try {
    disk.makeDirectory(folder, 0o750)
  } catch (cause) {
    // another thread may have made it at the same moment
    if (errno(cause) !== "EEXIST") throw cause
  }
}

/** Makes pending chunks durable: every one is synced on the descriptor that wrote it before any is renamed. */
export const publish = (tools: Tools, repository: string, pending: ReadonlyArray<Pending>): void => {
  const { disk } = tools
  const open = new Set(pending)
  try {
    for (const chunk of pending) disk.datasync(chunk.descriptor)
    for (const chunk of pending) {
      // what is read back for verification should come from the medium
      disk.dropCache(chunk.descriptor, 0, 0)
      open.delete(chunk)
      try {
        disk.close(chunk.descriptor)
        takePlace(disk, chunk.temporary, pathOf(repository, chunk.hex))
      } catch (cause) {
        remove(disk, chunk.temporary)
        throw cause
      }
    }
  } catch (cause) {
    for (const chunk of open) discard(tools, chunk)
    throw cause
  }
}

/**
 * Renames a chunk to its name. Anything but a directory is replaced. A directory is none of ours, may hold what somebody
 * needs, and would be in the way for ever: it is set aside, under a name that no reader takes for a chunk.
 */
const takePlace = (disk: Disk, temporary: string, path: string): void => {
  try {
    disk.rename(temporary, path)
  } catch (cause) {
    // file systems in user space have other codes for it than EISDIR
    if (!isDirectory(disk, path)) throw cause
    disk.rename(path, `${path}.set-aside-${temporary.slice(-16, -4)}`)
    disk.rename(temporary, path)
  }
}

const isDirectory = (disk: Disk, path: string): boolean => {
  try {
    return disk.lstat(path).kind === "directory"
  } catch {
    // the error of the rename is the one to tell
    return false
  }
}

/** Gives a pending chunk up. Never fails: what stays behind is a leftover that purge collects. */
export const discard = (tools: Tools, chunk: Pending): void => {
  try {
    tools.disk.close(chunk.descriptor)
  } catch {
    // the content is thrown away
  }
  remove(tools.disk, chunk.temporary)
}

const remove = (disk: Disk, path: string): void => {
  try {
    disk.unlink(path)
  } catch {
    // purge collects it
  }
}
