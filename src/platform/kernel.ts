/**
 * The calls of the kernel that Node does not offer: lseek(SEEK_DATA), fallocate(PUNCH_HOLE), posix_fadvise.
 *
 * The only place that knows `koffi`, an optional dependency with native code. It is loaded when first needed, in the
 * main thread or a worker; when it is absent, refuses to load, or `BACKY_NO_KOFFI` is set, every caller falls back to
 * plain reads and writes.
 */
import { readFileSync } from "node:fs"
import { createRequire } from "node:module"
import { nameOf } from "./errno.ts"

const SEEK_END = 2
const SEEK_DATA = 3
const SEEK_HOLE = 4
const FALLOC_FL_KEEP_SIZE = 0x01
const FALLOC_FL_PUNCH_HOLE = 0x02
const POSIX_FADV_DONTNEED = 4

/** What a call gave: its result, or the errno's name. */
export type Answer = { readonly ok: true; readonly value: number } | { readonly ok: false; readonly code: string }

/** The calls themselves; offsets and lengths in bytes. None of them throws. */
export interface Kernel {
  /** Where data begins at or behind `position`; ENXIO when only a hole follows. */
  readonly seekData: (fd: number, position: number) => Answer
  /** Where the hole at or behind `position` begins; the end of the file counts as one. */
  readonly seekHole: (fd: number, position: number) => Answer
  /** The size of a file or block device. */
  readonly seekEnd: (fd: number) => Answer
  /** Makes a range read as zeros and gives its blocks back; the size stays. */
  readonly punchHole: (fd: number, offset: number, length: number) => Answer
  /** The same on another thread, for a main thread that must not wait. */
  readonly punchHoleAsync: (fd: number, offset: number, length: number) => Promise<Answer>
  /** Tells the kernel that cached pages of a range are of no use; length 0 means to the end. */
  readonly dropCache: (fd: number, offset: number, length: number) => void
}

/** The few of koffi's functions that are used here. */
interface Koffi {
  readonly load: (path: null) => { readonly func: (definition: string) => ForeignFunction }
  readonly errno: () => number
}

interface ForeignFunction {
  (...args: ReadonlyArray<number>): number | bigint
  readonly async: (...args: ReadonlyArray<number | ((error: unknown, result: number | bigint) => void)>) => void
}

/** Declares the functions; exported so that the tests can check the prototypes. Throws when koffi does not work. */
export const link = (koffi: Koffi): Kernel => {
  const library = koffi.load(null)
  const lseek = library.func("int64_t lseek(int fd, int64_t offset, int whence)")
  const fallocate = library.func("int fallocate(int fd, int mode, int64_t offset, int64_t length)")
  const fadvise = library.func("int posix_fadvise(int fd, int64_t offset, int64_t length, int advice)")
  const answer = (result: number | bigint): Answer => {
    // errno must be asked for at once: any other call may change it.
    const errno = Number(result) === -1 ? koffi.errno() : 0
    return errno === 0 && Number(result) !== -1
      ? { ok: true, value: Number(result) }
      : { ok: false, code: errno === 0 ? "EIO" : nameOf(errno) }
  }
  const punchMode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE
  return {
    seekData: (fd, position) => answer(lseek(fd, position, SEEK_DATA)),
    seekHole: (fd, position) => answer(lseek(fd, position, SEEK_HOLE)),
    seekEnd: (fd) => answer(lseek(fd, 0, SEEK_END)),
    punchHole: (fd, offset, length) => answer(fallocate(fd, punchMode, offset, length)),
    punchHoleAsync: (fd, offset, length) =>
      new Promise((resolve) => {
        try {
          // koffi runs the callback with the errno that the call left on its own thread.
          fallocate.async(fd, punchMode, offset, length, (error, result) => {
            resolve(error === null || error === undefined ? answer(result) : { ok: false, code: "EIO" })
          })
        } catch {
          // Its queue is full.
          resolve(answer(fallocate(fd, punchMode, offset, length)))
        }
      }),
    dropCache: (fd, offset, length) => {
      fadvise(fd, offset, length, POSIX_FADV_DONTNEED)
    }
  }
}

const unsupported: Answer = { ok: false, code: "ENOSYS" }

/** What is left without koffi: every answer is "not supported". */
export const fallback: Kernel = {
  seekData: () => unsupported,
  seekHole: () => unsupported,
  seekEnd: () => unsupported,
  punchHole: () => unsupported,
  punchHoleAsync: () => Promise.resolve(unsupported),
  dropCache: () => {}
}

/** A bundle must leave the native package outside, and must start without it; so this is not an import. */
const loadKoffi = (): Koffi =>
  // koffi's own declarations promise `any`; the prototypes are checked by test/platform/kernel.test.ts.
  createRequire(import.meta.url)("koffi") as Koffi

/** Whether a thread of this process has loaded koffi. */
const hasKoffi = (): boolean => readFileSync("/proc/self/maps", "latin1").includes("/koffi.node")

/**
 * Keeps koffi in memory until the process ends, if threads have loaded it that are about to end. When it is unloaded, it
 * syncs standard output and error, and when that fails it waits for itself for ever.
 */
export const keepKoffi = (): void => {
  try {
    if (hasKoffi()) loadKoffi()
  } catch {
    // then nothing can be done about it
  }
}

/** Ends the process at once, with `_exit`, if koffi is in memory: the same would happen. For the very end. */
export const endWithoutKoffi = (exitCode: number): void => {
  try {
    if (hasKoffi()) loadKoffi().load(null).func("void _exit(int status)")(exitCode)
  } catch {
    // as well as can be, then: the process exits in the ordinary way
  }
}

let loaded: Kernel | undefined

/** The kernel's calls, or `fallback`. Loads koffi at the first call. */
export const kernel = (): Kernel => {
  if (loaded === undefined) {
    loaded = fallback
    if (process.platform === "linux" && (process.env["BACKY_NO_KOFFI"] ?? "") === "") {
      try {
        loaded = link(loadKoffi())
      } catch {
        loaded = fallback
      }
    }
  }
  return loaded
}

/** Did the kernel say that it, or the file system, cannot do this at all (rather than that it went wrong)? */
export const isUnsupported = (code: string): boolean =>
  code === "EINVAL" || code === "EOPNOTSUPP" || code === "ENOTSUP" || code === "ENOSYS" || code === "ENODEV" ||
  code === "ENOTTY" || code === "ESPIPE"
