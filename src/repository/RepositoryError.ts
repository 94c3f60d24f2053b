/** What can be wrong with a repository as a whole or with one revision's map. */
import * as Data from "effect/Data"
import type { RevisionId } from "../domain/RevisionId.ts"

/** The directory is none, or holds neither a config nor revisions. */
export class RepositoryMissing extends Data.TaggedError("RepositoryMissing")<{ readonly directory: string }> {
  override get message() {
    return `there is no backy repository in ${this.directory} (backy init makes one; -b names another directory)`
  }
}

/** The chunk map of a revision is missing, damaged or not the one that was written. */
export class MapUnusable extends Data.TaggedError("MapUnusable")<{
  readonly id: RevisionId
  readonly path: string
  readonly reason: string
}> {
  override get message() {
    return `the chunk map ${this.path} of revision ${this.id} cannot be used: ${this.reason}`
  }
}
