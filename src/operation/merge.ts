/** Changes to an image, in any order and of any length, merged into its chunks. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as ChunkMap from "../domain/ChunkMap.ts"
import * as Extent from "../domain/Extent.ts"
import type { Change, SourceNotReady } from "../source/Source.ts"
import { isZero } from "../store/blockBytes.ts"
import { release } from "../store/release.ts"
import { Progress } from "./Progress.ts"

/** How many chunks are held in memory: with 4 MiB each 64 MiB, whatever the changes are. */
export const MAX_OPEN = 16

/** A chunk that is being put together. What is not covered is still as the map says. */
interface Open {
  readonly content: Uint8Array
  /** Bytes of the chunk that are known: normal extents, beginning at the chunk's first byte. */
  covered: ReadonlyArray<Extent.Extent>
}

/**
 * Merges changes into the image that `map` describes, and **changes the map** accordingly. Chunks are stored while the
 * next changes are read. A chunk that is met again after it was let go is patched again from its new content. Returns
 * the indexes of all chunks that were touched.
 */
export const merge = Effect.fn("merge")(function*<E, E2, R, R2>(options: {
  readonly map: ChunkMap.ChunkMap
  readonly changes: Stream.Stream<Change, SourceNotReady>
  /** Chunks that are known whole from the beginning. */
  readonly known: ReadonlyMap<number, Uint8Array>
  /** The content of a stored chunk, as `map` names it now. Not asked for when a change covers all of it. */
  readonly load: (index: number) => Effect.Effect<Uint8Array, E, R>
  /** Stores a chunk, whose bytes it may not keep, and gives its packed id. Never all zeros; several chunks at once. */
  readonly keep: (index: number, content: Uint8Array) => Effect.Effect<Uint8Array, E2, R2>
  readonly parallelism: number
}) {
  const { map } = options
  const progress = yield* Progress
  const touched = new Set<number>()
  /** The one that was changed last is last. */
  const open = new Map<number, Open>()
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

  /** Those that are being stored, the first to begin first. */
  const closing = new Map<number, Fiber.Fiber<void, E | E2>>()
  const scope = yield* Effect.scope
  const failed = yield* Deferred.make<never, E | E2>()
  const maxClosing = Math.min(MAX_OPEN / 2, options.parallelism)

  /** Waits until a chunk that was let go is stored: what comes next for it builds on that. */
  const settled = (index: number) => {
    const fiber = closing.get(index)
    return fiber === undefined
      ? Effect.void
      : Effect.zipLeft(Fiber.join(fiber), Effect.sync(() => closing.delete(index)))
  }

  /** Stores a chunk while we go on. */
  const letGo = Effect.fnUntraced(function*(index: number, chunk: Open) {
    open.delete(index)
    const [first] = closing.keys()
    if (first !== undefined && closing.size >= maxClosing) yield* settled(first)
    closing.set(
      index,
      yield* Effect.forkIn(
        Effect.tapErrorCause(close(index, chunk), (cause) => Deferred.failCause(failed, cause)),
        scope
      )
    )
  })

  const reopen = Effect.fnUntraced(function*(index: number) {
    const found = open.get(index)
    if (found !== undefined) {
      open.delete(index)
      open.set(index, found)
      return found
    }
    yield* settled(index)
    const [oldest] = open
    if (oldest !== undefined && open.size >= MAX_OPEN / 2) yield* letGo(...oldest)
    const chunk: Open = { content: new Uint8Array(ChunkMap.chunkLength(map, index)), covered: [] }
    open.set(index, chunk)
    return chunk
  })

  const cover = (chunk: Open, extent: Extent.Extent) => {
    const [only, ...more] = chunk.covered
    chunk.covered = only !== undefined && more.length === 0 && Extent.end(only) === extent.offset
      ? [Extent.between(only.offset, Extent.end(extent))]
      : Extent.union(chunk.covered, [extent])
  }

  /** One chunk's part of a change: `bytes`, or zeros. */
  const patch = Effect.fnUntraced(function*(index: number, part: Extent.Extent, bytes: Uint8Array | undefined) {
    touched.add(index)
    if (bytes === undefined && part.length === ChunkMap.chunkLength(map, index)) {
      open.delete(index)
      yield* settled(index)
      ChunkMap.idBytesAt(map, index).fill(0)
      return
    }
    const chunk = yield* reopen(index)
    if (bytes === undefined) chunk.content.fill(0, part.offset, Extent.end(part))
    else chunk.content.set(bytes, part.offset)
    cover(chunk, part)
  })

  const apply = Effect.fnUntraced(function*(change: Change) {
    const stop = change.offset + (change._tag === "Zero" ? change.length : change.bytes.length)
    for (let at = change.offset; at < stop;) {
      const index = Math.floor(at / map.chunkSize)
      const start = index * map.chunkSize
      const end = Math.min(stop, start + map.chunkSize)
      const bytes = change._tag === "Zero"
        ? undefined
        : change.bytes.subarray(at - change.offset, end - change.offset)
      yield* patch(index, Extent.between(at - start, end - start), bytes)
      at = end
    }
    // they mostly come in order, so how far they are says how much is done
    if (stop > reached) {
      yield* progress.advance(stop - reached)
      reached = stop
    }
  })

  for (const [index, content] of options.known) {
    touched.add(index)
    open.set(index, { content, covered: [Extent.between(0, content.length)] })
  }
  const all = Effect.gen(function*() {
    yield* Stream.runForEach(options.changes, apply)
    for (const [index, chunk] of open) yield* letGo(index, chunk)
    for (const index of closing.keys()) yield* settled(index)
  })
  // what could not be stored ends it at once, whatever else is waited for
  yield* Effect.raceFirst(all, Deferred.await(failed))
  if (reached < map.size) yield* progress.advance(map.size - reached)
  return touched
}, Effect.scoped)
