/** Keeps an image that was emptied, cut off or wiped from being taken for a backup of what it was. */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as ChunkMap from "../domain/ChunkMap.ts"
import * as LostContent from "../domain/LostContent.ts"
import type { History } from "../repository/History.ts"
import { now } from "../repository/now.ts"
import type { Repository } from "../repository/Repository.ts"
import { Source } from "../source/Source.ts"
import { hasData, imageOf, sizeOf } from "./mapFacts.ts"
import { findUnreadable } from "./unreadableLoss.ts"

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
  readonly size: (bytes: number) => Effect.Effect<void, SourceLostContent, Repository>
  /** Called when all is read: fails with `SourceLostContent` when all is zeros that had data. */
  readonly content: (map: ChunkMap.ChunkMap) => Effect.Effect<void, SourceLostContent, Repository>
  /** Whether something was lost and accepted. */
  readonly accepted: () => boolean
}

/**
 * The judge for a backup of this history, who with `accept` only warns; and also where a revision that cannot be read is
 * no more than the source is now: it may be the one whose loss was accepted. Then the loss is marked anew, so that what
 * came before stays, and backups go on.
 */
export const judge = Effect.fnUntraced(function*(history: Pick<History, "broken" | "complete">, accept: boolean) {
  const { complete } = history
  const { name } = yield* Source
  const standards = LostContent.standards(complete, yield* now)
  const sizes = yield* Effect.forEach(
    standards,
    (revision) => Effect.map(sizeOf(revision), Option.map((size): LostContent.Standard => ({ revision, size })))
  )
  let lost = false
  const told = Effect.fnUntraced(function*(
    reason: string | undefined,
    isNoMore: (map: ChunkMap.ChunkMap) => boolean
  ) {
    if (reason === undefined) return
    const before = accept ? undefined : yield* findUnreadable(history, isNoMore)
    if (!accept && before === undefined) return yield* new SourceLostContent({ source: name, reason })
    lost = true
    const why = before === undefined
      ? "which is accepted"
      : `which may have been accepted when ${before} was made, whose metadata cannot be read`
    yield* Effect.logWarning(
      `${name} lost content, ${why}: ${reason}; the newest revision before this one stays until backy forget`
    )
  })
  return {
    size: (bytes) =>
      told(
        LostContent.lossOfSize(bytes, sizes.flatMap(Option.toArray)),
        ({ size }) => LostContent.isNoLessThan(bytes, size)
      ),
    content: Effect.fnUntraced(function*(map) {
      if (map.size === 0 || hasData(map)) return
      for (const revision of standards.toReversed()) {
        const image = yield* imageOf(revision)
        if (Option.isSome(image) && hasData(image.value)) {
          return yield* told(
            `all of it reads as zeros, and revision ${revision.id} has data`,
            (before) => !hasData(before)
          )
        }
      }
    }),
    accepted: () => lost
  } satisfies Judge
})
