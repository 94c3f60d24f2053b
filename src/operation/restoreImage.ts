import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Mailbox from "effect/Mailbox"
import { inOwnFiber } from "../platform/inOwnFiber.ts"
import * as Rbd from "../platform/Rbd.ts"
import { Output } from "./Output.ts"
import { restore } from "./restore.ts"
import { TargetRefused } from "./TargetRefused.ts"

/** Pieces that wait for Ceph to take them. */
const AHEAD = 2

/** How long a part of an image is tried to be removed: after a failure, and when somebody wants us to end. */
const WHEN_FAILED = Duration.minutes(2)
const WHEN_INTERRUPTED = Duration.seconds(5)

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

  const pieces = yield* Mailbox.make<Uint8Array, RestoreError>(AHEAD)
  let isWhole = false
  const content = yield* Effect.fork(
    restore({ ...options, target: { _tag: "Output" }, force: false }).pipe(
      Effect.provideService(Output, {
        // what is written may be reused as soon as this returns
        write: (bytes) => Effect.asVoid(pieces.offer(Uint8Array.from(bytes))),
        finish: Effect.sync(() => {
          isWhole = true
        })
      }),
      // with salvage it fails after everything was written, and that much is to be kept; told without waiting for room:
      // who takes the pieces may have failed, and this cannot be interrupted
      Effect.onExit((exit) => exit._tag === "Success" || isWhole ? pieces.end : pieces.failCause(exit.cause))
    )
  )
  yield* rbd.importImage(partial, Mailbox.toStream(pieces)).pipe(
    Effect.zipRight(rbd.renameImage(partial, image.image)),
    Effect.catchIf(
      (error) => error._tag === "RbdError" && error.code === "EEXIST",
      () => new TargetRefused({ path, reason: "meanwhile there is an image of that name" })
    ),
    Effect.onError((cause) =>
      Effect.zipRight(
        Fiber.interrupt(content),
        tidy(partial, Cause.isInterrupted(cause) ? WHEN_INTERRUPTED : WHEN_FAILED)
      )
    )
  )
  return yield* Fiber.join(content)
})

/** What restoring may end with before the image is whole. */
type RestoreError = Effect.Effect.Error<ReturnType<typeof restore>>

/** Ceph takes an image for open for half a minute after its maker was ended. What cannot be removed is named. */
const tidy = (partial: Rbd.ImageName, limit: Duration.Duration) =>
  Rbd.removePartial(partial).pipe(
    Effect.timeoutFail({
      duration: limit,
      onTimeout: () => ({ message: `it could not be removed within ${Duration.format(limit)}` })
    }),
    Effect.catchAll(({ message }) =>
      Effect.logWarning(`a part of the image is left as ${Rbd.format(partial)}: ${message}`)
    ),
    inOwnFiber
  )
