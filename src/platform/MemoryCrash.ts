/**
 * Power loss on a simulated disk: which states it may leave, one of them, all of them, or a sample.
 *
 * What was synced stays. Of the rest, each change of names (create, rename, unlink) has happened or not, in whatever
 * order; each write to a file is lost, whole, zero-filled (the size grew, the bytes did not arrive) or cut; each other
 * change of a file has happened or not. File and directory are independent: a rename may survive without the content.
 */
import * as Chunk from "effect/Chunk"
import { changed, type FileData } from "./MemoryDurability.ts"
import { type DataChange, type DataInode, type Ino, type Inode, ROOT, type State } from "./MemoryState.ts"

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

/** The names that survive, directory by directory. */
const survivingNames = (state: State, choose: Choose): (directory: Ino) => Entries => {
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
  for (const { label, moves, parts } of state.names) {
    if (choose(2, label) === 0) continue
    if (moves !== undefined) {
      // Not only from where the rename took it: that an earlier rename brought it there may be lost.
      for (const [ino, inode] of state.inodes) {
        if (inode.kind !== "directory") continue
        for (const [name, child] of changedOnes.get(ino) ?? inode.durable) {
          if (child === moves && parts.some((part) => part.to === moves)) entriesOf(ino).delete(name)
        }
      }
    }
    for (const part of parts) {
      if (part.to !== undefined) entriesOf(part.directory).set(part.name, part.to)
      else if (moves === undefined || entriesOf(part.directory).get(part.name) === moves) {
        entriesOf(part.directory).delete(part.name)
      }
    }
  }
  return entriesOf
}

/** One of the states that a power loss may leave. `state` itself is not changed. */
export const survivor = (state: State, choose: Choose, options?: CrashOptions): State => {
  const entriesOf = survivingNames(state, choose)
  const inodes = new Map<Ino, Inode>()
  const keepFile = (ino: Ino, inode: DataInode, path: string): void => {
    const before = inodes.get(ino)
    // A second name: its source directory was not synced after the rename.
    if (before?.kind === inode.kind) return void inodes.set(ino, { ...before, nlink: before.nlink + 1 })
    const answer = options?.ignore?.(path) === true ? keepAll : choose
    const data = Chunk.reduce<DataChange, FileData>(
      inode.pending,
      inode.durable,
      (data, change) => survived(data, change, answer, path, options)
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
  const keep = (ino: Ino, path: string): boolean => {
    const inode = state.inodes.get(ino)
    if (inode === undefined) throw new Error(`simulated disk: ${path} leads nowhere`)
    if (inode.kind === "file" || inode.kind === "block-device") keepFile(ino, inode, path)
    else if (inode.kind !== "directory") inodes.set(ino, inode)
    else {
      // A directory with two names would be a damaged file system: its check keeps one.
      if (inodes.has(ino)) return false
      const entries = new Map(entriesOf(ino))
      inodes.set(ino, { ...inode, entries, durable: entries })
      for (const [name, child] of entries) {
        if (!keep(child, `${path}/${name}`)) entries.delete(name)
      }
    }
    return true
  }
  keep(ROOT, "")
  return { ...state, inodes, names: [] }
}
