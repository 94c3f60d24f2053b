/**
 * Ceph's block device images: a port for what a backup does with them. The live layer runs the `rbd` program
 * (`ceph/rbdProgram.ts`), the in-memory one is a model of images (`MemoryRbd.ts`).
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type * as RbdDiff from "./RbdDiff.ts"

/** Ceph did not do what it was asked. */
export class RbdError extends Data.TaggedError("RbdError")<{
  /** A verb phrase that follows "cannot". */
  readonly operation: string
  /** `pool/image` or `pool/image@snapshot`. */
  readonly what: string
  /**
   * The errno name: ENOENT no such image or snapshot, EEXIST there already, EBUSY in use or protected, ETIMEDOUT no
   * answer in time, ENOTCONN no configuration or no cluster. Of our own: ENOPOOL no such pool or namespace, ENOPKG no
   * such program.
   */
  readonly code: string
  /** The last that `rbd` had to say. */
  readonly detail: string
}> {
  override get message() {
    return `cannot ${this.operation} ${this.what}: ${this.detail} (${this.code})`
  }
}

/** Where images are: a pool, or a namespace of one. */
export interface Place {
  readonly pool: string
  readonly namespace?: string
}

/** An image by its names. */
export interface ImageName extends Place {
  readonly image: string
}

/** `pool` or `pool/namespace`. */
export const formatPlace = ({ namespace, pool }: Place): string =>
  namespace === undefined ? pool : `${pool}/${namespace}`

/** `pool/image` or `pool/namespace/image`, with a snapshot `pool/image@snapshot`. */
export const format = ({ image, ...place }: ImageName, snapshot?: string): string =>
  `${formatPlace(place)}/${image}${snapshot === undefined ? "" : `@${snapshot}`}`

/** The image that such a text names, or what is wrong with it. */
export const parse = (text: string): Either.Either<ImageName, string> => {
  const names = text.split("/")
  const [pool = "", second = "", third] = names
  if (names.length < 2) return Either.left("a pool and an image are parted by a slash")
  if (names.length > 3) return Either.left("it has too many slashes")
  const problem = names.map(nameProblem).find((one) => one !== undefined)
  if (problem !== undefined) return Either.left(problem)
  return Either.right(third === undefined ? { pool, image: second } : { pool, namespace: second, image: third })
}

/** What keeps a text from being a name of Ceph's that cannot be taken for anything else, if anything does. */
const nameProblem = (name: string): string | undefined => {
  if (name === "") return "it is empty"
  if (name.startsWith("-")) return "it would be taken for an option"
  if (/[/@]/.test(name)) return "\"/\" and \"@\" part pool, namespace, image and snapshot"
  if (/\p{Cc}/u.test(name)) return "it has control characters"
  return name.length > 255 ? "it is too long" : undefined
}

/** Fails with EINVAL unless all names are plain ones. */
export const checkNames = (
  operation: string,
  image: ImageName,
  ...snapshots: ReadonlyArray<string | undefined>
): Effect.Effect<void, RbdError> => {
  for (const name of [image.pool, image.namespace, image.image, ...snapshots]) {
    const problem = name === undefined ? undefined : nameProblem(name)
    if (problem === undefined) continue
    const detail = `the name ${JSON.stringify(name)} cannot be used: ${problem}`
    return new RbdError({ operation, what: format(image), code: "EINVAL", detail })
  }
  return Effect.void
}

/** An image as it is now. */
export interface ImageInfo {
  /** Stays the same when the image is renamed or moved to the trash; empty for images of the old format. */
  readonly id: string
  /** Bytes. */
  readonly size: number
  /** Whether Ceph itself says that its index of changed objects cannot be relied on. */
  readonly indexInvalid: boolean
}

/** A snapshot of an image. Ids rise with time. */
export interface SnapshotInfo {
  readonly id: number
  readonly name: string
  /** Bytes of the image at that time. */
  readonly size: number
  /** It cannot be removed while it is. */
  readonly isProtected: boolean
}

