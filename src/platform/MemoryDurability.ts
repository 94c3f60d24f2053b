/**
 * Between the page cache of a simulated disk and its medium: what changes, what a sync makes durable, what a failed
 * write-back loses.
 */
import * as Chunk from "effect/Chunk"
import * as Content from "./MemoryContent.ts"
import { type DataChange, type DataInode, type Ino, inodeOf, type NameChange, type State } from "./MemoryState.ts"

/** What a file consists of besides its times. */
export interface FileData {
  readonly content: Content.Content
  readonly mode: number
}

/** A file after one change. */
export const changed = (data: FileData, change: DataChange): FileData => {
  const { content, mode } = data
  switch (change.kind) {
    case "write":
      return { content: Content.write(content, change.bytes, change.offset), mode }
    case "truncate":
      return { content: Content.truncate(content, change.size), mode }
    case "punch":
      return { content: Content.punch(content, change.offset, change.length), mode }
    case "mode":
      return { content, mode: change.mode }
  }
}

/** What a file will be when all that is pending reaches the medium. */
const replayed = (inode: DataInode): FileData =>
  Chunk.reduce<DataChange, FileData>(inode.pending, inode.durable, changed)

const isModeChange = (what: DataChange): boolean => what.kind === "mode"

const dataInode = (state: State, ino: Ino): DataInode | undefined => {
  const inode = inodeOf(state, ino)
  return inode.kind === "file" || inode.kind === "block-device" ? inode : undefined
}

/** Changes a file as every reader sees it from now on; not durable. */
export const change = (state: State, ino: Ino, inode: DataInode, what: DataChange, now: bigint): void => {
  const after = changed(inode, what)
  state.inodes.set(ino, {
    ...inode,
    ...after,
    mtimeNs: what.kind === "mode" ? inode.mtimeNs : now,
    ctimeNs: now,
    pending: Chunk.append(inode.pending, what)
  })
}

/** Changes names, as one change that a power loss undoes as a whole or not at all. */
export const changeNames = (state: State, what: NameChange, now: bigint): void => {
  for (const part of what.parts) {
    const directory = inodeOf(state, part.directory)
    if (directory.kind !== "directory") continue
    const entries = new Map(directory.entries)
    if (part.to === undefined) entries.delete(part.name)
    else entries.set(part.name, part.to)
    state.inodes.set(part.directory, { ...directory, entries, mtimeNs: now, ctimeNs: now })
  }
  state.names = [...state.names, what]
}

/** fsync(2), or with `dataOnly` fdatasync(2): what the inode holds now survives a power loss. */
export const flush = (state: State, ino: Ino, dataOnly = false): void => {
  const inode = inodeOf(state, ino)
  if (inode.kind === "directory") {
    if (inode.entries === inode.durable) return
    state.inodes.set(ino, { ...inode, durable: inode.entries })
    state.names = state.names.flatMap((what) => {
      const parts = what.parts.filter((part) => part.directory !== ino)
      return parts.length === what.parts.length ? [what] : parts.length === 0 ? [] : [{ ...what, parts }]
    })
    return
  }
  const data = dataInode(state, ino)
  if (data === undefined || Chunk.isEmpty(data.pending)) return
  // What readers see is what the medium gets, unless an earlier write-back failed.
  const { content, mode } = data.deluded ? replayed(data) : data
  const pending = dataOnly ? Chunk.filter(data.pending, isModeChange) : Chunk.empty<DataChange>()
  state.inodes.set(ino, {
    ...data,
    durable: { content, mode: dataOnly ? data.durable.mode : mode },
    pending
  })
}

/**
 * Write-back of what is not yet synced fails: it will never reach the medium, though readers still see it, and every
 * descriptor that is open now learns of it at its next sync, once.
 */
export const failWriteBack = (state: State, ino: Ino, code: string): void => {
  const inode = dataInode(state, ino)
  if (inode === undefined) return
  state.inodes.set(ino, {
    ...inode,
    pending: Chunk.filter(inode.pending, isModeChange),
    failures: { count: inode.failures.count + 1, code },
    deluded: inode.deluded || Chunk.some(inode.pending, (what) => !isModeChange(what))
  })
}

/** Clean pages leave the cache: after a failed write-back, readers now see what is really there. */
export const forgetCache = (state: State, ino: Ino): void => {
  const inode = dataInode(state, ino)
  if (inode === undefined || !inode.deluded) return
  const { content } = replayed(inode)
  state.inodes.set(ino, { ...inode, content, deluded: false })
}
