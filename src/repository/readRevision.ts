/**
 * What one `.rev` file says, judged once for all who ask: the commands, and the daemon, which wants no more than its
 * fields.
 */
import type * as FileSystem from "@effect/platform/FileSystem"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Revision from "../domain/Revision.ts"
import type { RevisionId } from "../domain/RevisionId.ts"
import type { BlockFile } from "../platform/BlockFile.ts"
import * as Durable from "../platform/Durable.ts"
import { isMissing } from "../platform/IoError.ts"
import type { BrokenRevision } from "./History.ts"
import * as Image from "./Image.ts"
import * as RevisionFile from "./revisionFile.ts"

/** The name of a revision's file ends so. */
export const SUFFIX = ".rev"

/** The fields of a revision, and whether other files than its own had a say in them. */
export interface Read {
  readonly fields: RevisionFile.Fields
  /** Its map was looked at: what is said may change although the `.rev` stays as it is. */
  readonly isDoubtful: boolean
}

/** As a `Revision`. */
export const toRevision = (fields: RevisionFile.Fields): Revision.Revision =>
  fields instanceof Revision.Revision ? fields : Revision.make(fields)

/**
 * Reads the file of a revision: what it says, why it is broken, or nothing when it is not there (any more). One of backy
 * 2.5 that looks as if it had never been completed, but has a readable whole map, is broken: 2.5 writes the map last.
 */
export const read = (
  directory: string,
  chunkSize: number,
  id: RevisionId
): Effect.Effect<Option.Option<Either.Either<Read, BrokenRevision>>, never, BlockFile | FileSystem.FileSystem> =>
  Effect.gen(function*() {
    const path = `${directory}/${id}${SUFFIX}`
    const broken = (reason: string, alpha?: Revision.Revision): Either.Either<never, BrokenRevision> =>
      Either.left({ id, path, reason, ...(alpha === undefined ? {} : { alpha }) })
    const bytes = yield* Effect.either(Durable.readSmall(path, RevisionFile.MAX_BYTES))
    if (Either.isLeft(bytes)) {
      // a revision may be removed while we look
      return isMissing(bytes.left) ? Option.none() : Option.some(broken(bytes.left.message))
    }
    const decoded = RevisionFile.decodeFields(bytes.right)
    if (Either.isLeft(decoded)) return Option.some(broken(decoded.left.message, decoded.left.alpha))
    const fields = decoded.right
    if (fields.id !== id) return Option.some(broken(`it says that it is revision ${fields.id}`))
    const isDoubtful = fields.stats.duration === undefined && fields.backendType === "chunked" &&
      !RevisionFile.isSealed(bytes.right)
    return Option.some(
      isDoubtful && Either.isRight(yield* Effect.either(Image.read(directory, chunkSize, toRevision(fields))))
        ? broken("it has no duration, as if it had never been completed, but its chunk map is whole")
        : Either.right({ fields, isDoubtful })
    )
  })
