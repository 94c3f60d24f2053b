/**
 * Power loss on a simulated disk: which states it may leave, one of them, all of them, or a sample.
 *
 * What was synced stays. Of the rest, each change of names (create, rename, unlink) has happened or not, in whatever
 * order; each write to a file is lost, whole, zero-filled (the size grew, the bytes did not arrive) or cut; each other
 * change of a file has happened or not. File and directory are independent: a rename may survive without the content.
 */
import * as Chunk from "effect/Chunk"
import { changed, type FileData } from "./MemoryDurability.ts"
import {
  type DataChange,
  type DataInode,
  type DirectoryInode,
  type Ino,
  type Inode,
  ROOT,
  type State
} from "./MemoryState.ts"

/**
 * Decides one question by a number from 0 to `options` - 1. 0 is always "lost", 1 "happened". A write has two more
 * answers: 2 zero-filled, 3 cut (then the length is another question).
 */
export type Choose = (options: number, question: string) => number

/** Everything happened, as if the power had not failed. */
export const keepAll: Choose = () => 1

/** Everything that was not synced is lost. */
export const loseAll: Choose = () => 0

export interface CrashOptions {
  /** Where a write may be cut: in the middle (default; few states), or behind any of its bytes. */
  readonly cut?: "half" | "any"
  /** Files whose content is of no interest, e.g. lock files: they survive whole, and nothing is asked about them. */
  readonly ignore?: (path: string) => boolean
}

const cutLength = (length: number, choose: Choose, question: string, options: CrashOptions | undefined): number =>
  options?.cut === "any" ? 1 + choose(length - 1, `${question}: length`) : length >> 1

const survived = (
  data: FileData,
  change: DataChange,
  choose: Choose,
  path: string,
  options: CrashOptions | undefined
): FileData => {
  if (change.kind !== "write") return choose(2, `${change.kind} ${path}`) === 0 ? data : changed(data, change)
  const { bytes, offset } = change
  const question = `write ${path} ${offset}+${bytes.length}`
  switch (choose(bytes.length > 1 ? 4 : 3, question)) {
    case 0:
      return data
    case 1:
      return changed(data, change)
    case 2:
      return changed(data, { kind: "write", offset, bytes: new Uint8Array(bytes.length) })
    default:
      return changed(data, { ...change, bytes: bytes.subarray(0, cutLength(bytes.length, choose, question, options)) })
  }
}

type Entries = Map<string, Ino>

/** Directories in which a moved inode may have a name: all that its pending changes speak of. */
const whereabouts = (state: State): ReadonlyMap<Ino, ReadonlySet<Ino>> => {
  const places = new Map<Ino, Set<Ino>>()
  for (const { moves, parts } of state.names) {
    for (const { directory, to } of parts) {
      const ino = to ?? moves
      if (ino !== undefined) places.set(ino, (places.get(ino) ?? new Set()).add(directory))
    }
  }
  return places
}

/** The names that survive in each directory that unsynced changes concern. */
const survivingNames = (state: State, choose: Choose): ReadonlyMap<Ino, Entries> => {
  const changedOnes = new Map<Ino, Entries>()
  const entriesOf = (ino: Ino): Entries => {
    let entries = changedOnes.get(ino)
    if (entries === undefined) {
      const inode = state.inodes.get(ino)
      entries = new Map(inode?.kind === "directory" ? inode.durable : [])
      changedOnes.set(ino, entries)
    }
    return entries
  }
  const places = whereabouts(state)
  for (const { label, moves, parts } of state.names) {
    if (choose(2, label) === 0) continue
    if (moves !== undefined && parts.some(({ to }) => to === moves)) {
      // Not only from where the rename took it: that an earlier rename brought it there may be lost.
      for (const directory of places.get(moves) ?? []) {
        for (const [name, child] of entriesOf(directory)) {
          if (child === moves) entriesOf(directory).delete(name)
        }
      }
    }
    for (const { directory, name, to } of parts) {
      const entries = entriesOf(directory)
      if (to !== undefined) entries.set(name, to)
      else if (moves === undefined || entries.get(name) === moves) entries.delete(name)
    }
  }
  return changedOnes
}

const isSettled = (inode: DataInode): boolean =>
  Chunk.isEmpty(inode.pending) && !inode.deluded && inode.failures.count === 0 && inode.nlink === 1

/** One of the states that a power loss may leave. `state` itself is not changed. */
export const survivor = (state: State, choose: Choose, options?: CrashOptions): State => {
  const changedOnes = survivingNames(state, choose)
  const inodes = new Map<Ino, Inode>()
  const keepFile = (ino: Ino, inode: DataInode, path: () => string): void => {
    const before = inodes.get(ino)
    // A second name: its source directory was not synced after the rename.
    if (before?.kind === inode.kind) return void inodes.set(ino, { ...before, nlink: before.nlink + 1 })
    if (isSettled(inode)) return void inodes.set(ino, inode)
    const answer = options?.ignore?.(path()) === true ? keepAll : choose
    const data = Chunk.reduce<DataChange, FileData>(
      inode.pending,
      inode.durable,
      (data, change) => survived(data, change, answer, path(), options)
    )
    inodes.set(ino, {
      ...inode,
      ...data,
      nlink: 1,
      durable: data,
      pending: Chunk.empty(),
      failures: { count: 0, code: "EIO" },
      deluded: false
    })
  }
  const entriesNow = (ino: Ino): Iterable<readonly [string, Ino]> => {
    const inode = inodes.get(ino)
    return inode?.kind === "directory" ? inode.entries : []
  }
  const keepDirectory = (ino: Ino, inode: DirectoryInode, path: string): void => {
    const kept = changedOnes.get(ino)
    inodes.set(
      ino,
      kept === undefined ? { ...inode, entries: inode.durable } : { ...inode, entries: kept, durable: kept }
    )
    for (const [name, child] of kept ?? inode.durable) {
      if (keep(child, path, name)) continue
      const without = new Map(entriesNow(ino))
      without.delete(name)
      inodes.set(ino, { ...inode, entries: without, durable: without })
    }
  }
  const keep = (ino: Ino, parent: string, name: string): boolean => {
    const inode = state.inodes.get(ino)
    if (inode === undefined) throw new Error(`simulated disk: ${parent}/${name} leads nowhere`)
    if (inode.kind === "file" || inode.kind === "block-device") keepFile(ino, inode, () => `${parent}/${name}`)
    else if (inode.kind !== "directory") inodes.set(ino, inode)
    else {
      // A directory with two names would be a damaged file system: its check keeps one.
      if (inodes.has(ino)) return false
      keepDirectory(ino, inode, `${parent}/${name}`)
    }
    return true
  }
  const root = state.inodes.get(ROOT)
  if (root?.kind === "directory") keepDirectory(ROOT, root, "")
  return { ...state, inodes, names: [] }
}
