/**
 * What lies outside of a simulated machine: the cluster with the images, Consul, and the VM that may be asked for a
 * snapshot. It loses nothing when the machine does. Each call of it is told to whoever watches, like a call of the
 * disk, and fails when that one throws.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { createHash } from "node:crypto"
import * as Consul from "../../src/platform/Consul.ts"
import * as MemoryRbd from "../../src/platform/MemoryRbd.ts"
import * as Rbd from "../../src/platform/Rbd.ts"

/** The image of every machine that has its image in a cluster. */
export const NAME: Rbd.ImageName = { pool: "rbd", image: "vm" }
export const IMAGE = Rbd.format(NAME)
export const VM = "vm1"

/** Thrown by a watcher: the call is made, but no answer to it comes. */
export class AnswerLost {
  /** When it is made: before the caller gives up, or after everything that it does then. */
  readonly done: "now" | "later"
  constructor(done: "now" | "later") {
    this.done = done
  }
}

/** How long a caller waits for an answer that does not come. */
const PATIENCE = "2 minutes"

/** Seconds until the VM makes the snapshot that it is asked for; `undefined`: it never does. */
export type AnswersAfter = number | undefined

export interface Surroundings {
  readonly ceph: MemoryRbd.MemoryRbd
  /** Consul's keys and their values. */
  readonly keys: Map<string, string>
  readonly answersAfter: AnswersAfter
  /** What others have there and nobody may touch: `pool/image@snapshot`, and keys of Consul. */
  readonly strangers: Set<string>
  /** Looks at each call before it takes effect; what it throws, the call fails with. */
  watcher: ((name: string, what: string) => void) | undefined
  readonly rbd: Rbd.Rbd["Type"]
  readonly consul: Consul.Consul["Type"]
  /** Everything that is there, one line each. */
  readonly describe: () => ReadonlyArray<string>
  /** Lets everything happen that was asked for and has not happened yet. */
  readonly settle: () => void
  /** The same without the programs of ours, and without the watcher. */
  readonly copy: () => Surroundings
}

const Request = Schema.decodeSync(Schema.parseJson(Schema.Struct({ vm: Schema.String, snapshot: Schema.String })))

const codeOf = (cause: unknown): string => {
  if (cause instanceof AnswerLost) return "ETIMEDOUT"
  if (cause instanceof Error && "code" in cause && typeof cause.code === "string") return cause.code
  throw cause
}

const hashes = new WeakMap<Uint8Array, string>()

const hashOf = (bytes: Uint8Array | undefined): string => {
  if (bytes === undefined) return "nothing"
  const known = hashes.get(bytes) ??
    `${bytes.length} bytes ${createHash("sha256").update(bytes).digest("hex").slice(0, 16)}`
  hashes.set(bytes, known)
  return known
}

interface Given {
  readonly ceph: MemoryRbd.MemoryRbd
  readonly keys: Map<string, string>
  readonly strangers: Set<string>
  readonly answersAfter: AnswersAfter
  /** Snapshots that are still to be made. */
  readonly late: Set<string>
}

