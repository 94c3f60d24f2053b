/**
 * A simulated disk: what Linux and a file system promise, and not a bit more.
 *
 * Everything that was not synced is volatile: `crash` gives one of the states that a power loss may leave. It is
 * synchronous and deterministic, and copying it costs little, so a test can look at every state after every call.
 *
 * Permissions are kept, not enforced; only files and devices have hard links. How data and names become durable is told in
 * MemoryDurability.ts; what a power loss may do to the rest in MemoryCrash.ts.
 */
import * as Chunk from "effect/Chunk"
import type { Disk } from "./Disk.ts"
import { errnoError } from "./errno.ts"
import * as Content from "./MemoryContent.ts"
import { type Choose, type CrashOptions, survivor } from "./MemoryCrash.ts"
import { makeData } from "./MemoryData.ts"
import { describe } from "./MemoryDescription.ts"
import { failWriteBack, flush } from "./MemoryDurability.ts"
import type { Handle, Machine } from "./MemoryMachine.ts"
import { makeNames } from "./MemoryNames.ts"
import { lookUp } from "./MemoryPath.ts"
import { makePlanter, type Planter } from "./MemoryPlanter.ts"
import { cloneState, emptyState, EPOCH_NS, inodeOf, type State } from "./MemoryState.ts"

/** Called before each call of the disk takes effect; `n` counts from 1. What it throws, the call throws. */
export type OperationHook = (n: number, name: keyof Disk, path: string) => void

export interface MemoryDiskOptions {
  /** Bytes that fit; each inode takes one page (4 KiB), as does each page of content. Default: no limit. */
  readonly capacity?: number
  /** Nanoseconds since 1970. Default: a clock that advances by a millisecond each time it is read. */
  readonly clock?: () => bigint
}

export interface MemoryDisk extends Planter {
  readonly disk: Disk
  /** While this is set, every change fails with EROFS. */
  readOnly: boolean
  /** Bytes that fit; `undefined`: no limit. */
  capacity: number | undefined
  /**
   * Looks at each call and may let it fail. A sync that it lets fail loses the data, as a failed write-back does; a
   * close that it lets fail has closed. It may also `clone` or `crash` the disk, to look at its state at this point.
   */
  onOperation: OperationHook | undefined
  /** Calls so far. */
  readonly operations: number
  /** Bytes in use, counted as for `capacity`. */
  readonly used: number
  /** Paths of the descriptors that nobody has closed. */
  readonly openDescriptors: ReadonlyArray<string>
  /** Would nothing be lost by a power loss now? */
  readonly isDurable: boolean
  /** Makes everything durable, as sync(2) does. */
  readonly syncAll: () => void
  /** A copy with the same volatile and durable state and limits; without open descriptors and without the hook. */
  readonly clone: () => MemoryDisk
  /** A new disk with one of the states that a power loss now may leave; this one is not changed. */
  readonly crash: (choose: Choose, options?: CrashOptions) => MemoryDisk
  /** Write-back of a file fails: what was not synced is lost; each descriptor open now learns of it once. */
  readonly failWriteBack: (path: string, code?: string) => void
  /** All bytes of a file, following links; not counted as a call. */
  readonly bytesAt: (path: string) => Uint8Array
  /** Everything visible, one line each: path, kind, mode, and size with a hash of the content, or the target. */
  readonly describe: () => ReadonlyArray<string>
}

const usedPages = (state: State, descriptors: Map<number, Handle>): number => {
  const open = new Set(Array.from(descriptors.values(), (handle) => handle.ino))
  let pages = 0
  for (const [ino, inode] of state.inodes) {
    if (inode.kind === "file" && (inode.nlink > 0 || open.has(ino))) pages += 1 + inode.content.pages
    if (inode.kind === "directory" || inode.kind === "symlink") pages += 1
  }
  return pages
}

const fromState = (state: State, options: MemoryDiskOptions): MemoryDisk => {
  const descriptors = new Map<number, Handle>()
  let operations = 0
  const used = (): number => usedPages(state, descriptors) * Content.PAGE
  const freePages = (): number =>
    memory.capacity === undefined ? Infinity : Math.max(0, Math.floor((memory.capacity - used()) / Content.PAGE))
  const machine: Machine = {
    state,
    descriptors,
    now: options.clock ?? (() => EPOCH_NS + ++state.ticks * 1_000_000n),
    step: (name, path) => {
      operations++
      memory.onOperation?.(operations, name, path)
    },
    writable: (syscall, path) => {
      if (memory.readOnly) throw errnoError("EROFS", syscall, path)
    },
    reserve: (bytes, syscall, path) => {
      if (freePages() * Content.PAGE < bytes) throw errnoError("ENOSPC", syscall, path)
    },
    freePages
  }
  const sibling = (other: State): MemoryDisk => {
    const made = fromState(other, options)
    made.capacity = memory.capacity
    made.readOnly = memory.readOnly
    return made
  }
  const memory: MemoryDisk = {
    ...makePlanter(state, machine.now),
    disk: { ...makeNames(machine), ...makeData(machine) },
    readOnly: false,
    capacity: options.capacity,
    onOperation: undefined,
    get operations() {
      return operations
    },
    get used() {
      return used()
    },
    get openDescriptors() {
      return Array.from(descriptors.values(), (handle) => handle.path)
    },
    get isDurable() {
      return state.names.length === 0 &&
        Array.from(state.inodes.values()).every((inode) =>
          (inode.kind !== "file" && inode.kind !== "block-device") || (Chunk.isEmpty(inode.pending) && !inode.deluded)
        )
    },
    syncAll: () => {
      for (const ino of Array.from(state.inodes.keys())) flush(state, ino)
    },
    clone: () => sibling(cloneState(state)),
    crash: (choose, crashOptions) => sibling(survivor(state, choose, crashOptions)),
    failWriteBack: (path, code = "EIO") => {
      const { ino } = lookUp(state, "open", path, "follow")
      if (ino === undefined) throw errnoError("ENOENT", "open", path)
      failWriteBack(state, ino, code)
    },
    bytesAt: (path) => {
      const { ino } = lookUp(state, "open", path, "follow")
      const inode = ino === undefined ? undefined : inodeOf(state, ino)
      if (inode?.kind !== "file" && inode?.kind !== "block-device") throw errnoError("ENOENT", "open", path)
      const bytes = new Uint8Array(inode.content.size)
      Content.read(inode.content, bytes, 0)
      return bytes
    },
    describe: () => describe(state)
  }
  return memory
}

/** An empty disk: a root directory and nothing else. */
export const make = (options: MemoryDiskOptions = {}): MemoryDisk => fromState(emptyState(), options)
