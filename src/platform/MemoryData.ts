/**
 * The calls of a simulated disk that work on descriptors.
 */
import * as Chunk from "effect/Chunk"
import type { Descriptor, Disk, FileStat, OpenOptions } from "./Disk.ts"
import { errnoError } from "./errno.ts"
import * as Content from "./MemoryContent.ts"
import { change, changeNames, failWriteBack, flush, forgetCache } from "./MemoryDurability.ts"
import type { Handle, Machine } from "./MemoryMachine.ts"
import { lookUp } from "./MemoryPath.ts"
import { type DataInode, type Ino, type Inode, inodeOf } from "./MemoryState.ts"
import { DEFAULT_MODE } from "./openFlags.ts"

/** What stat(2) says about an inode. */
export const statOf = (ino: Ino, inode: Inode): FileStat => ({
  kind: inode.kind,
  size: inode.kind === "symlink"
    ? Buffer.byteLength(inode.target)
    : inode.kind === "file" || inode.kind === "block-device"
    ? inode.content.size
    : 0,
  mtimeNs: inode.mtimeNs,
  ctimeNs: inode.ctimeNs,
  dev: 1,
  ino,
  ...(inode.kind === "block-device" ? { device: `1:${ino}` } : {}),
  mode: inode.mode,
  nlink: inode.kind === "file" || inode.kind === "block-device" ? inode.nlink : 1,
  allocated: inode.kind === "file" || inode.kind === "block-device" ? inode.content.pages * Content.PAGE : 0
})

type DataCalls = Pick<
  Disk,
  | "close"
  | "datasync"
  | "dropCache"
  | "nextData"
  | "open"
  | "punch"
  | "read"
  | "stat"
  | "sync"
  | "truncate"
  | "write"
>

