/**
 * Where an image comes from. A source is a port: files, Ceph and others implement it, and a backup knows no more of
 * them than is said here.
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { Extent } from "../domain/Extent.ts"
import type { RevisionId } from "../domain/RevisionId.ts"
import type { Opened } from "../platform/Disk.ts"

/** The image cannot be backed up now: it is missing, unreadable, or of a kind that is not supported. */
export class SourceNotReady extends Data.TaggedError("SourceNotReady")<{
  /** The source as the user knows it, e.g. `/var/lib/vm/web.img`. */
  readonly source: string
  readonly reason: string
}> {
  override get message() {
    return `cannot back up ${this.source}: ${this.reason}`
  }
}

/** The image was not the same at the end as at the beginning. What was read of it is no backup. */
export class SourceChanged extends Data.TaggedError("SourceChanged")<{
  readonly source: string
  readonly reason: string
}> {
  override get message() {
    return `${this.source} changed while it was read: ${this.reason}`
  }
}

/** One moment of the image, held still as far as the source can. */
export interface Snapshot {
  /** Bytes. */
  readonly size: number
  readonly content: Readable | Changes
  /**
   * To be run when the revision that was made of it is published: from then on the source may let go of what it kept
   * for older ones. Without it what was made for this revision is taken away again with the scope.
   */
  readonly published: Effect.Effect<void>
}

/** Content that comes as a stream of changes to what an older revision holds. */
export interface Changes {
  readonly _tag: "Changes"
  /**
   * The changes since the newest of these revisions that the source can compare with; since an image of zeros when it
   * can with none. They count only when the stream has ended without failure. In any order; the later one wins. The
   * bytes of a write need only be valid until the next batch is asked for.
   */
  readonly since: (bases: ReadonlyArray<RevisionId>) => Effect.Effect<Difference, SourceNotReady>
  /** How what was stored can be compared with the source. Without a second reading there is no revision. */
  readonly second: Samples | Again
}

/** The way from one revision to the snapshot. */
export interface Difference {
  readonly base: RevisionId | undefined
  readonly changes: Stream.Stream<Change, SourceNotReady>
}

/** Bytes that are there now, or zeros, from a byte of the image on. */
export type Change =
  | { readonly _tag: "Write"; readonly offset: number; readonly bytes: Uint8Array }
  | { readonly _tag: "Zero"; readonly offset: number; readonly length: number }

/** Reads a range of an image. */
export type Read = (offset: number, length: number) => Effect.Effect<Uint8Array, SourceNotReady>

/** The snapshot can be read at any offset, in another way than that in which the changes come. */
export interface Samples {
  readonly _tag: "Samples"
  readonly read: Read
  /** The same for what is left of an older revision's snapshot. */
  readonly older: (revision: RevisionId) => Effect.Effect<Option.Option<Read>, never, Scope.Scope>
}

/** The whole content can be had once more, from zeros on. */
export interface Again {
  readonly _tag: "Again"
  readonly changes: Stream.Stream<Change, SourceNotReady>
}

/** For whom a snapshot is taken. */
export interface SnapshotRequest {
  /** The revision that is being made; its incomplete metadata is published. */
  readonly revision: RevisionId
  /** The repository's directory, where a source may keep notes. */
  readonly directory: string
  /** The complete revisions of the repository, oldest first. */
  readonly complete: ReadonlyArray<RevisionId>
  /** Revisions whose metadata could not be read now: any of them may be a complete one. */
  readonly broken: ReadonlyArray<RevisionId>
  /** Revisions that were never completed and have just been removed. */
  readonly incomplete: ReadonlyArray<RevisionId>
}

/** A path that can be read at any offset, twice, with the same result. */
export interface Readable {
  readonly _tag: "Readable"
  readonly path: string
  /**
   * The file at the path, as the source holds it open until the snapshot is let go. Without it the backup opens the path
   * once and keeps it open: whatever takes its place meanwhile is not read.
   */
  readonly file?: Opened
  /**
   * Where the image may hold data, ascending; all else reads as zeros. Asked for before each of the two readings, since
   * a hole of the first may be data in the second.
   */
  readonly dataExtents: Effect.Effect<ReadonlyArray<Extent>, SourceNotReady>
  /** Fails when the image was written, resized or replaced since the snapshot was taken. */
  readonly unchanged: Effect.Effect<void, SourceChanged | SourceNotReady>
}

export class Source extends Context.Tag("backy/source/Source")<Source, {
  /** The source as the user knows it. */
  readonly name: string
  /** Fails when a snapshot could not be taken now. Makes nothing. */
  readonly check: Effect.Effect<void, SourceNotReady>
  /** Takes a snapshot for the revision that is being made. It is let go with the scope. */
  readonly snapshot: (request: SnapshotRequest) => Effect.Effect<Snapshot, SourceNotReady, Scope.Scope>
}>() {}
