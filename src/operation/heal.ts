import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as ChunkMap from "../domain/ChunkMap.ts"
import { counted } from "../domain/counted.ts"
import type { Revision } from "../domain/Revision.ts"
import * as Trust from "../domain/Trust.ts"
import * as Hash from "../platform/hash.ts"
import type { History } from "../repository/History.ts"
import type { Image } from "../repository/Image.ts"
import { now } from "../repository/now.ts"
import { Repository } from "../repository/Repository.ts"
import type { Samples } from "../source/Source.ts"
import { Blocks } from "../store/Blocks.ts"
import { ChunkStore } from "../store/ChunkStore.ts"
import * as StoredId from "../store/storedId.ts"
import { forEachBatch, heldBy, idsOf } from "./batch.ts"
import type { Taken } from "./snapshot.ts"

/** A damaged revision and where in its image the bad chunks lie. */
interface Patient {
  readonly revision: Revision
  readonly map: Image
  readonly indexes: ReadonlyArray<number>
}

/** Revisions that `verify` found damaged, as far as their maps can be read. */
const patients = Effect.fnUntraced(function*(history: History) {
  const repository = yield* Repository
  const found: Array<Patient> = []
  for (const revision of history.complete) {
    if (revision.distrust?.reason !== "damaged" || revision.distrust.chunks.length === 0) continue
    const map = yield* Effect.either(repository.readMap(revision))
    if (Either.isLeft(map)) continue
    const bad = new Set(revision.distrust.chunks)
    const indexes: Array<number> = []
    for (let index = 0; index < ChunkMap.count(map.right); index++) {
      const id = ChunkMap.idAt(map.right, index)
      if (id !== undefined && bad.has(StoredId.nameOf(id))) indexes.push(index)
    }
    found.push({ revision, map: map.right, indexes })
  }
  return found
})

/**
 * Stores the damaged and missing chunks of distrusted revisions again, as far as the source still has their content at
 * the same place. Changes no revision: `retrust` does, when all is whole.
 */
export const heal = Effect.fn("heal")(function*(history: History, snapshot: Taken) {
  const { directory } = yield* Repository
  const blocks = yield* Blocks
  const { content } = snapshot
  // what cannot be read at an offset cannot help
  if (content._tag === "Changes" && content.second._tag === "Again") return 0
  const store = yield* ChunkStore
  const healed = new Set<string>()
  const folders = new Set<string>()

  /** The revision's own snapshot, as long as there is one, has the content for certain; the new one may have it. */
  const fromSamples = Effect.fnUntraced(function*(
    samples: Samples,
    size: number,
    revision: Revision,
    map: ChunkMap.ChunkMap,
    indexes: ReadonlyArray<number>
  ) {
    const { hash } = Hash.load()
    const own = yield* samples.older(revision.id)
    for (const index of indexes) {
      const id = ChunkMap.idAt(map, index)
      const offset = index * map.chunkSize
      const length = ChunkMap.chunkLength(map, index)
      const readers = [...Option.toArray(own), ...offset + length <= size ? [samples.read] : []]
      for (const read of readers) {
        const block = yield* Effect.option(read(offset, length))
        if (id === undefined || Option.isNone(block) || Hash.toHex(hash(block.value)) !== id) continue
        const stored = yield* blocks.put({
          repository: directory,
          run: "healing",
          content: Uint8Array.from(block.value)
        })
        for (const folder of stored.folders) folders.add(folder)
        healed.add(id)
        break
      }
    }
  }, Effect.scoped)

  const found = yield* patients(history)
  if (found.length > 0) yield* store.prepare
  for (const { indexes, map, revision } of found) {
    // chunks of backy 2.5 are read, not written
    if (revision.backendType !== "chunked-v4") continue
    const open = indexes.filter((index) => !healed.has(ChunkMap.idAt(map, index) ?? ""))
    if (content._tag === "Changes") {
      if (content.second._tag === "Samples") yield* fromSamples(content.second, snapshot.size, revision, map, open)
      continue
    }
    yield* forEachBatch(map, open, (batch) =>
      Effect.map(
        blocks.heal({
          ...batch,
          repository: directory,
          source: content.file,
          ids: idsOf(map, batch.indexes)
        }),
        (result) => {
          for (const id of result.healed) healed.add(id)
          for (const folder of result.folders) folders.add(folder)
        }
      ))
  }
  if (healed.size > 0) {
    yield* store.sync([...folders])
    yield* Effect.logInfo(`stored ${counted(healed.size, "damaged chunk")} again from the source`)
  }
  return healed.size
})

/**
 * Makes the names of the chunks durable for which a revision is distrusted. Who stored them again may have been killed
 * before doing so; then they can be read, and yet a power loss could bring the bad ones back. To be done before trust
 * is given back.
 */
export const syncDoubted = Effect.fnUntraced(function*({ distrust }: Revision) {
  if (distrust === undefined) return
  const store = yield* ChunkStore
  const there = yield* store.folders
  const doubted = new Set(distrust.chunks.map((chunk) => chunk.slice(0, 2)))
  yield* store.sync(there.filter((folder) => distrust.more !== undefined || doubted.has(folder)))
})

/**
 * Reads the chunks again for which revisions are distrusted as damaged; a revision whose chunks are all good again
 * becomes verified. Returns those revisions as they are now. Needs the lock of a backup.
 */
export const retrust = Effect.fn("retrust")(function*(history: History) {
  const repository = yield* Repository
  const blocks = yield* Blocks
  const whole: Array<Revision> = []
  for (const { indexes, map, revision } of yield* patients(history)) {
    const good = new Set(indexes.map((index) => StoredId.nameOf(ChunkMap.idAt(map, index) ?? "")))
    yield* forEachBatch(map, indexes, (batch) =>
      Effect.map(
        blocks.check({ ...heldBy(map, batch), repository: repository.directory }),
        (checked) => {
          for (const chunk of checked.bad) good.delete(StoredId.nameOf(chunk.id))
        }
      ))
    // a chunk listed as bad that the map does not name is a contradiction, and no ground for trust
    const trusted = Trust.heal(revision, yield* now, (chunk) => good.has(chunk))
    if (!trusted.isTrusted) continue
    yield* syncDoubted(revision)
    yield* repository.publish(trusted)
    yield* Effect.logInfo(`revision ${revision.id} is whole again`)
    whole.push(trusted)
  }
  return whole
})
