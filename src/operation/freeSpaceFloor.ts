/** The room that a backup leaves to others on the repository's disk. */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type { FreeSpace as Floor } from "../config/Settings.ts"
import { FreeSpace } from "../platform/FreeSpace.ts"
import { IoError, isFull } from "../platform/IoError.ts"
import { Repository } from "../repository/Repository.ts"
import { Progress } from "./Progress.ts"
import { SpaceLacking } from "./room.ts"

/** Less is free than `free-space-floor` wants. Nothing was made. */
export class FloorReached extends Data.TaggedError("FloorReached")<{
  readonly directory: string
  readonly floor: Floor
  /** Bytes. */
  readonly free: number
  readonly total: number
}> {
  override get message() {
    const mebibytes = (bytes: number) => `${Math.floor(bytes / 2 ** 20)} MiB`
    const floor = this.floor._tag === "Percent"
      ? `${this.floor.percent}% of ${mebibytes(this.total)}`
      : mebibytes(this.floor.bytes)
    return `no backup was begun: ${
      mebibytes(this.free)
    } are free in ${this.directory}, and free-space-floor is ${floor} ` +
      "(backy expire and backy purge make room)"
  }
}

/** Tells whoever watches when it was for want of room that a backup failed. */
export const tellOfRoom = (error: { readonly _tag: string }): Effect.Effect<void> => {
  const isRefused = error instanceof FloorReached || error instanceof SpaceLacking
  const isDiskFull = error instanceof IoError && isFull(error)
  return isRefused || isDiskFull ? Effect.flatMap(Progress, ({ lacksRoom }) => lacksRoom(isDiskFull)) : Effect.void
}

/** Fails with `FloorReached` when less is free in the repository than the floor. */
export const requireFloor = Effect.fnUntraced(function*(floor: Floor) {
  const { directory } = yield* Repository
  const { at } = yield* FreeSpace
  const space = yield* at(directory)
  if (space === undefined) {
    return yield* Effect.logWarning(`cannot tell how much is free in ${directory}: free-space-floor is not looked at`)
  }
  const least = floor._tag === "Bytes" ? floor.bytes : space.total * floor.percent / 100
  if (space.free < least) return yield* new FloorReached({ directory, floor, ...space })
})
