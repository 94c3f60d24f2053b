import * as Effect from "effect/Effect"
import * as ChunkMap from "../domain/ChunkMap.ts"
import * as Extent from "../domain/Extent.ts"
import type { Verification } from "../domain/Revision.ts"
import type { Image } from "../repository/Image.ts"
import { Repository } from "../repository/Repository.ts"
import type * as Protocol from "../store/BlockProtocol.ts"
import { Blocks } from "../store/Blocks.ts"
import { ChunkStore } from "../store/ChunkStore.ts"
import { bytesOf, forEachBatch, heldBy } from "./batch.ts"
import { Progress } from "./Progress.ts"
import type { OpenReadable } from "./snapshot.ts"

/** For how many differing or damaged blocks of one run the contents are kept. */
export const MAX_EVIDENCE = 16

/** What a comparison found. */
export interface CompareReport {
  /** What was compared, for the revision. */
  readonly verification: Verification
  readonly differences: ReadonlyArray<Protocol.Difference>
  readonly healed: ReadonlyArray<Protocol.Healed>
}

/**
 * Compares what is stored under a map with a second reading of the source, all of it: chunks are read back and
 * decoded, holes must still read as zeros. Damaged chunks are written anew where the source still has their content.
 * Fails with `SourceChanged` when the source was touched meanwhile.
 */
export const compare = Effect.fn("compare")(function*(content: OpenReadable, map: Image) {
  const { directory } = yield* Repository
  const blocks = yield* Blocks
  const store = yield* ChunkStore
  const progress = yield* Progress
  const differences: Array<Protocol.Difference> = []
  const healed: Array<Protocol.Healed> = []
  const folders = new Set<string>()
  // batches under way at the same time do not know of each other
  let evidence = MAX_EVIDENCE
  const bounded = <A>(found: A, hasContent: boolean, without: (found: A) => A): A =>
    hasContent && --evidence < 0 ? without(found) : found

  // holes on both sides are equal unread; a hole of the map that may hold data now is read
  const extents = yield* content.dataExtents
  const indexes = [...indexesToCompare(map, extents)]
  yield* progress.start("verifying", indexes.reduce((sum, index) => sum + ChunkMap.chunkLength(map, index), 0))
  yield* forEachBatch(map, indexes, (batch) =>
    blocks.compare({
      ...heldBy(map, batch),
      repository: directory,
      source: content.file,
      evidence: Math.max(0, evidence)
    }).pipe(
      Effect.map((compared) => {
        for (const found of compared.differences) {
          differences.push(bounded(found, "source" in found || "stored" in found, withoutContents))
        }
        for (const found of compared.healed) healed.push(bounded(found, "raw" in found, withoutRaw))
        for (const folder of compared.folders) folders.add(folder)
      }),
      Effect.zipRight(progress.advance(bytesOf(batch)))
    ))
  yield* store.sync([...folders])
  // differences say more than the times of the file
  if (differences.length === 0) yield* content.unchanged
  return {
    differences,
    healed,
    verification: { kind: "full", compared: map.size, of: map.size }
  } satisfies CompareReport
})

const withoutContents = ({ source: _source, stored: _stored, ...found }: Protocol.Difference): Protocol.Difference =>
  found

const withoutRaw = ({ raw: _raw, ...found }: Protocol.Healed): Protocol.Healed => found

/** Chunks that are stored or that lie where the source may hold data, ascending. */
function* indexesToCompare(map: ChunkMap.ChunkMap, extents: ReadonlyArray<Extent.Extent>): Generator<number> {
  const withData = Extent.chunkIndexes(Extent.clip(extents, map.size), map.chunkSize)
  let next = withData.next()
  for (let index = 0; index < ChunkMap.count(map); index++) {
    const data = next.done !== true && next.value === index
    if (data) next = withData.next()
    if (data || !ChunkMap.isHole(map, index)) yield index
  }
}
