/** Keeps an image that was emptied, cut off or wiped from being taken for a backup of what it was. */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as ChunkMap from "../domain/ChunkMap.ts"
import * as LostContent from "../domain/LostContent.ts"
import type { Revision } from "../domain/Revision.ts"
import type { Image } from "../repository/Image.ts"
import { now } from "../repository/now.ts"
import { Repository } from "../repository/Repository.ts"
import { Source } from "../source/Source.ts"

/** The source is empty, much smaller than it was, or wiped. Nothing was kept of it. */
export class SourceLostContent extends Data.TaggedError("SourceLostContent")<{
  readonly source: string
  /** A clause on the source. */
  readonly reason: string
}> {
  override get message() {
    return `the source lost its content: ${this.source}: ${this.reason}; no revision was made ` +
      "(if that is meant, backy backup --accept-shrink takes it, once)"
  }
}

/** Judges a source by what there is of it in the repository. */
export interface Judge {
  /** Called before anything is read: fails with `SourceLostContent` when the source is empty or too small. */
  readonly size: (bytes: number) => Effect.Effect<void, SourceLostContent>
  /** Called when all is read: fails with `SourceLostContent` when all is zeros that had data. */
  readonly content: (map: ChunkMap.ChunkMap) => Effect.Effect<void, SourceLostContent, Repository>
  /** Whether something was lost and accepted. */
  readonly accepted: () => boolean
}

/** The judge for a backup of these complete revisions, who with `accept` only warns. */
export const judge = Effect.fnUntraced(function*(complete: ReadonlyArray<Revision>, accept: boolean) {
  const { name } = yield* Source
  const standards = LostContent.standards(complete, yield* now)
  const sizes = yield* Effect.forEach(
    standards,
    (revision) => Effect.map(sizeOf(revision), Option.map((size): LostContent.Standard => ({ revision, size })))
  )
  let lost = false
  const told = (reason: string | undefined) => {
    if (reason === undefined) return Effect.void
    if (!accept) return new SourceLostContent({ source: name, reason })
    lost = true
    return Effect.logWarning(
      `${name} lost content, which is accepted: ${reason}; the newest revision before this one stays until backy forget`
    )
  }
  return {
    size: (bytes) => told(LostContent.lossOfSize(bytes, sizes.flatMap(Option.toArray))),
    content: Effect.fnUntraced(function*(map) {
      if (map.size === 0 || hasData(map)) return
      for (const revision of standards.toReversed()) {
        const image = yield* read(revision)
        if (Option.isSome(image) && hasData(image.value)) {
          return yield* told(`all of it reads as zeros, and revision ${revision.id} has data`)
        }
      }
    }),
    accepted: () => lost
  } satisfies Judge
})

/** What of a revision cannot be read says nothing of the source. */
const read = (revision: Revision): Effect.Effect<Option.Option<Image>, never, Repository> =>
  Effect.flatMap(Repository, ({ readMap }) => Effect.option(readMap(revision)))

/** Bytes of a revision's image, if that is known: the ancestor wrote no size into its revisions. */
export const sizeOf = (revision: Revision) =>
  revision.size === undefined
    ? Effect.map(read(revision), Option.map(({ size }) => size))
    : Effect.succeedSome(revision.size)

/** Whether anything but zeros is in an image. */
export const hasData = (map: ChunkMap.ChunkMap): boolean => {
  for (let index = 0; index < ChunkMap.count(map); index++) if (!ChunkMap.isHole(map, index)) return true
  return false
}
