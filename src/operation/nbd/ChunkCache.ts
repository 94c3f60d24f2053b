/** Decoded chunks of served revisions: the ones used last, and the ones that will be wanted next. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import type * as Scope from "effect/Scope"
import * as ChunkMap from "../../domain/ChunkMap.ts"
import type { Image } from "../../repository/Image.ts"
import type { BadChunk } from "../../store/BlockProtocol.ts"
import { Blocks } from "../../store/Blocks.ts"
import { heldBy } from "../batch.ts"

/** Bytes of chunks that are kept. Those that are being read count, too. */
const CACHE_BYTES = 64 * 1024 * 1024
/** So many chunks are read ahead of somebody who reads on and on. */
const AHEAD = 3
/** Holes are passed when it is looked whether somebody reads on and on: not more than these. */
const LOOK_BACK = 16

/** An image, and where its chunks lie. */
export interface Served {
  /** Different for each image. */
  readonly id: string
  readonly image: Image
  readonly repository: string
}

export interface ChunkCache {
  /** The content of a chunk that is no hole, checked against its hash. Fails with what is wrong with it. */
  readonly get: (of: Served, index: number) => Effect.Effect<Uint8Array, BadChunk>
}

interface Entry {
  readonly size: number
  bytes: Uint8Array | undefined
  readonly loaded: Deferred.Deferred<Uint8Array, BadChunk>
  /** Somebody wanted it; otherwise it was read ahead. */
  wanted: boolean
}

/** A cache of at most `limit` bytes; what it reads ends with the scope. */
export const make = (limit: number = CACHE_BYTES): Effect.Effect<ChunkCache, never, Blocks | Scope.Scope> =>
  Effect.gen(function*() {
    const blocks = yield* Blocks
    const loading = yield* FiberSet.makeRuntime<never>()
    const fiberId = yield* Effect.fiberId
    const threads = yield* Effect.makeSemaphore(blocks.parallelism)
    /** The one used last is the last. */
    const entries = new Map<string, Entry>()
    let total = 0

    const remove = (key: string, entry: Entry) => {
      if (entries.get(key) !== entry) return
      entries.delete(key)
      total -= entry.size
    }

    const makeRoom = (size: number) => {
      if (total + size <= limit) return
      for (const [key, entry] of entries) {
        if (entry.bytes !== undefined) remove(key, entry)
        if (total + size <= limit) return
      }
    }

    const load = ({ image, repository }: Served, index: number) => {
      const { chunkSize, size } = image
      return Effect.flatMap(
        threads.withPermits(1)(blocks.read({ ...heldBy(image, { chunkSize, size, indexes: [index] }), repository })),
        ({ bad: [bad], bytes }): Effect.Effect<Uint8Array, BadChunk> =>
          bad === undefined ? Effect.succeed(bytes) : Effect.fail(bad)
      )
    }

    const start = (key: string, of: Served, index: number): Entry => {
      const size = ChunkMap.chunkLength(of.image, index)
      makeRoom(size)
      const entry: Entry = { size, bytes: undefined, loaded: Deferred.unsafeMake(fiberId), wanted: false }
      entries.set(key, entry)
      total += size
      loading(
        load(of, index).pipe(
          Effect.tap((bytes) =>
            Effect.sync(() => {
              entry.bytes = bytes
            })
          ),
          // what is wrong may be healed the next time
          Effect.onError(() => Effect.sync(() => remove(key, entry))),
          Effect.exit,
          Effect.flatMap((exit) => Deferred.done(entry.loaded, exit))
        )
      )
      return entry
    }

    const keyOf = ({ id }: Served, index: number) => `${id} ${index}`

    /** Whether the chunk before this one, holes left out, was wanted. */
    const followsAnother = (of: Served, index: number): boolean => {
      for (let before = index - 1; before >= 0 && before >= index - LOOK_BACK; before--) {
        if (!ChunkMap.isHole(of.image, before)) return entries.get(keyOf(of, before))?.wanted === true
      }
      return false
    }

    const readAhead = (of: Served, index: number) => {
      if (!followsAnother(of, index)) return
      const end = Math.min(ChunkMap.count(of.image), index + 1 + AHEAD)
      for (let next = index + 1; next < end; next++) {
        const key = keyOf(of, next)
        if (!ChunkMap.isHole(of.image, next) && !entries.has(key)) start(key, of, next)
      }
    }

    const get = (of: Served, index: number): Effect.Effect<Uint8Array, BadChunk> =>
      Effect.suspend(() => {
        const key = keyOf(of, index)
        const found = entries.get(key)
        const entry = found ?? start(key, of, index)
        if (found !== undefined) {
          entries.delete(key)
          entries.set(key, entry)
        }
        if (!entry.wanted) {
          entry.wanted = true
          readAhead(of, index)
        }
        return entry.bytes === undefined ? Deferred.await(entry.loaded) : Effect.succeed(entry.bytes)
      })

    return { get }
  })
