/**
 * What a simulated disk consists of: inodes, each with what is visible now and what is on the medium, and the changes
 * between the two. Inodes are values that are replaced, never changed, so a copy of a disk is a copy of one map.
 */
import type * as Chunk from "effect/Chunk"
import type { Content } from "./MemoryContent.ts"

/** Number of an inode; never used again. */
export type Ino = number

/** A change of a file that no sync has covered yet. `bytes` belong to the change and are never altered. */
export type DataChange =
  | { readonly kind: "write"; readonly offset: number; readonly bytes: Uint8Array }
  | { readonly kind: "truncate"; readonly size: number }
  | { readonly kind: "punch"; readonly offset: number; readonly length: number }
  | { readonly kind: "mode"; readonly mode: number }

/** Permission bits and times in nanoseconds since 1970. */
export interface Attributes {
  readonly mode: number
  readonly mtimeNs: bigint
  readonly ctimeNs: bigint
}

/** A regular file or a block device. */
export interface DataInode extends Attributes {
  readonly kind: "file" | "block-device"
  /** Names that lead here: 0 when it was removed while open. */
  readonly nlink: number
  /** What reads see: the page cache. */
  readonly content: Content
  /** What is on the medium. */
  readonly durable: { readonly content: Content; readonly mode: number }
  /** What was done since, oldest first; after a power loss each may have happened or not. */
  readonly pending: Chunk.Chunk<DataChange>
  /** Grows with each failed write-back; a descriptor that saw a smaller number learns of it at its next sync. */
  readonly failures: { readonly count: number; readonly code: string }
  /** A write-back failed: `content` shows bytes that will never reach the medium. */
  readonly deluded: boolean
}

/** A directory; its mode is durable at once, its entries are not. */
export interface DirectoryInode extends Attributes {
  readonly kind: "directory"
  readonly entries: ReadonlyMap<string, Ino>
  readonly durable: ReadonlyMap<string, Ino>
}

/** A symbolic link. */
export interface LinkInode extends Attributes {
  readonly kind: "symlink"
  readonly target: string
}

/** What can be looked at, and no more. */
export interface OtherInode extends Attributes {
  readonly kind: "character-device" | "pipe" | "socket"
}

export type Inode = DataInode | DirectoryInode | LinkInode | OtherInode

/**
 * A change of names that not every directory it touches has been synced after. It happens as a whole or not at all;
 * once one of its directories is synced, that part has happened. `to` absent: the name goes.
 */
export interface NameChange {
  readonly label: string
  readonly parts: ReadonlyArray<{ readonly directory: Ino; readonly name: string; readonly to: Ino | undefined }>
  /** The inode that a rename moves: wherever it was before, afterwards it is only there. */
  readonly moves: Ino | undefined
}

/** A disk without its descriptors. */
export interface State {
  inodes: Map<Ino, Inode>
  names: ReadonlyArray<NameChange>
  nextIno: Ino
  /** Counts time when there is no clock. */
  ticks: bigint
}

/** The root directory's inode. */
export const ROOT: Ino = 2

/** Before the first tick: 2023-11-14T22:13:20Z. */
export const EPOCH_NS = 1_700_000_000_000_000_000n

/** A new disk with nothing but a root directory. */
export const emptyState = (): State => ({
  inodes: new Map<Ino, Inode>([[ROOT, {
    kind: "directory",
    mode: 0o755,
    mtimeNs: EPOCH_NS,
    ctimeNs: EPOCH_NS,
    entries: new Map(),
    durable: new Map()
  }]]),
  names: [],
  nextIno: ROOT + 1,
  ticks: 0n
})

/** A copy that may go its own way; shares all that does not change. */
export const cloneState = (state: State): State => ({ ...state, inodes: new Map(state.inodes) })

/** The inode of that number. That there is one is an invariant of the simulation. */
export const inodeOf = (state: State, ino: Ino): Inode => {
  const inode = state.inodes.get(ino)
  if (inode === undefined) throw new Error(`simulated disk: inode ${ino} is gone`)
  return inode
}

/** Inodes that a name, a change, the medium or one of `open` descriptors still leads to; forgets all others. */
export const collect = (state: State, open: Iterable<Ino>): void => {
  const alive = new Set<Ino>()
  const visit = (ino: Ino): void => {
    if (alive.has(ino)) return
    alive.add(ino)
    const inode = state.inodes.get(ino)
    if (inode?.kind !== "directory") return
    for (const child of inode.entries.values()) visit(child)
    for (const child of inode.durable.values()) visit(child)
  }
  visit(ROOT)
  for (const ino of open) visit(ino)
  for (const change of state.names) {
    for (const part of change.parts) {
      visit(part.directory)
      if (part.to !== undefined) visit(part.to)
    }
  }
  for (const ino of state.inodes.keys()) {
    if (!alive.has(ino)) state.inodes.delete(ino)
  }
}