/** What is to be told: the changes from one snapshot (or from nothing) to another. */
export interface DiffRequest {
  readonly from: string | undefined
  readonly to: string
  /** Lets Ceph answer from its index, in whole objects. Wrong when a snapshot in between was smaller: see `docs`. */
  readonly wholeObject: boolean
}

/** A snapshot that can be read at any offset. */
export interface Reader {
  /** The bytes of a range within the snapshot. Behind its end it fails, or gives zeros up to a multiple of 512. */
  readonly read: (offset: number, length: number) => Effect.Effect<Uint8Array, RbdError>
}

/** Every method fails with `RbdError` within a time of its own, also when the cluster does not answer at all. */
export class Rbd extends Context.Tag("backy/platform/Rbd")<Rbd, {
  /** ENOENT: no such image. */
  readonly info: (image: ImageName) => Effect.Effect<ImageInfo, RbdError>
  /** All snapshots, oldest first. */
  readonly snapshots: (image: ImageName) => Effect.Effect<ReadonlyArray<SnapshotInfo>, RbdError>
  /** EEXIST: there is one of that name. After ETIMEDOUT it may or may not be there. */
  readonly createSnapshot: (image: ImageName, name: string) => Effect.Effect<void, RbdError>
  /** EBUSY: it is protected or in use. ENOENT: there is none. */
  readonly removeSnapshot: (image: ImageName, name: string) => Effect.Effect<void, RbdError>
  /** The same for an image by its id, whatever its name is now, also in the trash. ENOENT: no such image or snapshot. */
  readonly removeSnapshotById: (place: Place, id: string, name: string) => Effect.Effect<void, RbdError>
  /**
   * The changes; counts only when the stream has ended without failure. The bytes of a write are valid only until the
   * batch of events behind its own is asked for.
   */
  readonly diff: (
    image: ImageName,
    request: DiffRequest
  ) => Stream.Stream<RbdDiff.Event, RbdError | RbdDiff.RbdDiffInvalid>
  /** Opens a snapshot for reading until the scope ends. */
  readonly open: (image: ImageName, snapshot: string) => Effect.Effect<Reader, RbdError, Scope.Scope>
  /** Fails when this machine lacks what opening snapshots needs, as far as can be seen without trying. */
  readonly checkReadable: (image: ImageName) => Effect.Effect<void, RbdError>
  /** Lets go of what killed processes had open: snapshots of the image whose names pass. Failures are logged. */
  readonly closeStale: (image: ImageName, isOurs: (snapshot: string) => boolean) => Effect.Effect<void>
  /** Makes an image of all bytes. EEXIST: there is one. When it fails otherwise, a part of it may be there. */
  readonly importImage: <E>(
    image: ImageName,
    content: Stream.Stream<Uint8Array, E>
  ) => Effect.Effect<void, RbdError | E>
  /** EEXIST: there is an image of the new name, which is left alone. Same pool and namespace. */
  readonly renameImage: (image: ImageName, name: string) => Effect.Effect<void, RbdError>
  /** The names of all images of a pool or namespace, in no order. ENOPOOL: there is none. */
  readonly images: (place: Place) => Effect.Effect<ReadonlyArray<string>, RbdError>
  /**
   * The addresses of those who have the image open for writing; up to half a minute longer when they were killed.
   * ENOENT: no such image.
   */
  readonly watchers: (image: ImageName) => Effect.Effect<ReadonlyArray<string>, RbdError>
  /** EBUSY: somebody has it open for writing. */
  readonly removeImage: (image: ImageName) => Effect.Effect<void, RbdError>
}>() {}

/**
 * Removes an image that a failed import left, if it did. For half a minute Ceph takes it for open, until it has noticed
 * that the program which made it is gone; so this may take a minute.
 */
export const removePartial = (image: ImageName): Effect.Effect<void, RbdError, Rbd> =>
  Effect.flatMap(Rbd, (rbd) => rbd.removeImage(image)).pipe(
    Effect.retry({ while: ({ code }) => code === "EBUSY", schedule: Schedule.spaced("3 seconds"), times: 15 }),
    Effect.catchIf(({ code }) => code === "ENOENT", () => Effect.void)
  )
