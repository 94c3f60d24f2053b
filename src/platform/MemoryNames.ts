/**
 * The calls of a simulated disk that work on paths.
 */
import type { Disk } from "./Disk.ts"
import { errnoError } from "./errno.ts"
import * as Content from "./MemoryContent.ts"
import { statOf } from "./MemoryData.ts"
import { change, changeNames } from "./MemoryDurability.ts"
import type { Machine } from "./MemoryMachine.ts"
import { contains, type LastLink, lookUp, type Place } from "./MemoryPath.ts"
import { collect, type Ino, type Inode, inodeOf, ROOT, type State } from "./MemoryState.ts"

type NameCalls = Pick<
  Disk,
  "chmod" | "link" | "list" | "lstat" | "makeDirectory" | "readLink" | "removeDirectory" | "rename" | "unlink"
>

/** After this many removed names, forget the inodes that nothing leads to. */
const COLLECT_EVERY = 64

const existing = (state: State, syscall: string, path: string, links: LastLink): readonly [Ino, Inode] => {
  const { ino } = lookUp(state, syscall, path, links)
  if (ino === undefined) throw errnoError("ENOENT", syscall, path)
  return [ino, inodeOf(state, ino)]
}

/** Why this cannot take the place of that. */
const obstacle = (moved: Inode, replaced: Inode): string | undefined =>
  moved.kind === "directory"
    ? replaced.kind !== "directory" ? "ENOTDIR" : replaced.entries.size > 0 ? "ENOTEMPTY" : undefined
    : replaced.kind === "directory"
    ? "EISDIR"
    : undefined