const from = ({ answersAfter, ceph, keys, late, strangers }: Given): Surroundings => {
  /** One call: told, and then made, or not. */
  const call = <A, E, R>(
    name: string,
    what: string,
    made: Effect.Effect<A, E, R>,
    fail: (code: string) => Effect.Effect<never, E>,
    later?: () => void
  ): Effect.Effect<A, E, R> =>
    Effect.suspend(() => {
      try {
        outside.watcher?.(name, what)
      } catch (cause) {
        const code = codeOf(cause)
        const failed = code === "ETIMEDOUT" ? Effect.delay(fail(code), PATIENCE) : fail(code)
        if (!(cause instanceof AnswerLost)) return failed
        if (cause.done === "now") return Effect.zipRight(Effect.ignore(made), failed)
        later?.()
        return failed
      }
      return made
    })

  const makeSnapshot = (name: string): void => {
    late.delete(name)
    if (ceph.content(IMAGE) !== undefined && !ceph.snapshotNames(IMAGE).includes(name)) ceph.snapshot(IMAGE, name)
  }

  const rbdCall = <A, R>(
    name: keyof Rbd.Rbd["Type"],
    what: string,
    made: Effect.Effect<A, Rbd.RbdError, R>,
    later?: () => void
  ) =>
    call(
      `rbd ${name}`,
      what,
      made,
      (code) => new Rbd.RbdError({ operation: name, what, code, detail: "as the simulation wants it" }),
      later
    )

  const { rbd: real } = ceph
  const { format } = Rbd
  const consul = Consul.makeMemory(keys)
  const consulCall = <A>(name: keyof Consul.Consul["Type"], key: string, made: Effect.Effect<A, Consul.ConsulError>) =>
    call(
      `consul ${name}`,
      key,
      made,
      (code) => new Consul.ConsulError({ operation: `${name} ${key} of`, reason: "unavailable", detail: code })
    )

  const outside: Surroundings = {
    ceph,
    keys,
    strangers,
    answersAfter,
    watcher: undefined,
    rbd: Rbd.Rbd.of({
      info: (image) => rbdCall("info", format(image), real.info(image)),
      snapshots: (image) => rbdCall("snapshots", format(image), real.snapshots(image)),
      createSnapshot: (image, name) =>
        rbdCall("createSnapshot", format(image, name), real.createSnapshot(image, name), () => late.add(name)),
      removeSnapshot: (image, name) => rbdCall("removeSnapshot", format(image, name), real.removeSnapshot(image, name)),
      removeSnapshotById: (place, id, name) =>
        rbdCall(
          "removeSnapshotById",
          `${Rbd.formatPlace(place)}/${id}@${name}`,
          real.removeSnapshotById(place, id, name)
        ),
      diff: (image, request) => {
        const what = format(image, request.to)
        // a piece at a time, and the connection may be lost before each
        return Stream.unwrap(rbdCall("diff", what, Effect.succeed(real.diff(image, request)))).pipe(
          Stream.rechunk(1),
          Stream.mapEffect((event) => rbdCall("diff", `${what}, ${event._tag}`, Effect.succeed(event))),
          Stream.concat(Stream.drain(Stream.fromEffect(rbdCall("diff", `${what}, the end`, Effect.void))))
        )
      },
      open: (image, snapshot) => {
        const what = format(image, snapshot)
        return Effect.map(rbdCall("open", what, real.open(image, snapshot)), ({ read }) => ({
          read: (offset, length) => rbdCall("open", `${what}, byte ${offset}`, read(offset, length))
        }))
      },
      checkReadable: (image) => rbdCall("checkReadable", format(image), real.checkReadable(image)),
      // failures of it are its own affair
      closeStale: real.closeStale,
      importImage: (image, content) =>
        rbdCallOf("importImage", format(image), (before) =>
          real.importImage(
            image,
            Stream.concat(
              Stream.mapEffect(Stream.rechunk(content, 1), (piece) => Effect.as(before("a piece"), piece)),
              Stream.drain(Stream.fromEffect(before("the end")))
            )
          )),
      renameImage: (image, name) => rbdCall("renameImage", format(image), real.renameImage(image, name)),
      images: (place) => rbdCall("images", Rbd.formatPlace(place), real.images(place)),
      watchers: (image) => rbdCall("watchers", format(image), real.watchers(image)),
      removeImage: (image) => rbdCall("removeImage", format(image), real.removeImage(image))
    }),
    consul: Consul.Consul.of({
      get: (key) => consulCall("get", key, consul.get(key)),
      list: (prefix) => consulCall("list", prefix, consul.list(prefix)),
      put: (key, value) => consulCall("put", key, Effect.zipRight(consul.put(key, value), answer(value))),
      remove: (key) => consulCall("remove", key, consul.remove(key))
    }),
    describe: () => [
      ...ceph.imageNames().flatMap((image) => [
        `${image} image ${hashOf(ceph.content(image))}${ceph.isWatched(image) ? " in use" : ""}`,
        ...ceph.snapshotNames(image).map((name) => `${image}@${name} snapshot ${hashOf(ceph.content(image, name))}`)
      ]),
      ...Array.from(keys, ([key, value]) => `${key} key ${value}`),
      ...Array.from(late, (name) => `${IMAGE}@${name} is still to be made`)
    ],
    settle: () => {
      for (const name of late) makeSnapshot(name)
    },
    copy: () =>
      from({
        ceph: ceph.copy(),
        keys: new Map(keys),
        strangers: new Set(strangers),
        answersAfter,
        late: new Set(late)
      })
  }

  const rbdCallOf = <A, E>(
    name: keyof Rbd.Rbd["Type"],
    what: string,
    made: (
      before: (part: string) => Effect.Effect<void, Rbd.RbdError>
    ) => Effect.Effect<A, E | Rbd.RbdError>
  ): Effect.Effect<A, E | Rbd.RbdError> =>
    Effect.zipRight(
      rbdCall(name, what, Effect.void),
      made((part) => rbdCall(name, `${what}, ${part}`, Effect.void))
    )

  /** The VM sees a request, and makes its snapshot in its own time, whatever becomes of who asked. */
  const answer = (value: string): Effect.Effect<void> =>
    Effect.suspend(() => {
      const { snapshot, vm } = Request(value)
      if (answersAfter === undefined || vm !== VM) return Effect.void
      late.add(snapshot)
      return Effect.asVoid(Effect.forkDaemon(
        Effect.delay(Effect.sync(() => late.has(snapshot) && makeSnapshot(snapshot)), `${answersAfter} seconds`)
      ))
    })

  return outside
}

/** A cluster with an empty image, cut into objects of `objectSize` bytes, and a Consul without keys. */
export const make = (options: { readonly objectSize: number; readonly answersAfter?: AnswersAfter }): Surroundings => {
  const ceph = MemoryRbd.make(options.objectSize)
  ceph.create(IMAGE, 0)
  return from({ ceph, keys: new Map(), strangers: new Set(), answersAfter: options.answersAfter, late: new Set() })
}
