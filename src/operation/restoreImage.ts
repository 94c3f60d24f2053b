import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import * as Rbd from "../platform/Rbd.ts"
import * as Finished from "./Finished.ts"
import { Output } from "./Output.ts"
import * as PartialImage from "./partialImage.ts"
import { restore, type RestoreError, type RestoreReport, type RestoreServices } from "./restore.ts"
import { TargetRefused } from "./TargetRefused.ts"

/** Pieces that wait for Ceph to take them. */
const AHEAD = 2

/** How long a part of an image is tried to be removed: after a failure, and when somebody wants us to end. */
const WHEN_FAILED = Duration.minutes(2)
const WHEN_INTERRUPTED = Duration.seconds(5)

/** Why no image in Ceph was made of a revision. */
export type RestoreImageError = Rbd.RbdError | RestoreError

/**
 * Makes a new RBD image of a revision, every byte checked against its hash; never overwrites one. Until it is whole it
 * has a name that no other run has. Fails with `TargetRefused` when there is an image of that name or another restore
 * to it is under way, `RbdError`, `RestoreError`; what this run made is then removed, or named. What
 * killed runs left is removed when all is done.
 */
export const restoreImage = Effect.fn("restoreImage")(function*(options: {
  readonly revision: string
  readonly image: Rbd.ImageName
  /** Leaves zeros where chunks are lost and goes on. */
  readonly salvage: boolean
  readonly wait: Duration.Duration
}): Effect.fn.Return<RestoreReport, RestoreImageError, Rbd.Rbd | Exclude<RestoreServices, Output>> {
  const rbd = yield* Rbd.Rbd
  const { image } = options
  const path = `rbd:${Rbd.format(image)}`
  const refuse = (reason: string) => new TargetRefused({ path, reason })
  const there = yield* Effect.either(rbd.info(image))
  if (there._tag === "Right") {
    return yield* refuse("there is an image of that name, and it is never overwritten")
  }
  if (there.left.code !== "ENOENT") return yield* there.left
  const others = yield* PartialImage.others(image)
  const [inUse] = others.inUse
  if (inUse !== undefined) {
    return yield* refuse(
      `another restore to it writes ${Rbd.format(inUse)}, or was killed less than a minute ago`
    )
  }
  for (const left of others.idle) {
    yield* Effect.logWarning(`${Rbd.format(left)} was left by an earlier restore; it is removed after this one`)
  }
  const partial = yield* PartialImage.nameFor(image)

  // no Mailbox: who gives way between finding it empty and waiting misses the last piece, and waits for ever
  const pieces = yield* Queue.unbounded<Exit.Exit<Uint8Array, Option.Option<RestoreError>>>()
  const room = yield* Effect.makeSemaphore(AHEAD)
  const toBeWritten = Stream.repeatEffectOption(
    Effect.zipLeft(Effect.flatten(Queue.take(pieces)), room.release(1))
  )
  let isWhole = false
  const content = yield* Effect.fork(
    Finished.silently(restore({ ...options, target: { _tag: "Output" }, force: false })).pipe(
      Effect.provideService(Output, {
        // what is written may be reused as soon as this returns
        write: (bytes) =>
          Effect.asVoid(Effect.zipRight(room.take(1), Queue.offer(pieces, Exit.succeed(Uint8Array.from(bytes))))),
        finish: Effect.sync(() => {
          isWhole = true
        })
      }),
      // with salvage it fails after everything was written, and that much is to be kept; told without waiting for room:
      // who takes the pieces may have failed, and this cannot be interrupted
      Effect.onExit((exit) =>
        Queue.offer(
          pieces,
          exit._tag === "Success" || isWhole
            ? Exit.fail(Option.none())
            : Exit.failCause(Cause.map(exit.cause, Option.some))
        )
      )
    )
  )
  const made: PartialImage.Made = { partial, id: undefined }
  yield* rbd.importImage(partial, toBeWritten).pipe(
    Effect.zipRight(PartialImage.publish(image, made)),
    // an interrupt in between finds below that the image has its name
    Effect.zipRight(Effect.flatMap(Fiber.await(content), tell)),
    Effect.catchIf(
      (error) => error._tag === "RbdError" && error.code === "EEXIST",
      () => refuse("meanwhile there is an image of that name")
    ),
    Effect.onError((cause) =>
      Effect.gen(function*() {
        const read = yield* Fiber.interrupt(content)
        const limit = Cause.isInterrupted(cause) ? WHEN_INTERRUPTED : WHEN_FAILED
        if (yield* PartialImage.removeUnlessNamed(image, made, limit)) yield* tell(read)
      })
    )
  )
  // only now: nobody else can give the name to one of them any more
  yield* PartialImage.removeIdle(image, WHEN_FAILED)
  return yield* Fiber.join(content)
})

/** With salvage the image is there, and not all of it. */
const tell = (read: Exit.Exit<unknown, unknown>) => Finished.tell(Exit.isSuccess(read) ? "done" : "failed")