/** The calls on descriptors of one machine. */
export const makeData = (machine: Machine): DataCalls => {
  const { descriptors, now, reserve, state, step, writable } = machine
  let nextDescriptor = 3

  const handleOf = (syscall: string, descriptor: Descriptor): Handle => {
    const handle = descriptors.get(descriptor)
    if (handle === undefined) throw errnoError("EBADF", syscall)
    return handle
  }

  const dataOf = (syscall: string, handle: Handle): DataInode => {
    const inode = inodeOf(state, handle.ino)
    if (inode.kind === "directory") throw errnoError("EISDIR", syscall, handle.path)
    if (inode.kind !== "file" && inode.kind !== "block-device") throw errnoError("ESPIPE", syscall, handle.path)
    return inode
  }

  const openInode = (ino: Ino, path: string, options: OpenOptions): Descriptor => {
    const inode = inodeOf(state, ino)
    const fail = (code: string) => errnoError(code, "open", path)
    if (inode.kind === "symlink") throw fail("ELOOP")
    if (options.access !== "read") {
      if (inode.kind === "directory") throw fail("EISDIR")
      if (inode.kind === "pipe" && options.access === "write") throw fail("ENXIO")
      if (inode.kind === "file") writable("open", path)
    }
    if (inode.kind === "socket") throw fail("ENXIO")
    const exclusive = inode.kind === "block-device" && options.exclusive === true
    if (exclusive && Array.from(descriptors.values()).some((other) => other.exclusive && other.ino === ino)) {
      throw fail("EBUSY")
    }
    if (options.truncate === true && inode.kind === "file" && inode.content.size > 0) {
      change(state, ino, inode, { kind: "truncate", size: 0 }, now())
    }
    const seen = inode.kind === "file" || inode.kind === "block-device" ? inode.failures.count : 0
    descriptors.set(nextDescriptor, { ino, path, access: options.access, exclusive, seen })
    return nextDescriptor++
  }

  const open = (path: string, options: OpenOptions): Descriptor => {
    step("open", path)
    if (options.truncate === true && options.access === "read") throw errnoError("EINVAL", "open", path)
    const creates = options.create === "exclusive" || options.create === "if-missing"
    const place = lookUp(state, "open", path, creates ? "keep" : options.follow === true ? "follow" : "slash")
    if (creates && place.slash && !place.nameless) throw errnoError("EISDIR", "open", path)
    if (place.ino !== undefined && options.create === "exclusive") throw errnoError("EEXIST", "open", path)
    if (place.ino === undefined && creates) {
      writable("open", path)
      reserve(Content.PAGE, "open", path)
      const ino = state.nextIno++
      const mode = options.mode ?? DEFAULT_MODE
      const time = now()
      state.inodes.set(ino, {
        kind: "file",
        mode,
        mtimeNs: time,
        ctimeNs: time,
        nlink: 1,
        content: Content.empty,
        durable: { content: Content.empty, mode },
        pending: Chunk.empty(),
        failures: { count: 0, code: "EIO" },
        deluded: false
      })
      const parts = [{ directory: place.directory, name: place.name, to: ino }]
      changeNames(state, { label: `create ${path}`, parts, moves: undefined }, time)
      return openInode(ino, path, { access: options.access })
    }
    const found = creates ? lookUp(state, "open", path, options.follow === true ? "follow" : "slash") : place
    if (found.ino === undefined) throw errnoError("ENOENT", "open", path)
    return openInode(found.ino, path, options)
  }

  const write = (handle: Handle, inode: DataInode, buffer: Uint8Array, position: number): number => {
    if (position < 0) throw errnoError("EINVAL", "write", handle.path)
    if (inode.kind === "file") writable("write", handle.path)
    const room = inode.kind === "block-device"
      ? Math.max(0, inode.content.size - position)
      : Content.fitting(inode.content, buffer.length, position, machine.freePages())
    const count = Math.min(buffer.length, room)
    if (count === 0 && buffer.length > 0) throw errnoError("ENOSPC", "write", handle.path)
    // The caller may use its buffer again.
    // not `slice`: of a Node Buffer that is a view, and the caller uses its buffer again
    const bytes = new Uint8Array(buffer.subarray(0, count))
    if (count > 0) change(state, handle.ino, inode, { kind: "write", offset: position, bytes }, now())
    return count
  }

  const sync = (name: "sync" | "datasync", descriptor: Descriptor): void => {
    const handle = handleOf("fsync", descriptor)
    const failures = (): DataInode["failures"] => {
      const inode = inodeOf(state, handle.ino)
      if (inode.kind === "file" || inode.kind === "block-device") return inode.failures
      if (inode.kind === "directory") return { count: 0, code: "EIO" }
      throw errnoError("EINVAL", "fsync", handle.path)
    }
    try {
      step(name, handle.path)
    } catch (cause) {
      // Linux drops what it could not write: nobody may hope that the next sync helps.
      failWriteBack(state, handle.ino, "EIO")
      handle.seen = failures().count
      throw cause
    }
    const { code, count } = failures()
    if (handle.seen < count) {
      handle.seen = count
      throw errnoError(code, "fsync", handle.path)
    }
    flush(state, handle.ino, name === "datasync")
  }

  const punch = (handle: Handle, offset: number, length: number): boolean => {
    if (handle.access === "read") throw errnoError("EBADF", "fallocate", handle.path)
    const inode = dataOf("fallocate", handle)
    if (inode.kind === "block-device" && (offset % 512 !== 0 || length % 512 !== 0)) return false
    if (offset < 0 || length < 0 || (inode.kind === "block-device" && offset >= inode.content.size)) return false
    change(state, handle.ino, inode, { kind: "punch", offset, length }, now())
    return true
  }

  return {
    open,
    close: (descriptor) => {
      const handle = handleOf("close", descriptor)
      // Also when the hook lets it fail: Linux has closed it then.
      descriptors.delete(descriptor)
      step("close", handle.path)
    },
    read: (descriptor, buffer, position) => {
      const handle = handleOf("read", descriptor)
      step("read", handle.path)
      if (handle.access === "write") throw errnoError("EBADF", "read", handle.path)
      const inode = dataOf("read", handle)
      if (position < 0) throw errnoError("EINVAL", "read", handle.path)
      return Content.read(inode.content, buffer, position)
    },
    write: (descriptor, buffer, position) => {
      const handle = handleOf("write", descriptor)
      step("write", handle.path)
      if (handle.access === "read") throw errnoError("EBADF", "write", handle.path)
      return write(handle, dataOf("write", handle), buffer, position)
    },
    sync: (descriptor) => sync("sync", descriptor),
    datasync: (descriptor) => sync("datasync", descriptor),
    truncate: (descriptor, size) => {
      const handle = handleOf("ftruncate", descriptor)
      step("truncate", handle.path)
      const inode = inodeOf(state, handle.ino)
      if (handle.access === "read" || inode.kind !== "file" || size < 0) {
        throw errnoError("EINVAL", "ftruncate", handle.path)
      }
      writable("ftruncate", handle.path)
      change(state, handle.ino, inode, { kind: "truncate", size }, now())
    },
    stat: (descriptor) => {
      const handle = handleOf("fstat", descriptor)
      step("stat", handle.path)
      return statOf(handle.ino, inodeOf(state, handle.ino))
    },
    nextData: (descriptor, position) => {
      const handle = handleOf("lseek", descriptor)
      step("nextData", handle.path)
      const inode = inodeOf(state, handle.ino)
      if (inode.kind === "file") return Content.nextData(inode.content, position)
      if (inode.kind !== "block-device" || position >= inode.content.size) return undefined
      return { offset: position, length: inode.content.size - position }
    },
    punch: (descriptor, offset, length) => {
      const handle = handleOf("fallocate", descriptor)
      step("punch", handle.path)
      return length === 0 || punch(handle, offset, length)
    },
    dropCache: (descriptor) => {
      const handle = descriptors.get(descriptor)
      if (handle === undefined) return
      step("dropCache", handle.path)
      forgetCache(state, handle.ino)
    }
  }
}
