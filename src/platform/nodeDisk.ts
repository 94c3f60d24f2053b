/**
 * The real disk: `Disk` over Node's synchronous calls and, where koffi is there, the kernel's own.
 *
 * Usable in worker threads. Descriptors are the process's file descriptors.
 */
import * as FS from "node:fs"
import type { Descriptor, Disk, OpenOptions } from "./Disk.ts"
import { errnoError, hasCode, isModeRefused } from "./errno.ts"
import { isUnsupported, type Kernel, kernel } from "./kernel.ts"
import { toFileStat } from "./nodeStat.ts"
import { DEFAULT_MODE, MAX_TRANSFER, openFlags } from "./openFlags.ts"

/** Linux may interrupt a read before anything came; libuv repeats every call but this one. */
const repeated = (call: () => number): number => {
  for (;;) {
    try {
      return call()
    } catch (cause) {
      if (!hasCode(cause, "EINTR")) throw cause
    }
  }
}

const clipped = (buffer: Uint8Array): number => Math.min(buffer.length, MAX_TRANSFER)

/** Node takes a negative position for "where the last read ended". */
const checked = (syscall: string, position: number): number => {
  if (position < 0) throw errnoError("EINVAL", syscall)
  return position
}

/** Creates, with exactly this mode whatever the umask. */
const createExclusively = (path: string, options: OpenOptions): Descriptor => {
  const mode = options.mode ?? DEFAULT_MODE
  const descriptor = FS.openSync(path, openFlags(options, true), mode)
  try {
    FS.fchmodSync(descriptor, mode)
    return descriptor
  } catch (cause) {
    // a thread cannot tell of it: the file that begins a revision is made elsewhere
    if (isModeRefused(cause)) return descriptor
    FS.closeSync(descriptor)
    FS.unlinkSync(path)
    throw cause
  }
}

const open = (path: string, options: OpenOptions): Descriptor => {
  if (options.truncate === true && options.access === "read") throw errnoError("EINVAL", "open", path)
  if (options.create === "exclusive") return createExclusively(path, options)
  if (options.create !== "if-missing") return FS.openSync(path, openFlags(options, false))
  // Another process may create or remove the file between the two attempts; it will not do so for ever.
  for (let attempt = 1;; attempt++) {
    try {
      return createExclusively(path, options)
    } catch (cause) {
      if (!hasCode(cause, "EEXIST")) throw cause
    }
    try {
      return FS.openSync(path, openFlags(options, false))
    } catch (cause) {
      if (!hasCode(cause, "ENOENT") || attempt === 3) throw cause
    }
  }
}

const chmod = (path: string, mode: number): void => {
  // Linux cannot change the mode of a link, and the link's target is not what was meant.
  if (FS.lstatSync(path).isSymbolicLink()) throw errnoError("ELOOP", "chmod", path)
  FS.chmodSync(path, mode)
}

const makeDirectory = (path: string, mode: number): void => {
  FS.mkdirSync(path, { mode })
  // The umask narrowed it.
  try {
    chmod(path, mode)
  } catch (cause) {
    if (!isModeRefused(cause)) throw cause
  }
}

const rest = (descriptor: Descriptor, position: number): ReturnType<Disk["nextData"]> => {
  const { size } = toFileStat(FS.fstatSync(descriptor, { bigint: true }), descriptor)
  return position < size ? { offset: position, length: size - position } : undefined
}

const nextData = (calls: Kernel, descriptor: Descriptor, position: number): ReturnType<Disk["nextData"]> => {
  const data = calls.seekData(descriptor, position)
  if (!data.ok) {
    if (data.code !== "ENXIO") {
      if (isUnsupported(data.code)) return rest(descriptor, position)
      throw errnoError(data.code, "lseek")
    }
    // "Nothing but a hole follows" is believed only if asking for the hole says so too, or the file ends here.
    const hole = calls.seekHole(descriptor, position)
    return hole.ok && hole.value === position ? undefined : rest(descriptor, position)
  }
  const hole = calls.seekHole(descriptor, data.value)
  // The file may be cut or punched meanwhile: then all the rest may be data.
  if (!hole.ok || hole.value <= data.value) return rest(descriptor, position)
  return { offset: data.value, length: hole.value - data.value }
}

const punch = (calls: Kernel, descriptor: Descriptor, offset: number, length: number): boolean => {
  if (length === 0) return true
  const answer = calls.punchHole(descriptor, offset, length)
  if (answer.ok) return true
  if (isUnsupported(answer.code)) return false
  throw errnoError(answer.code, "fallocate")
}

/** The real disk with the given kernel calls; `fallback` makes it do without koffi. */
export const make = (calls: () => Kernel): Disk => ({
  open,
  close: (descriptor) => FS.closeSync(descriptor),
  read: (descriptor, buffer, position) =>
    repeated(() => FS.readSync(descriptor, buffer, 0, clipped(buffer), checked("read", position))),
  write: (descriptor, buffer, position) =>
    repeated(() => FS.writeSync(descriptor, buffer, 0, clipped(buffer), checked("write", position))),
  sync: (descriptor) => FS.fsyncSync(descriptor),
  datasync: (descriptor) => FS.fdatasyncSync(descriptor),
  truncate: (descriptor, size) => FS.ftruncateSync(descriptor, size),
  stat: (descriptor) => toFileStat(FS.fstatSync(descriptor, { bigint: true }), descriptor),
  lstat: (path) => toFileStat(FS.lstatSync(path, { bigint: true })),
  nextData: (descriptor, position) => nextData(calls(), descriptor, position),
  punch: (descriptor, offset, length) => punch(calls(), descriptor, offset, length),
  dropCache: (descriptor, offset, length) => calls().dropCache(descriptor, offset, length),
  rename: (from, to) => FS.renameSync(from, to),
  link: (from, to) => FS.linkSync(from, to),
  unlink: (path) => FS.unlinkSync(path),
  makeDirectory,
  removeDirectory: (path) => FS.rmdirSync(path),
  list: (path) => FS.readdirSync(path),
  readLink: (path) => FS.readlinkSync(path),
  chmod
})

/** The real disk. */
export const nodeDisk: Disk = make(kernel)
