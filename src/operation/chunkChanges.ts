import * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"
import * as ChunkMap from "../domain/ChunkMap.ts"
import { counted } from "../domain/counted.ts"
import { Repository } from "../repository/Repository.ts"
import { type Change, type Changes, Source, SourceNotReady } from "../source/Source.ts"
import { Blocks } from "../store/Blocks.ts"
import { ChunkStore } from "../store/ChunkStore.ts"
import type { ChunkReport } from "./chunk.ts"
import { foldersOf } from "./foldersOf.ts"
import { merge } from "./merge.ts"
import { missingIndexes } from "./missing.ts"
import { Progress } from "./Progress.ts"
import { storedBlock } from "./storedBlock.ts"

/**
 * Stores what changes make of the image that `base` describes, and gives the map of it; the chunks that were not
 * touched are the base's. Everything that the map names is durable when this succeeds, but no revision names it yet.
 * Fails with `IoError` and `SourceNotReady`.
 */
export const chunkChanges = Effect.fn("chunkChanges")(function*(options: {
  /** Bytes of the image at the end of the changes. */
  readonly size: number
  readonly changes: Stream.Stream<Change, SourceNotReady>
  readonly second: Changes["second"]
  /** What the changes are changes of; none: an image of zeros. Cut into chunks of the repository's size. */
  readonly base: ChunkMap.ChunkMap | undefined
  /** Names this run to the block loops. */
  readonly run: string
}) {
  const { chunkSize, directory } = yield* Repository
  const blocks = yield* Blocks
  const store = yield* ChunkStore
  const progress = yield* Progress
  const source = yield* Source
  const { base, second, size } = options
  const { map, remake } = base === undefined
    ? { map: ChunkMap.empty(size, chunkSize), remake: [] }
    : ChunkMap.resized(base, size)
  const totals = { found: 0, written: 0, writtenBytes: 0, storedBytes: 0 }

  const keep = (_: number, content: Uint8Array) =>
    Effect.map(blocks.put({ repository: directory, run: options.run, content }), (stored) => {
      totals.found += stored.found
      totals.written += stored.written
      totals.writtenBytes += stored.writtenBytes
      totals.storedBytes += stored.storedBytes
      return stored.ids
    })

  /** A chunk as the source has it now, whatever is stored. */
  const current = (index: number, why: string) =>
    second._tag === "Samples"
      ? second.read(index * chunkSize, ChunkMap.chunkLength(map, index))
      : new SourceNotReady({ source: source.name, reason: `${why}, and the source cannot be read at an offset` })

  /** A stored chunk. One that is lost is read anew: changes that are applied once more change nothing. */
  const load = Effect.fnUntraced(function*(of: ChunkMap.ChunkMap, index: number) {
    const { bad, bytes } = yield* storedBlock(of, index)
    const [problem] = bad
    if (problem === undefined) return bytes
    yield* Effect.logWarning(`chunk ${problem.id} of the base ${problem.why}; reading its part of the source again`)
    return yield* current(index, `chunk ${problem.id} of the base ${problem.why}`)
  })

  yield* store.prepare
  yield* progress.start("reading", size)
  // the last chunk of the shorter image: what it holds remains, up to the length that it has now
  const known = new Map<number, Uint8Array>()
  for (const index of remake) {
    if (base === undefined || ChunkMap.isHole(base, index)) continue
    const content = new Uint8Array(ChunkMap.chunkLength(map, index))
    known.set(index, content)
    content.set((yield* load(base, index)).subarray(0, content.length))
  }
  const touched = yield* merge({
    map,
    changes: options.changes,
    known,
    load: (index) => load(map, index),
    keep,
    parallelism: blocks.parallelism
  })

  // a chunk that the base promised may be gone all the same: the source still has it
  const absent = yield* missingIndexes(map)
  if (absent.length > 0) {
    yield* Effect.logWarning(`the base lacks ${counted(absent.length, "chunk")}; storing again what it lacks`)
    yield* Effect.forEach(absent, (index) =>
      Effect.gen(function*() {
        // what a source has read may be its own
        const id = yield* keep(index, Uint8Array.from(yield* current(index, "a chunk of the base is missing")))
        ChunkMap.setIds(map, index, id)
        touched.add(index)
      }), { discard: true })
  }
  // Also those of chunks that the base names: one of them may have been healed by a run that was killed before it synced.
  yield* store.sync(foldersOf(map))
  let unchanged = 0
  for (let index = 0; index < ChunkMap.count(map); index++) {
    if (!touched.has(index) && !ChunkMap.isHole(map, index)) unchanged++
  }
  return { map, scanned: touched.size, unchanged, ...totals, touched } satisfies ChunkReport & {
    readonly touched: ReadonlySet<number>
  }
})
