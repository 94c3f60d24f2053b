import * as Effect from "effect/Effect"
import * as ChunkMap from "../domain/ChunkMap.ts"
import * as Extent from "../domain/Extent.ts"
import type { RevisionId } from "../domain/RevisionId.ts"
import { Repository } from "../repository/Repository.ts"
import type { MapUnusable } from "../repository/RepositoryError.ts"
import { selectOne, type SelectOneError } from "./select.ts"

/** Where two revisions differ, to the chunk. Sizes and ranges in bytes. */
export interface DiffReport {
  readonly from: RevisionId
  readonly to: RevisionId
  readonly fromSize: number
  readonly toSize: number
  readonly ranges: ReadonlyArray<Extent.Extent>
  /** Bytes of all ranges. */
  readonly bytes: number
}

/** Why two revisions cannot be compared. */
export type DiffError = MapUnusable | SelectOneError

/**
 * The byte ranges in which two revisions differ, from their maps alone: no chunk is read. Fails with `MapUnusable`,
 * `SelectOneError`.
 */
export const diff = Effect.fn("diff")(function*(
  from: string,
  to: string
): Effect.fn.Return<DiffReport, DiffError, Repository> {
  const repository = yield* Repository
  const older = yield* selectOne(from)
  const newer = yield* selectOne(to)
  const a = yield* repository.readMap(older)
  const b = yield* repository.readMap(newer)
  const ranges = ChunkMap.diff(a, b)
  return {
    from: older.id,
    to: newer.id,
    fromSize: a.size,
    toSize: b.size,
    ranges,
    bytes: Extent.totalLength(ranges)
  }
})
