/**
 * What the parts of one simulated disk share.
 */
import type { Disk } from "./Disk.ts"
import type { Ino, State } from "./MemoryState.ts"

/** An open file. */
export interface Handle {
  readonly ino: Ino
  readonly path: string
  readonly access: "read" | "write" | "read-write"
  /** It claims a block device. */
  readonly exclusive: boolean
  /** How many failed write-backs of the inode this descriptor knows of. */
  seen: number
}

/** What the parts of a simulated disk share. */
export interface Machine {
  readonly state: State
  readonly descriptors: Map<number, Handle>
  readonly now: () => bigint
  /** Counts the call and asks the hook. */
  readonly step: (name: keyof Disk, path: string) => void
  /** Throws EROFS on a read-only disk. */
  readonly writable: (syscall: string, path: string) => void
  /** Throws ENOSPC unless `bytes` more fit. */
  readonly reserve: (bytes: number, syscall: string, path: string) => void
  /** Pages that may still be allocated. */
  readonly freePages: () => number
}
