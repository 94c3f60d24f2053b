/**
 * Objects of one bucket: the port through which a second copy is written and read. What a store answers is not trusted:
 * sizes are bounded, listed keys are in order, and whether a content is the right one is for the caller to check.
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"

/** There is no object of this name, or not this version of it. */
export class ObjectMissing extends Data.TaggedError("ObjectMissing")<{
  /** The bucket, as `s3://BUCKET`. */
  readonly store: string
  readonly key: string
}> {
  override get message() {
    return `${this.store}/${this.key} is not there`
  }
}

/** A conditional put was refused: the object is there already, or it is no longer the one that was meant. */
export class ObjectConflict extends Data.TaggedError("ObjectConflict")<{
  readonly store: string
  readonly key: string
  readonly condition: "absent" | "unchanged"
}> {
  override get message() {
    const why = this.condition === "absent" ? "is there already" : "was changed by somebody else meanwhile"
    return `${this.store}/${this.key} ${why}`
  }
}

/**
 * Why a store did not do what it was asked:
 *
 * - `unavailable`: no useful answer came, also not when it was asked again; later one may come;
 * - `refused`: these credentials have no right to it, or are none;
 * - `expired`: the credentials are no longer valid;
 * - `clock`: this machine's clock and the store's differ too much for a signature;
 * - `bucket`: there is no such bucket;
 * - `full`: the quota is used up;
 * - `corrupt`: bytes were changed on their way;
 * - `too-large`: the object is larger than the caller can use;
 * - `unexpected`: the answer makes no sense.
 */
export type Reason =
  | "bucket"
  | "clock"
  | "corrupt"
  | "expired"
  | "full"
  | "refused"
  | "too-large"
  | "unavailable"
  | "unexpected"

/** The store did not do what it was asked. Neither keys nor signatures are ever part of it. */
export class ObjectStoreError extends Data.TaggedError("ObjectStoreError")<{
  /** A verb phrase that follows "cannot", with the object's name. */
  readonly operation: string
  readonly reason: Reason
  readonly detail: string
}> {
  override get message() {
    return `cannot ${this.operation}: ${this.detail}`
  }
}

/** What tells one state of an object from another. */
export interface Version {
  /** Changes whenever the object is written; without quotes. Nothing may be concluded from its form. */
  readonly etag: string
  /** The version's name, where the bucket keeps versions. */
  readonly version?: string
}

/** What is known of an object without reading it. */
export interface Description extends Version {
  /** Bytes. */
  readonly size: number
}

/** An object's content, or the part of it that was asked for. */
export interface Fetched extends Description {
  readonly content: Uint8Array
}

/** An object in a listing. */
export interface Listed {
  readonly key: string
  readonly etag: string
  /** Bytes. */
  readonly size: number
  /** Milliseconds since 1970, by the store's clock. */
  readonly modified: number
}

/** What to read of an object, and how much memory that may take. */
export interface GetOptions {
  /** Bytes that may come at most; what is longer fails as `too-large` before it is read. */
  readonly limit: number
  /** Only this part, in bytes. What lies behind the end is not there; a range that begins there is `unexpected`. */
  readonly range?: { readonly offset: number; readonly length: number }
  /** An older version, where the bucket keeps them. */
  readonly version?: string
}

/**
 * Keys are paths of names with `/` between them, at most 1024 bytes, without control characters and without the names
 * `.` and `..`; others are `unexpected`. Requests that fail for a passing reason are sent again for about two minutes.
 * When a put's answer was lost and the next attempt finds the object there, the content decides whether it was ours.
 */
export class ObjectStore extends Context.Tag("backy/remote/ObjectStore")<ObjectStore, {
  /** The bucket for people: `s3://BUCKET`. */
  readonly name: string
  /**
   * Creates an object, never replacing one. Of several at once, one wins; where a store ignores conditions of writes
   * it is looked at before, a warning says so, and of several at once the last may win.
   */
  readonly putIfAbsent: (
    key: string,
    content: Uint8Array
  ) => Effect.Effect<Version, ObjectConflict | ObjectStoreError>
  /** Replaces an object that still has this `etag`; one that has gone is a conflict, too. */
  readonly putIfMatch: (
    key: string,
    content: Uint8Array,
    etag: string
  ) => Effect.Effect<Version, ObjectConflict | ObjectStoreError>
  /** Creates or replaces an object. */
  readonly put: (key: string, content: Uint8Array) => Effect.Effect<Version, ObjectStoreError>
  readonly get: (key: string, options: GetOptions) => Effect.Effect<Fetched, ObjectMissing | ObjectStoreError>
  readonly head: (key: string) => Effect.Effect<Description, ObjectMissing | ObjectStoreError>
  /**
   * The objects whose keys begin with `prefix`, ascending by the bytes of their keys, page by page as they are asked
   * for; with `shallow` only those without another `/` behind it. What is put or deleted meanwhile may or may not be
   * among them. Keys are whatever somebody put there.
   */
  readonly list: (
    prefix: string,
    options?: { readonly shallow?: boolean }
  ) => Stream.Stream<Listed, ObjectStoreError>
  /** Removes an object; where the bucket keeps versions, they stay. One that is not there is no error. */
  readonly delete: (key: string) => Effect.Effect<void, ObjectStoreError>
}>() {}

/** The longest key that S3 takes, in bytes. */
const MAX_KEY_BYTES = 1024

/** Whether a key is one that `ObjectStore` takes: no URL, proxy or file system can make another one of it. */
export const isKey = (key: string): boolean =>
  key !== "" &&
  Buffer.byteLength(key) <= MAX_KEY_BYTES &&
  key.isWellFormed() &&
  !/\p{Cc}/u.test(key) &&
  !key.split("/").some((name) => name === "" || name === "." || name === "..")
