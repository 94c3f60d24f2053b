/**
 * What crosses the border to a worker thread: requests about a few blocks of an image, and their answers. Plain data
 * (structured clone); ids travel packed, 32 bytes each, all zero for a hole, in the order of `indexes`. Sources and
 * targets travel as open files, for another file may have taken their path by now: threads of one process share their
 * descriptors, and who sent the request keeps them open until it is answered.
 */
import type { Opened } from "../platform/Disk.ts"

/** Where the image's blocks and the repository's chunks are found. */
export interface Blocks {
  /** The repository's directory. */
  readonly repository: string
  /** Image size in bytes and chunk size; they give each block's length. */
  readonly size: number
  readonly chunkSize: number
  /** Block indexes, ascending. */
  readonly indexes: ReadonlyArray<number>
}

/** Blocks as a revision holds them. */
export interface Held extends Blocks {
  /** Packed ids as `storedId.ts` has them: they also name chunks of backy 2.5, or nothing but "in the image". */
  readonly ids: Uint8Array
  /** The file that holds the blocks themselves, each at its place; then ids only say what should be there. */
  readonly image?: string
}

/** Reads blocks of `source` and stores what neither the base nor the repository has. */
export interface Store extends Blocks {
  readonly op: "store"
  readonly source: Opened
  /** Names one backup run: what was found good in a run is not read again within it. */
  readonly run: string
  /** The base's ids where the base may be relied upon, zeros elsewhere. */
  readonly base: Uint8Array
}

export interface Stored {
  readonly ids: Uint8Array
  readonly holes: number
  /** Blocks that the base has at the same place. */
  readonly unchanged: number
  /** Blocks whose chunk was found in the repository, whole. */
  readonly found: number
  /** Blocks whose chunk was written, their bytes before and after compression. */
  readonly written: number
  readonly writtenBytes: number
  readonly storedBytes: number
  /** Chunk folders with new entries, to be synced: two hexadecimal digits each. */
  readonly folders: ReadonlyArray<string>
}

/** Reads blocks of `source` again and compares them with what is stored under `ids`. */
export interface Compare extends Held {
  readonly op: "compare"
  readonly source: Opened
  /** For how many differing blocks both contents are wanted as evidence, and for how many healed chunks the bad one. */
  readonly evidence: number
}

export interface Compared {
  /** Bytes of the source that were compared and are equal, after healing. */
  readonly equal: number
  readonly differences: ReadonlyArray<Difference>
  /** Damaged or missing chunks written anew, since the source still had their content. */
  readonly healed: ReadonlyArray<Healed>
  readonly folders: ReadonlyArray<string>
}

/** A block of the source that is not what is stored. Contents only as far as evidence was asked for. */
export interface Difference {
  readonly index: number
  /** Hash of the block as it was read the second time; `null`: the source ended before it. */
  readonly sourceHash: string | null
  /** The chunk's id, `null` for a hole. */
  readonly storedHash: string | null
  readonly why: string
  readonly source?: Uint8Array
  readonly stored?: Uint8Array
}

export interface Healed {
  readonly id: string
  readonly why: string
  /** The bad file's content, when there was one and as far as evidence was asked for. */
  readonly raw?: Uint8Array
}

/** Stores the chunks `ids` anew from the same blocks of `source`, where the source still has that very content. */
export interface Heal extends Blocks {
  readonly op: "heal"
  readonly source: Opened
  readonly ids: Uint8Array
}

export interface HealResult {
  readonly healed: ReadonlyArray<string>
  readonly folders: ReadonlyArray<string>
}

/** Reads chunks and checks them against their names, twice where the first reading says damaged. */
export interface Check extends Held {
  readonly op: "check"
}

export interface Checked {
  /** Bytes that are right, before compression. */
  readonly good: number
  readonly bad: ReadonlyArray<BadChunk>
  /** Ids of chunks that are right, whose file ends with a trailer that is not theirs. */
  readonly foreignTrailers: ReadonlyArray<string>
}

export interface BadChunk {
  readonly index: number
  readonly id: string
  /** `unreadable` is an I/O error, which proves nothing about the content. */
  readonly state: "missing" | "damaged" | "unreadable"
  readonly why: string
}

