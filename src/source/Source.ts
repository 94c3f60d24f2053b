/**
 * Where an image comes from. A source is a port: files, Ceph and others implement it, and a backup knows no more of
 * them than is said here.
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Extent } from "../domain/Extent.ts"
import type { RevisionId } from "../domain/RevisionId.ts"

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
  readonly content: Readable
}

/** A path that can be read at any offset, twice, with the same result. */
export interface Readable {
  readonly _tag: "Readable"
  readonly path: string
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
  readonly snapshot: (revision: RevisionId) => Effect.Effect<Snapshot, SourceNotReady, Scope.Scope>
}>() {}
