/** Images that restores make until they are whole, in the pool and under a name of their own. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { inOwnFiber } from "../platform/inOwnFiber.ts"
import * as Rbd from "../platform/Rbd.ts"
import { partialName, prefixFor } from "./partialName.ts"

/** Where an image grows until it is whole: one that has the final name is never a part of something. */
export const nameFor = (image: Rbd.ImageName): Effect.Effect<Rbd.ImageName> =>
  Effect.map(partialName(image.image), (name) => ({ ...image, image: name }))

/** What other restores to a name made so far. */
export interface Others {
  /** Somebody has it open: a restore under way, or one that was killed half a minute ago. */
  readonly inUse: ReadonlyArray<Rbd.ImageName>
  /** Nobody has it open: left by one that was killed, or about to get its name. */
  readonly idle: ReadonlyArray<Rbd.ImageName>
}

/** Looks for the partial images for a name. */
export const others = Effect.fn("partialImage.others")(function*(image: Rbd.ImageName) {
  const rbd = yield* Rbd.Rbd
  const names = (yield* rbd.images(image)).filter((name) => name.startsWith(prefixFor(image.image))).sort()
  const inUse: Array<Rbd.ImageName> = []
  const idle: Array<Rbd.ImageName> = []
  for (const name of names) {
    const other = { ...image, image: name }
    const watchers = yield* Effect.catchIf(
      rbd.watchers(other),
      ({ code }) => code === "ENOENT",
      () => Effect.succeed(undefined)
    )
    if (watchers !== undefined) (watchers.length > 0 ? inUse : idle).push(other)
  }
  return { inUse, idle } satisfies Others
})

/** Whether two names lead to one image, as they do when a rename was cut short: to remove the one is to lose the other. */
const isSame = Effect.fnUntraced(function*(one: Rbd.ImageName, other: Rbd.ImageName) {
  const rbd = yield* Rbd.Rbd
  const [a, b] = yield* Effect.all([rbd.info(one), rbd.info(other)])
  return a.id === b.id
})

/**
 * Removes the partial images for a name that nobody has open. To be called when the name is taken: whoever is about to
 * give it to one of them has lost already. Never fails and never takes longer than `limit`: what stays is named.
 */
export const removeIdle = (image: Rbd.ImageName, limit: Duration.Duration): Effect.Effect<void, never, Rbd.Rbd> =>
  Effect.gen(function*() {
    const rbd = yield* Rbd.Rbd
    const { idle } = yield* others(image)
    for (const left of idle) {
      yield* Effect.unlessEffect(rbd.removeImage(left), isSame(left, image)).pipe(
        // somebody else may have been faster
        Effect.catchIf(({ code }) => code === "ENOENT", () => Effect.void),
        Effect.catchAll(({ message }) =>
          Effect.logWarning(`${Rbd.format(left)} of an earlier restore is left: ${message}`)
        )
      )
    }
  }).pipe(
    Effect.timeoutFail({
      duration: limit,
      onTimeout: () => ({ message: `Ceph takes longer than ${Duration.format(limit)}` })
    }),
    Effect.catchAll(({ message }) =>
      Effect.logWarning(`images that earlier restores to ${Rbd.format(image)} left may still be there: ${message}`)
    )
  )

/** An image that this run made. */
export interface Made {
  readonly partial: Rbd.ImageName
  /** Known once it is whole, and may have got its name. */
  id: string | undefined
}

/** Whose image is found under the final name, if there is one. */
const holder = (image: Rbd.ImageName, { id }: Made): Effect.Effect<"nobody" | "other" | "own", Rbd.RbdError, Rbd.Rbd> =>
  Effect.flatMap(Rbd.Rbd, (rbd) => rbd.info(image)).pipe(
    Effect.map((found) => found.id !== "" && found.id === id ? "own" as const : "other" as const),
    Effect.catchIf(({ code }) => code === "ENOENT", () => Effect.succeed("nobody" as const))
  )

/**
 * Gives the image, which must be whole, its name. Fails with EEXIST when there is an image of that name, also when who
 * made that one has removed ours.
 */
export const publish = Effect.fn("partialImage.publish")(function*(image: Rbd.ImageName, made: Made) {
  const rbd = yield* Rbd.Rbd
  const renamed = yield* Effect.either(Effect.gen(function*() {
    const { id } = yield* rbd.info(made.partial)
    made.id = id
    yield* rbd.renameImage(made.partial, image.image)
  }))
  if (renamed._tag === "Right") return
  const error = renamed.left
  if (error.code === "EEXIST") return yield* error
  // no answer in time, a connection that broke: it may have been done all the same
  const held = yield* Effect.orElseSucceed(holder(image, made), () => "nobody" as const)
  if (held === "own") return
  return yield* held === "other" && error.code === "ENOENT" ? new Rbd.RbdError({ ...error, code: "EEXIST" }) : error
})

/**
 * Removes the image that this run made, if it did, unless it has got its name: then `true`. Ceph takes it for open for
 * half a minute after its maker was ended. Never fails and never takes longer than `limit`: what stays is named.
 */
export const removeUnlessNamed = (
  image: Rbd.ImageName,
  made: Made,
  limit: Duration.Duration
): Effect.Effect<boolean, never, Rbd.Rbd> =>
  Effect.gen(function*() {
    if (made.id !== undefined && (yield* holder(image, made)) === "own") {
      return yield* Effect.as(Effect.logWarning(`${Rbd.format(image)} is whole all the same`), true)
    }
    return yield* Effect.as(Rbd.removePartial(made.partial), false)
  }).pipe(
    Effect.timeoutFail({
      duration: limit,
      onTimeout: () => ({ message: `it could not be removed within ${Duration.format(limit)}` })
    }),
    Effect.catchAll(({ message }) =>
      Effect.as(Effect.logWarning(`a part of the image is left as ${Rbd.format(made.partial)}: ${message}`), false)
    ),
    inOwnFiber
  )