/** Writes the checked content of chunks to the same places of `target`. */
export interface Restore extends Held {
  readonly op: "restore"
  readonly target: Opened
  /** What to do for holes, and for blocks that are lost: nothing (a new file), or write zeros (a device). */
  readonly zeros: "skip" | "write"
}

export interface Restored {
  /** Bytes written to the target. */
  readonly written: number
  readonly bad: ReadonlyArray<BadChunk>
}

/** Brings `target` to what is held, and writes no more of it than differs. What it holds already is checked, too. */
export interface Amend extends Held {
  readonly op: "amend"
  readonly target: Opened
  /** Only tells what would be written. */
  readonly dryRun: boolean
  /** So many bytes at the image's beginning are left as they are, and not looked at. */
  readonly keep: number
  /** How zeros get into the target: as a hole where that can be, or written. */
  readonly zeros: "punch" | "write"
  /** What becomes of blocks that are lost: they stay as they are, or zeros take their place. */
  readonly lost: "keep" | "clear"
}

export interface Amended {
  /** Blocks of which something differed. */
  readonly differing: ReadonlyArray<number>
  /** Bytes that were written, and bytes that were made zeros without writing them. */
  readonly written: number
  readonly cleared: number
  /** Chunks that were needed, and are bad. One whose content the target has is not needed. */
  readonly bad: ReadonlyArray<BadChunk>
}

/** Gives the checked contents back, one after the other; bad chunks as zeros. No holes are asked for. */
export interface Read extends Held {
  readonly op: "read"
}

export interface ReadResult {
  readonly bytes: Uint8Array
  readonly bad: ReadonlyArray<BadChunk>
}

/**
 * Stores one chunk's content, as `store` does for a block. All zeros are refused by the caller. The content is given
 * away: nobody may look at it afterwards, for its memory moves to the thread that stores it.
 */
export interface Put {
  readonly op: "put"
  readonly repository: string
  readonly run: string
  readonly content: Uint8Array
}

/** Stores blocks that a revision holds in another form as chunks of the current one. */
export interface Convert extends Held {
  readonly op: "convert"
  /** As for `store`. */
  readonly run: string
}

export interface Converted extends Stored {
  /** Blocks that cannot be read as they should be; their ids are zeros. */
  readonly bad: ReadonlyArray<BadChunk>
}

/** Compares what a revision holds with what is stored under other ids. */
export interface Confirm extends Held {
  readonly op: "confirm"
  readonly others: Uint8Array
}

export interface Confirmed {
  /** Bytes that are equal. */
  readonly equal: number
  /** Blocks that differ, or that cannot be read on one side. */
  readonly different: ReadonlyArray<BadChunk>
}

/** Brings the blocks of `target`, which begins as a copy of the base's image, to what `source` has. */
export interface Fill extends Blocks {
  readonly op: "fill"
  readonly source: Opened
  readonly target: Opened
  /** What `target` holds now, as packed ids; an unknown one is read and compared, zeros are a hole. */
  readonly base: Uint8Array
}

/** Removes files of the repository; what is not there is no error. */
export interface Remove {
  readonly op: "remove"
  /** The repository's directory. */
  readonly repository: string
  /** Paths below it. */
  readonly files: ReadonlyArray<string>
  /** Only tells what they take. */
  readonly dryRun: boolean
}

export interface Removed {
  /** Length of the files that were there. */
  readonly bytes: number
}

export type Request = Store | Compare | Heal | Check | Restore | Amend | Read | Put | Convert | Confirm | Fill | Remove

/** The answer to each request. */
export interface Answers {
  readonly store: Stored
  readonly compare: Compared
  readonly heal: HealResult
  readonly check: Checked
  readonly restore: Restored
  readonly amend: Amended
  readonly read: ReadResult
  readonly put: Stored
  readonly convert: Converted
  readonly confirm: Confirmed
  readonly fill: Stored
  readonly remove: Removed
}

export type Answer<R extends Request> = Answers[R["op"]]

/** Why a request failed, as plain data. */
export type Failure =
  | { readonly tag: "io"; readonly operation: string; readonly path: string; readonly code: string }
  | { readonly tag: "short"; readonly path: string; readonly position: number }
  | { readonly tag: "defect"; readonly message: string; readonly stack: string }
