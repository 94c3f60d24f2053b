/** Changes to an image, in any order and of any length, merged into its chunks. */
import type * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as ChunkMap from "../domain/ChunkMap.ts"
import * as Extent from "../domain/Extent.ts"
import type { Change, SourceNotReady } from "../source/Source.ts"
import { isZero } from "../store/blockBytes.ts"
import { release } from "../store/release.ts"
import { Progress } from "./Progress.ts"

/** How many chunks are being put together at a time: with 4 MiB each 64 MiB, and those that are being stored. */
export const MAX_OPEN = 16

/** So many chunks in which nothing is missing may wait for their turn to be stored before no more changes are taken in. */
const MAX_WAITING = 2

/** A chunk that is being put together. What is not covered is still as the map says. */
interface Open {
  readonly content: Uint8Array
  /** Bytes of the chunk that are known: normal extents, beginning at the chunk's first byte. */
  covered: ReadonlyArray<Extent.Extent>
}

/**
 * Merges changes into the image that `map` describes, and **changes the map** accordingly. A chunk that is met again
 * after it was let go is patched again from its new content. Returns the indexes of all chunks that were touched.
 */
export const merge = Effect.fn("merge")(function*<E, E2, R, R2>(options: {
  readonly map: ChunkMap.ChunkMap
  readonly changes: Stream.Stream<Change, SourceNotReady>
  /** Chunks that are known whole from the beginning. */
  readonly known: ReadonlyMap<number, Uint8Array>
  /** The content of a stored chunk, as `map` names it now. Not asked for when a change covers all of it. */
  readonly load: (index: number) => Effect.Effect<Uint8Array, E, R>
  /** Stores a chunk, which is given away, and gives its packed id. Never all zeros. Called for several chunks at once. */
  readonly keep: (index: number, content: Uint8Array) => Effect.Effect<Uint8Array, E2, R2>
  readonly parallelism: number
}) {
  const { map } = options
  const progress = yield* Progress
  const scope = yield* Effect.scope
  const touched = new Set<number>()
  /** The one that was changed last is last. */
  const open = new Map<number, Open>()
  /** Chunks on their way into the store, while the next changes are taken in; one that failed stays. */
  const leaving = new Map<number, Fiber.Fiber<void, E | E2>>()
  const ways = yield* Effect.makeSemaphore(options.parallelism)
  /** Open chunks in which nothing is missing: the first to go. */
  const whole = new Set<number>()
  let failed: Fiber.Fiber<void, E | E2> | undefined
  let reached = 0

  const close = Effect.fnUntraced(function*(index: number, { content, covered }: Open) {
    const holes = Extent.subtract([Extent.between(0, content.length)], covered)
    if (holes.length > 0 && !ChunkMap.isHole(map, index)) {
      const old = yield* options.load(index)
      for (const { length, offset } of holes) content.set(old.subarray(offset, offset + length), offset)
    }
    if (isZero(content)) ChunkMap.idBytesAt(map, index).fill(0)
    else ChunkMap.setIds(map, index, yield* options.keep(index, content))
    release(content)
  })

  /**
   * Begins to store a chunk that is whole, or the one that was not changed for the longest time. Waits while as many as
   * can be are stored.
   */
  const letOneGo = Effect.gen(function*() {
    yield* ways.take(1)
    if (failed !== undefined) yield* Fiber.join(failed)
    const [oldest] = open.keys()
    const [index = oldest] = whole
    const chunk = index === undefined ? undefined : open.get(index)
    if (index === undefined || chunk === undefined) return void (yield* ways.release(1))
    open.delete(index)
    whole.delete(index)
    const closing: Fiber.Fiber<void, E | E2> = yield* close(index, chunk).pipe(
      Effect.onExit((exit) => {
        if (exit._tag === "Success") leaving.delete(index)
        else failed = closing
        return ways.release(1)
      }),
      Effect.forkIn(scope)
    )
    leaving.set(index, closing)
  })

  /** Makes room for a chunk that is not open. */
  const reopen = Effect.fnUntraced(function*(index: number) {
    const under = leaving.get(index)
    if (under !== undefined) yield* Fiber.join(under)
    while (open.size >= MAX_OPEN) yield* letOneGo
    open.set(index, { content: new Uint8Array(ChunkMap.chunkLength(map, index)), covered: [] })
  })

  const cover = (chunk: Open, extent: Extent.Extent): void => {
    const [only, ...more] = chunk.covered
    chunk.covered = only !== undefined && more.length === 0 && Extent.end(only) === extent.offset
      ? [Extent.between(only.offset, Extent.end(extent))]
      : Extent.union(chunk.covered, [extent])
  }

  /** One chunk's part of a change, `bytes` or zeros; `false` when the chunk has to be opened first. */
  const patch = (index: number, part: Extent.Extent, bytes: Uint8Array | undefined): boolean => {
    const chunk = open.get(index)
    if (chunk === undefined) return false
    open.delete(index)
    open.set(index, chunk)
    if (bytes === undefined) chunk.content.fill(0, part.offset, Extent.end(part))
    else chunk.content.set(bytes, part.offset)
    cover(chunk, part)
    if (chunk.covered[0]?.length === chunk.content.length) whole.add(index)
    return true
  }

  // an effect for a chunk that is opened, and none for each of the many changes within it
  const apply = Effect.fnUntraced(function*(changes: Chunk.Chunk<Change>) {
    const before = reached
    for (const change of changes) {
      const stop = change.offset + (change._tag === "Zero" ? change.length : change.bytes.length)
      for (let at = change.offset; at < stop;) {
        const index = Math.floor(at / map.chunkSize)
        const start = index * map.chunkSize
        const end = Math.min(stop, start + map.chunkSize)
        const bytes = change._tag === "Zero"
          ? undefined
          : change.bytes.subarray(at - change.offset, end - change.offset)
        touched.add(index)
        if (bytes === undefined && end - at === ChunkMap.chunkLength(map, index)) {
          const under = leaving.get(index)
          if (under !== undefined) yield* Fiber.join(under)
          open.delete(index)
          whole.delete(index)
          ChunkMap.idBytesAt(map, index).fill(0)
        } else {
          const part = Extent.between(at - start, end - start)
          if (!patch(index, part, bytes)) {
            yield* reopen(index)
            patch(index, part, bytes)
          }
          // what can be stored is stored while the rest of the changes is still on its way
          while (whole.size > MAX_WAITING || whole.size > 0 && leaving.size < options.parallelism) yield* letOneGo
        }
        at = end
      }
      // they mostly come in order, so how far they are says how much is done
      reached = Math.max(reached, stop)
    }
    if (reached > before) yield* progress.advance(reached - before)
  })

  for (const [index, content] of options.known) {
    touched.add(index)
    open.set(index, { content, covered: [Extent.between(0, content.length)] })
  }
  yield* Stream.runForEachChunk(options.changes, apply)
  while (open.size > 0) yield* letOneGo
  yield* Effect.forEach([...leaving.values()], Fiber.join, { discard: true })
  if (reached < map.size) yield* progress.advance(map.size - reached)
  return touched
}, Effect.scoped)
