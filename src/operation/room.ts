/** The room that converting old revisions takes for the time being. */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type { Revision } from "../domain/Revision.ts"
import * as Files from "../platform/Files.ts"
import { FreeSpace } from "../platform/FreeSpace.ts"
import { Repository } from "../repository/Repository.ts"
import { ChunkStore } from "../store/ChunkStore.ts"

/** What is needed, and what there is. Bytes. */
export interface Room {
  /** At most about one more copy of what is stored in the old formats. */
  readonly needed: number
  /** What is free, where that can be told. */
  readonly free: number | undefined
}

/** Less is free than converting old revisions may need. Nothing was changed. */
export class SpaceLacking extends Data.TaggedError("SpaceLacking")<{
  readonly directory: string
  readonly needed: number
  readonly free: number
}> {
  override get message() {
    const mebibytes = (bytes: number) => `${Math.ceil(bytes / 2 ** 20)} MiB`
    return `converting old revisions may need up to ${
      mebibytes(this.needed)
    } in ${this.directory} for the time being, and ` +
      `${mebibytes(this.free)} are free (--force tries it all the same: what does not fit is left as it is)`
  }
}

/** About how much room converting some revisions takes until the old ones are gone. */
export const roomFor = Effect.fnUntraced(function*(revisions: ReadonlyArray<Revision>) {
  const repository = yield* Repository
  const store = yield* ChunkStore
  const space = yield* FreeSpace
  let chunks = 0
  if (revisions.some(({ backendType }) => backendType === "chunked")) {
    for (const folder of yield* store.folders) {
      const { legacy } = yield* store.list(folder)
      chunks += yield* store.sizeOf(folder, legacy.map(({ file }) => file))
    }
  }
  // an image goes when it is converted, so that the largest one counts
  let largest = 0
  for (const { id, isImage } of revisions) {
    if (!isImage) continue
    for (const name of [id, `${id}.old`]) {
      largest = Math.max(largest, (yield* Files.find(`${repository.directory}/${name}`))?.allocated ?? 0)
    }
  }
  return { needed: chunks + largest, free: (yield* space.at(repository.directory))?.free } satisfies Room
})

/** Fails with `SpaceLacking` when too little is free, unless forced. */
export const requireRoom = Effect.fnUntraced(function*({ free, needed }: Room, force: boolean) {
  const { directory } = yield* Repository
  if (free !== undefined && free < needed && !force) return yield* new SpaceLacking({ directory, needed, free })
})
