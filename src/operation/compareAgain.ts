import * as Effect from "effect/Effect"
import * as ChunkMap from "../domain/ChunkMap.ts"
import * as Hash from "../platform/hash.ts"
import { Repository } from "../repository/Repository.ts"
import type { Again } from "../source/Source.ts"
import type * as Protocol from "../store/BlockProtocol.ts"
import { Blocks } from "../store/Blocks.ts"
import { forEachBatch, idsOf } from "./batch.ts"
import { type CompareReport, MAX_EVIDENCE } from "./compare.ts"
import { merge } from "./merge.ts"
import { Progress } from "./Progress.ts"
import { storedBlock } from "./storedBlock.ts"

/**
 * Compares what is stored under a map with a source that gives all of its content once more, and reads every stored
 * chunk back. Fails with `SourceNotReady`.
 */
export const compareAgain = Effect.fn("compareAgain")(function*(source: Again, map: ChunkMap.ChunkMap) {
  const { directory } = yield* Repository
  const blocks = yield* Blocks
  const progress = yield* Progress
  const { hash } = Hash.load()
  const second = ChunkMap.empty(map.size, map.chunkSize)
  const contents = new Map<number, Uint8Array>()
  const bad = new Map<number, string>()
  yield* progress.start("verifying", map.size * 2)
  yield* merge({
    map: second,
    changes: source.changes,
    known: new Map(),
    // a chunk that is met again: what is stored under the same id is its content, others were kept as far as they fit
    load: (index) => {
      const kept = contents.get(index)
      if (kept !== undefined) return Effect.succeed(kept)
      if (ChunkMap.idAt(second, index) !== ChunkMap.idAt(map, index)) bad.set(index, "could not be compared")
      return Effect.map(
        storedBlock(map, index),
        ({ bytes }) => bytes
      )
    },
    keep: (index, content) =>
      Effect.sync(() => {
        const id = hash(content)
        const isSame = Buffer.compare(id, ChunkMap.idBytesAt(map, index)) === 0
        contents.delete(index)
        if (!isSame && contents.size < MAX_EVIDENCE) contents.set(index, content)
        return id
      }),
    parallelism: 1
  })
  const stored = Array.from({ length: ChunkMap.count(map) }, (_, index) => index)
    .filter((index) => !ChunkMap.isHole(map, index))
  yield* forEachBatch(map, stored, (batch) =>
    Effect.flatMap(
      blocks.check({ ...batch, repository: directory, ids: idsOf(map, batch.indexes) }),
      (checked) => {
        for (const { index, why } of checked.bad) bad.set(index, why)
        return progress.advance(batch.indexes.length * map.chunkSize)
      }
    ))
  const differences: Array<Protocol.Difference> = []
  for (let index = 0; index < ChunkMap.count(map); index++) {
    const why = bad.get(index)
    const before = ChunkMap.idAt(map, index)
    const after = ChunkMap.idAt(second, index)
    if (why === undefined && before === after) continue
    const source = contents.get(index)
    differences.push({
      index,
      sourceHash: after ?? null,
      storedHash: before ?? null,
      why: why === undefined ? "was something else when it was read the second time" : `its chunk ${why}`,
      ...(source !== undefined && differences.length < MAX_EVIDENCE ? { source } : {})
    })
  }
  return {
    differences,
    healed: [],
    verification: { kind: "again", compared: map.size, of: map.size }
  } satisfies CompareReport
})