/** The calls on paths of one machine. */
export const makeNames = (machine: Machine): NameCalls => {
  const { descriptors, now, reserve, state, step, writable } = machine
  let removed = 0

  /** One name fewer leads to this inode. */
  const release = (ino: Ino, time: bigint): void => {
    const inode = inodeOf(state, ino)
    if (inode.kind === "file" || inode.kind === "block-device") {
      state.inodes.set(ino, { ...inode, nlink: inode.nlink - 1, ctimeNs: time })
    }
    if (++removed % COLLECT_EVERY === 0) collect(state, Array.from(descriptors.values(), (handle) => handle.ino))
  }

  const removeName = (syscall: string, path: string, { directory, name }: Place, ino: Ino): void => {
    const time = now()
    const parts = [{ directory, name, to: undefined }]
    changeNames(state, { label: `${syscall} ${path}`, parts, moves: undefined }, time)
    release(ino, time)
  }

  const rename = (from: string, to: string): void => {
    step("rename", from)
    const fail = (code: string) => Object.assign(errnoError(code, "rename", from), { dest: to })
    const source = lookUp(state, "rename", from, "keep")
    const target = lookUp(state, "rename", to, "keep")
    if (source.nameless || target.nameless) throw fail("EBUSY")
    writable("rename", from)
    if (source.ino === undefined) throw fail("ENOENT")
    const moved = inodeOf(state, source.ino)
    if ((source.slash || target.slash) && moved.kind !== "directory") throw fail("ENOTDIR")
    if (moved.kind === "directory" && contains(state, source.ino, target.directory)) throw fail("EINVAL")
    if (target.ino !== undefined) {
      if (contains(state, target.ino, source.directory)) throw fail("ENOTEMPTY")
      if (target.ino === source.ino) return
      const code = obstacle(moved, inodeOf(state, target.ino))
      if (code !== undefined) throw fail(code)
    }
    const time = now()
    state.inodes.set(source.ino, { ...moved, ctimeNs: time })
    changeNames(state, {
      label: `rename ${from} ${to}`,
      moves: source.ino,
      parts: [
        { directory: source.directory, name: source.name, to: undefined },
        { directory: target.directory, name: target.name, to: source.ino }
      ]
    }, time)
    if (target.ino !== undefined) release(target.ino, time)
  }

  const link = (from: string, to: string): void => {
    step("link", from)
    const fail = (code: string) => Object.assign(errnoError(code, "link", from), { dest: to })
    const source = lookUp(state, "link", from, "keep")
    const target = lookUp(state, "link", to, "keep")
    if (source.ino === undefined) throw fail("ENOENT")
    const inode = inodeOf(state, source.ino)
    if (target.ino !== undefined) throw fail("EEXIST")
    writable("link", from)
    if (inode.kind !== "file" && inode.kind !== "block-device") throw fail("EPERM")
    if (source.slash || target.slash) throw fail("ENOTDIR")
    const time = now()
    state.inodes.set(source.ino, { ...inode, nlink: inode.nlink + 1, ctimeNs: time })
    const parts = [{ directory: target.directory, name: target.name, to: source.ino }]
    changeNames(state, { label: `link ${from} ${to}`, parts, moves: undefined }, time)
  }

  return {
    rename,
    link,
    lstat: (path) => {
      step("lstat", path)
      return statOf(...existing(state, "lstat", path, "slash"))
    },
    unlink: (path) => {
      step("unlink", path)
      const place = lookUp(state, "unlink", path, "keep")
      if (place.nameless) throw errnoError("EISDIR", "unlink", path)
      writable("unlink", path)
      if (place.ino === undefined) throw errnoError("ENOENT", "unlink", path)
      if (inodeOf(state, place.ino).kind === "directory") throw errnoError("EISDIR", "unlink", path)
      if (place.slash) throw errnoError("ENOTDIR", "unlink", path)
      removeName("unlink", path, place, place.ino)
    },
    makeDirectory: (path, mode) => {
      step("makeDirectory", path)
      const place = lookUp(state, "mkdir", path, "keep")
      if (place.ino !== undefined) throw errnoError("EEXIST", "mkdir", path)
      writable("mkdir", path)
      reserve(Content.PAGE, "mkdir", path)
      const ino = state.nextIno++
      const time = now()
      const entries = new Map<string, Ino>()
      state.inodes.set(ino, { kind: "directory", mode, mtimeNs: time, ctimeNs: time, entries, durable: entries })
      const parts = [{ directory: place.directory, name: place.name, to: ino }]
      changeNames(state, { label: `mkdir ${path}`, parts, moves: undefined }, time)
    },
    removeDirectory: (path) => {
      step("removeDirectory", path)
      const place = lookUp(state, "rmdir", path, "keep")
      if (place.nameless) throw errnoError(place.ino === ROOT ? "EBUSY" : "EINVAL", "rmdir", path)
      writable("rmdir", path)
      if (place.ino === undefined) throw errnoError("ENOENT", "rmdir", path)
      const inode = inodeOf(state, place.ino)
      if (inode.kind !== "directory") throw errnoError("ENOTDIR", "rmdir", path)
      if (inode.entries.size > 0) throw errnoError("ENOTEMPTY", "rmdir", path)
      removeName("rmdir", path, place, place.ino)
    },
    list: (path) => {
      step("list", path)
      const [, inode] = existing(state, "scandir", path, "follow")
      if (inode.kind !== "directory") throw errnoError("ENOTDIR", "scandir", path)
      return Array.from(inode.entries.keys())
    },
    readLink: (path) => {
      step("readLink", path)
      const [, inode] = existing(state, "readlink", path, "slash")
      if (inode.kind !== "symlink") throw errnoError("EINVAL", "readlink", path)
      return inode.target
    },
    chmod: (path, mode) => {
      step("chmod", path)
      const [ino, inode] = existing(state, "chmod", path, "slash")
      if (inode.kind === "symlink") throw errnoError("ELOOP", "chmod", path)
      writable("chmod", path)
      if (inode.kind === "file" || inode.kind === "block-device") {
        change(state, ino, inode, { kind: "mode", mode }, now())
      } else {
        state.inodes.set(ino, { ...inode, mode, ctimeNs: now() })
      }
    }
  }
}
