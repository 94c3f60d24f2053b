import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import * as Take from "effect/Take"
import * as Rbd from "../platform/Rbd.ts"
import { released } from "../platform/released.ts"
import { Output } from "./Output.ts"
import { restore } from "./restore.ts"
import { TargetRefused } from "./restoreTarget.ts"

/** Pieces that wait for Ceph to take them. */
const AHEAD = 2

/** Where an image grows until it is whole: one that has the final name is never a part of something. */
const partialOf = (image: Rbd.ImageName): Rbd.ImageName => ({ ...image, image: `${image.image}.backy-partial` })

/**
 * Makes a new RBD image of a revision, every byte checked against its hash; never overwrites one. Until it is whole it
 * has another name. Fails with `TargetRefused` when there is an image of that name, `RbdError`, and with what `restore`
 * fails with; what this run made is removed then.
 */
export const restoreImage = Effect.fn("restoreImage")(function*(options: {
  readonly revision: string
  readonly image: Rbd.ImageName
  /** Leaves zeros where chunks are lost and goes on. */
  readonly salvage: boolean
  readonly wait: Duration.Duration
}) {
  const rbd = yield* Rbd.Rbd
  const { image } = options
  const path = `rbd:${Rbd.format(image)}`
  const partial = partialOf(image)
  const there = yield* Effect.either(rbd.info(image))
  if (there._tag === "Right") {
    return yield* new TargetRefused({ path, reason: "there is an image of that name, and it is never overwritten" })
  }
  if (there.left.code !== "ENOENT") return yield* there.left
  yield* Rbd.removePartial(partial)

  const queue = yield* Queue.bounded<Take.Take<Uint8Array, RestoreError>>(AHEAD)
  let isWhole = false
  const content = yield* Effect.fork(
    restore({ ...options, target: { _tag: "Output" }, force: false }).pipe(
      Effect.provideService(Output, {
        // what is written may be reused as soon as this returns
        write: (bytes) => Effect.asVoid(Queue.offer(queue, Take.of(Uint8Array.from(bytes)))),
        finish: Effect.sync(() => {
          isWhole = true
        })
      }),
      // with salvage it fails after everything was written, and that much is to be kept
      Effect.onExit((exit) =>
        Queue.offer(queue, exit._tag === "Success" || isWhole ? Take.end : Take.failCause(exit.cause))
      )
    )
  )
  yield* rbd.importImage(partial, Stream.flattenTake(Stream.fromQueue(queue))).pipe(
    Effect.zipRight(rbd.renameImage(partial, image.image)),
    Effect.catchIf(
      (error) => error._tag === "RbdError" && error.code === "EEXIST",
      () => new TargetRefused({ path, reason: "meanwhile there is an image of that name" })
    ),
    Effect.onError(() => Effect.zipRight(Fiber.interrupt(content), tidy(partial)))
  )
  return yield* Fiber.join(content)
})

/** What restoring may end with before the image is whole. */
type RestoreError = Effect.Effect.Error<ReturnType<typeof restore>>

/** Ceph takes an image for open for half a minute after its maker was ended. */
const tidy = (partial: Rbd.ImageName) =>
  released(
    Effect.catchAll(Rbd.removePartial(partial), (error) =>
      Effect.logWarning(`a part of the image is left as ${Rbd.format(partial)}: ${error.message}`))
  )
