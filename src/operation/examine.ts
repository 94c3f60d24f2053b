import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as ChunkId from "../domain/ChunkId.ts"
import * as ChunkMap from "../domain/ChunkMap.ts"
import * as IdSet from "../domain/IdSet.ts"
import type { Revision } from "../domain/Revision.ts"
import type { RevisionId } from "../domain/RevisionId.ts"
import type { IoError } from "../platform/IoError.ts"
import type { Image } from "../repository/Image.ts"
import { Repository } from "../repository/Repository.ts"
import type { MapUnusable } from "../repository/RepositoryError.ts"
import type * as Protocol from "../store/BlockProtocol.ts"
import { Blocks } from "../store/Blocks.ts"
import { forEachBatch, heldBy } from "./batch.ts"
import { Progress } from "./Progress.ts"

/** A revision that was read, and where its blocks are. Without its map, which may have 100 MiB: there may be thousands. */
export interface Examined {
  readonly revision: Revision
  readonly held: Either.Either<Pick<Image, "path">, MapUnusable | IoError>
}

/** What is wrong with chunks, by id, and with the blocks of image files, by revision. */
export interface Wrong {
  readonly chunks: Map<string, Protocol.BadChunk>
  readonly blocks: Map<RevisionId, ReadonlyArray<Protocol.BadChunk>>
}

/** Nothing, yet. */
const nothingWrong = (): Wrong => ({ chunks: new Map(), blocks: new Map() })

/** What reading some revisions brought to light. */
export interface Examination {
  readonly examined: ReadonlyArray<Examined>
  readonly wrong: Wrong
  /** Distinct chunks that were read, and their bytes before compression. */
  readonly chunks: number
  readonly bytes: number
}

/**
 * Reads what is stored for some revisions, every distinct chunk once, and checks it against its hashes. Holds one map
 * at a time, and 32 bytes for each distinct chunk. Changes nothing. Fails with `IoError` only where no single revision
 * can be blamed.
 */
export const examine = Effect.fn("examine")(function*(revisions: ReadonlyArray<Revision>) {
  const repository = yield* Repository
  const blocks = yield* Blocks
  const progress = yield* Progress
  const wrong = nothingWrong()
  const examined: Array<Examined> = []
  let bytes = 0
  yield* progress.start("checking", yield* bytesToRead(revisions))
  const seen = IdSet.make()
  for (const revision of revisions) {
    const image = yield* Effect.either(repository.readMap(revision))
    if (Either.isLeft(image)) {
      examined.push({ revision, held: Either.left(image.left) })
      continue
    }
    const { path } = image.right
    examined.push({ revision, held: Either.right(path === undefined ? {} : { path }) })
    yield* forEachBatch(image.right, freshOf(image.right, seen), (batch) =>
      Effect.flatMap(
        blocks.check({ ...heldBy(image.right, batch), repository: repository.directory }),
        (checked) => {
          bytes += checked.good
          note(wrong, revision.id, image.right, checked.bad)
          return Effect.zipRight(tellForeign(checked.foreignTrailers), progress.advance(checked.good))
        }
      ))
  }
  return { examined, wrong, bytes, chunks: seen.size } satisfies Examination
})

/** A trailer proves nothing against a content that hashes to its name, but somebody changed the file. */
const tellForeign = (ids: ReadonlyArray<string>) =>
  Effect.forEach(
    ids,
    (id) => Effect.logWarning(`chunk ${id} is right, but the trailer of its file does not match`),
    { discard: true }
  )

/** The blocks of an image that no image before it had. What lies in an image file lies nowhere else. */
function* freshOf(image: Image, seen: IdSet.IdSet): Generator<number> {
  for (let index = 0; index < ChunkMap.count(image); index++) {
    if (image.path !== undefined || seen.add(image.ids, index * ChunkId.BYTES)) yield index
  }
}

/** What there is to do, so that people see how long it takes: the maps are little beside what they name. */
const bytesToRead = Effect.fnUntraced(function*(revisions: ReadonlyArray<Revision>) {
  const repository = yield* Repository
  const seen = IdSet.make()
  let total = 0
  for (const revision of revisions) {
    const image = yield* Effect.option(repository.readMap(revision))
    if (image._tag === "None") continue
    for (const index of freshOf(image.value, seen)) total += ChunkMap.chunkLength(image.value, index)
  }
  return total
})

/** Looks once more at what was wrong: it may have been healed or removed meanwhile. */
export const stillWrong = Effect.fnUntraced(function*({ examined, wrong }: Examination) {
  const repository = yield* Repository
  const blocks = yield* Blocks
  const still = nothingWrong()
  const ids = setOf(wrong.chunks.keys())
  for (const { held, revision } of examined) {
    if (Either.isLeft(held) || (wrong.chunks.size === 0 && !wrong.blocks.has(revision.id))) continue
    const read = yield* Effect.option(repository.readMap(revision))
    if (read._tag === "None") continue
    const image = read.value
    const indexes = image.path === undefined
      ? indexesOf(image, ids).filter((index) => !still.chunks.has(ChunkMap.idAt(image, index) ?? ""))
      : wrong.blocks.get(revision.id)?.map(({ index }) => index) ?? []
    yield* forEachBatch(image, indexes, (batch) =>
      Effect.map(
        blocks.check({ ...heldBy(image, batch), repository: repository.directory }),
        (checked) => note(still, revision.id, image, checked.bad)
      ))
  }
  return still
})

const note = (wrong: Wrong, revision: RevisionId, image: Image, found: ReadonlyArray<Protocol.BadChunk>): void => {
  if (found.length === 0) return
  if (image.path !== undefined) wrong.blocks.set(revision, [...wrong.blocks.get(revision) ?? [], ...found])
  else for (const chunk of found) wrong.chunks.set(chunk.id, chunk)
}

/** Packed, since maps are compared with it chunk by chunk. */
export const setOf = (hexes: Iterable<string>): IdSet.IdSet => {
  const ids = IdSet.make()
  for (const hex of hexes) ids.add(Buffer.from(hex, "hex"), 0)
  return ids
}

/** Where an image has one of the wanted chunks. */
export const indexesOf = (map: ChunkMap.ChunkMap, wanted: IdSet.IdSet): ReadonlyArray<number> => {
  const indexes: Array<number> = []
  for (let index = 0; index < ChunkMap.count(map); index++) {
    if (wanted.has(map.ids, index * ChunkId.BYTES)) indexes.push(index)
  }
  return indexes
}
