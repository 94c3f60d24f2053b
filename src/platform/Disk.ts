/**
 * The system calls that backy's data path needs, synchronous and without Effect.
 *
 * The hot loops (`store/BlockLoops.ts`) are written once against this interface: worker threads run them over
 * `nodeDisk`, simulations run the very same code over a `MemoryDisk`, and a fault decorator may wrap either. So what
 * the crash tests explore is what production executes.
 *
 * Every call throws an `ErrnoException` (an `Error` with `code`, `syscall` and `path`), as `node:fs` does.
 */

/** What a directory entry or an open file is. */
export type FileKind = "file" | "directory" | "symlink" | "block-device" | "character-device" | "pipe" | "socket"

/** What a kind is called in a sentence. */
export const kindWords: Readonly<Record<FileKind, string>> = {
  file: "a file",
  directory: "a directory",
  symlink: "a symbolic link",
  "block-device": "a block device",
  "character-device": "a character device",
  pipe: "a pipe",
  socket: "a socket"
}

/** What `stat` tells; sizes in bytes, times in nanoseconds since 1970. `size` of a block device is its capacity. */
export interface FileStat {
  readonly kind: FileKind
  readonly size: number
  readonly mtimeNs: bigint
  readonly ctimeNs: bigint
  readonly dev: number
  readonly ino: number
  /** Of a block device which one it is, `MAJOR:MINOR`: any number of names and inodes lead to one device. */
  readonly device?: string
  /** Permission bits only, e.g. `0o440`. */
  readonly mode: number
  readonly nlink: number
  /** Bytes allocated on the medium; less than `size` for a sparse file. */
  readonly allocated: number
}

/** What of a stat says which file or device it tells of. */
export type Identity = Pick<FileStat, "dev" | "ino" | "device">

/** Do both tell of one file or device, whatever names led there? */
export const isSame = (one: Identity, other: Identity): boolean =>
  one.device !== undefined || other.device !== undefined
    ? one.device === other.device
    : one.dev === other.dev && one.ino === other.ino

/** How to open a file. Symbolic links in the last component are refused (ELOOP) unless `follow`. */
export interface OpenOptions {
  readonly access: "read" | "write" | "read-write"
  /** `never` (default): must exist. `exclusive`: must not exist. `if-missing`: either. */
  readonly create?: "never" | "exclusive" | "if-missing"
  /** Permission bits of a file that is made, not narrowed by the umask. Default `0o640`. */
  readonly mode?: number
  readonly truncate?: boolean
  readonly follow?: boolean
  /**
   * Claims a block device for as long as it is open: EBUSY when it is mounted, used by another device, or claimed by
   * somebody else. Of no effect on other kinds.
   */
  readonly exclusive?: boolean
}

/** An open file: a number that only the `Disk` which gave it understands. */
export type Descriptor = number

/** A file that is held open: whoever works on it, in whatever thread, works on this one and no other. */
export interface Opened {
  /** For messages: by now another file may be there. */
  readonly path: string
  /** Good until who opened it closes it. */
  readonly descriptor: Descriptor
}

export interface Disk {
  readonly open: (path: string, options: OpenOptions) => Descriptor
  readonly close: (descriptor: Descriptor) => void
  /** Reads at `position` into `buffer`; returns how many bytes came, which may be fewer than asked; 0 is the end. */
  readonly read: (descriptor: Descriptor, buffer: Uint8Array, position: number) => number
  /** Writes `buffer` at `position`; returns how many bytes went, which may be fewer than given. */
  readonly write: (descriptor: Descriptor, buffer: Uint8Array, position: number) => number
  /** fsync(2). Also for directories, opened with access `read`. */
  readonly sync: (descriptor: Descriptor) => void
  /** fdatasync(2). */
  readonly datasync: (descriptor: Descriptor) => void
  readonly truncate: (descriptor: Descriptor, size: number) => void
  readonly stat: (descriptor: Descriptor) => FileStat
  /** Without following a link in the last component. */
  readonly lstat: (path: string) => FileStat
  /**
   * The next extent at or behind `position` that may hold data (SEEK_DATA, SEEK_HOLE), or `undefined` when nothing but
   * a hole follows. Where the kernel cannot tell, all the rest up to the file's size counts as data.
   */
  readonly nextData: (
    descriptor: Descriptor,
    position: number
  ) => { readonly offset: number; readonly length: number } | undefined
  /** Makes a range read as zeros without writing them. `false`: not supported here, nothing was changed. */
  readonly punch: (descriptor: Descriptor, offset: number, length: number) => boolean
  /** Advises the kernel to forget cached pages of a range; length 0 means to the end. Never fails. */
  readonly dropCache: (descriptor: Descriptor, offset: number, length: number) => void
  readonly rename: (from: string, to: string) => void
  /** Gives a file a second name, which must not exist. Links are not followed. */
  readonly link: (from: string, to: string) => void
  readonly unlink: (path: string) => void
  /** Mode is not narrowed by the umask. */
  readonly makeDirectory: (path: string, mode: number) => void
  readonly removeDirectory: (path: string) => void
  /** Names, unordered. */
  readonly list: (path: string) => ReadonlyArray<string>
  readonly readLink: (path: string) => string
  readonly chmod: (path: string, mode: number) => void
}
