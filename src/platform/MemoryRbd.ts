/**
 * The in-memory implementation of `Rbd`. Its diffs go through the bytes of the real format, with the
 * real one's habits and its defect, so that what works here has a reason to work there.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Rbd from "./Rbd.ts"
import * as RbdDiff from "./RbdDiff.ts"

interface Snapshot extends Rbd.SnapshotInfo {
  /** Never changed: what is written makes a new one. */
  readonly content: Uint8Array
  isProtected: boolean
}

type Fail = (code: string, detail: string) => Effect.Effect<never, Rbd.RbdError>

interface Image {
  /** The id of the last snapshot before it was flattened. */
  flattenedAt?: number
  readonly id: string
  /** Never changed in place, so that snapshots and copies of the cluster share it. */
  content: Uint8Array
  snapshots: Array<Snapshot>
  /** Who has it open for writing. */
  readonly watchers: Set<string>
}

/** The in-memory implementation, and what others do to its images. An image is named `pool/image` or `pool/namespace/image`. */
export interface MemoryRbd {
  readonly rbd: Rbd.Rbd["Type"]
  /** Makes an image of `size` zero bytes. */
  readonly create: (image: string, size: number) => void
  readonly write: (image: string, offset: number, bytes: Uint8Array) => void
  readonly resize: (image: string, size: number) => void
  readonly snapshot: (image: string, name: string) => void
  readonly setProtected: (image: string, name: string, isProtected: boolean) => void
  /** A new image with the content of a snapshot, which is protected from then on. */
  readonly clone: (image: string, name: string, child: string) => void
  /** Lets a clone stand alone. */
  readonly flatten: (image: string) => void
  readonly remove: (image: string) => void
  /** Opens an image for writing, as a VM does, or lets go of it; by whom it was opened does not matter. */
  readonly setWatched: (image: string, isWatched: boolean) => void
  readonly isWatched: (image: string) => boolean
  /** Lets an image have a second name, as a rename does that was cut short. */
  readonly addName: (image: string, other: string) => void
  /** The names of all images, `pool/image`. */
  readonly imageNames: () => ReadonlyArray<string>
  /** Takes its name away; only its id finds it now. */
  readonly trash: (image: string) => void
  readonly rename: (image: string, next: string) => void
  readonly removeSnapshot: (image: string, name: string) => void
  /** The names of the snapshots of all images, also of those in the trash. */
  readonly allSnapshotNames: () => ReadonlyArray<string>
  /** What is there now, or was at a snapshot; undefined when it is not there. */
  readonly content: (image: string, name?: string) => Uint8Array | undefined
  readonly snapshotNames: (image: string) => ReadonlyArray<string>
  /** `pool/image@snapshot` of each reader that is open. */
  readonly opened: ReadonlySet<string>
  /** The cluster as it is when every program of ours is gone: nothing is lost, and nothing is open any more. */
  readonly copy: () => MemoryRbd
}

interface State {
  readonly images: Map<string, Image>
  /** A pool is there once an image was put into it, as is Ceph's usual one. */
  readonly pools: Set<string>
  readonly trash: Set<Image>
  lastId: number
  lastImage: number
}

/** Whom an image that is being made is watched by. */
const IMPORTER = "rbd import"

const copyOf = ({ images, lastId, lastImage, pools, trash }: State): State => {
  const copies = new Map<Image, Image>()
  const copied = (image: Image): Image => {
    const copy = copies.get(image) ?? {
      ...image,
      snapshots: image.snapshots.map((one) => ({ ...one })),
      watchers: new Set([...image.watchers].filter((one) => one !== IMPORTER))
    }
    copies.set(image, copy)
    return copy
  }
  return {
    images: new Map(Array.from(images, ([name, image]) => [name, copied(image)])),
    pools: new Set(pools),
    trash: new Set(Array.from(trash, copied)),
    lastId,
    lastImage
  }
}

/** Whether an image of such a name is in a pool, or in a namespace of one. */
const isIn = (place: Rbd.Place, name: string): boolean =>
  name.slice(0, name.lastIndexOf("/")) === Rbd.formatPlace(place)

/** Images with objects of `objectSize` bytes. */
export const make = (objectSize: number): MemoryRbd =>
  fromState(objectSize, { images: new Map(), pools: new Set(["rbd"]), trash: new Set(), lastId: 0, lastImage: 0 })

const fromState = (objectSize: number, state: State): MemoryRbd => {
  const { images, pools, trash } = state
  const opened = new Set<string>()

  const newImage = (content: Uint8Array): Image => ({
    id: `1${++state.lastImage}`,
    content,
    snapshots: [],
    watchers: new Set()
  })

  const existing = (name: string): Image => {
    const image = images.get(name)
    if (image === undefined) throw new Error(`there is no image ${name}`)
    return image
  }

  const resized = (content: Uint8Array, size: number): Uint8Array => {
    const next = new Uint8Array(size)
    next.set(content.subarray(0, size))
    return next
  }

  const takeSnapshot = (image: Image, name: string) => {
    const { content } = image
    image.snapshots.push({ id: ++state.lastId, name, size: content.length, isProtected: false, content })
  }

  const removeFrom = (image: Image, name: string, fail: Fail) => {
    const found = image.snapshots.find((one) => one.name === name)
    if (found === undefined) return fail("ENOENT", "failed to remove snapshot")
    if (found.isProtected) return fail("EBUSY", `snapshot '${name}' is protected from removal.`)
    image.snapshots = image.snapshots.filter((one) => one !== found)
    return Effect.void
  }

  const put = (name: string, image: Image) => {
    pools.add(name.slice(0, name.indexOf("/")))
    images.set(name, image)
  }

  const noPool = (operation: string, what: string, pool: string) =>
    new Rbd.RbdError({ operation, what, code: "ENOPOOL", detail: `there is no pool "${pool}"` })

  /** Runs on an image as `rbd` would: names checked, ENOPOOL when there is no such pool, ENOENT when there is no image. */
  const on = <A>(
    operation: string,
    name: Rbd.ImageName,
    use: (image: Image, fail: Fail) => A | Effect.Effect<A, Rbd.RbdError>,
    snapshot?: string
  ): Effect.Effect<A, Rbd.RbdError> =>
    Effect.zipRight(
      Rbd.checkNames(operation, name, snapshot),
      Effect.suspend(() => {
        const what = Rbd.format(name, snapshot)
        const fail: Fail = (code, detail) => new Rbd.RbdError({ operation, what, code, detail })
        if (!pools.has(name.pool)) return noPool(operation, what, name.pool)
        const image = images.get(Rbd.format(name))
        if (image === undefined) return fail("ENOENT", `error opening image ${name.image}`)
        const result = use(image, fail)
        return Effect.isEffect(result) ? result : Effect.succeed(result)
      })
    )

  const rbd = Rbd.Rbd.of({
    info: (name) => on("look at", name, ({ content, id }) => ({ id, size: content.length, indexInvalid: false })),
    snapshots: (name) =>
      on("list the snapshots of", name, ({ snapshots }) => snapshots.map(({ content: _, ...info }) => info)),
    createSnapshot: (name, snapshot) =>
      on("make snapshot", name, (image, fail) =>
        image.snapshots.some((one) => one.name === snapshot)
          ? fail("EEXIST", "failed to create snapshot")
          : takeSnapshot(image, snapshot), snapshot),
    removeSnapshot: (name, snapshot) =>
      on("remove snapshot", name, (image, fail) => removeFrom(image, snapshot, fail), snapshot),
    removeSnapshotById: (place, id, snapshot) =>
      Effect.zipRight(
        Rbd.checkNames("remove snapshot", { ...place, image: id }, snapshot),
        Effect.suspend(() => {
          const fail: Fail = (code, detail) =>
            new Rbd.RbdError({ operation: "remove snapshot", what: `${id}@${snapshot}`, code, detail })
          const named = [...images].filter(([name]) => isIn(place, name)).map(([_, image]) => image)
          const image = [...named, ...trash].find((one) => one.id === id)
          return image === undefined ? fail("ENOENT", "error opening image") : removeFrom(image, snapshot, fail)
        })
      ),
    diff: (name, request) =>
      Stream.unwrap(Effect.zipRight(
        Rbd.checkNames("read", name, request.from),
        on("read", name, (image, fail) => {
          const to = image.snapshots.find((one) => one.name === request.to)
          const from = image.snapshots.find((one) => one.name === request.from)
          if (to === undefined) return fail("ENOENT", "error setting snapshot context")
          if (request.from !== undefined && from === undefined) return fail("ENOENT", "export-diff error")
          if (from !== undefined && from.id > to.id) return fail("EINVAL", "export-diff error")
          const header: RbdDiff.Header = {
            _tag: "Header",
            ...(request.from === undefined ? {} : { from: request.from }),
            to: to.name,
            size: to.size
          }
          const between = image.snapshots.filter(({ id }) => from !== undefined && from.id < id && id < to.id)
          const at = image.flattenedAt ?? -1
          const isFlattened = from !== undefined && from.id <= at && at < to.id
          const bytes = RbdDiff.encode([
            header,
            ...changes(from, to, between, objectSize, request.wholeObject, isFlattened)
          ])
          return Stream.fromIterable(bytes).pipe(RbdDiff.decode({ from: request.from, to: request.to }))
        }, request.to)
      )),
    open: (name, snapshot) =>
      Effect.gen(function*() {
        const content = yield* on("read samples of", name, (image, fail) =>
          image.snapshots.find((one) =>
            one.name === snapshot
          )?.content ?? fail("ENOENT", "no such snapshot"), snapshot)
        const what = Rbd.format(name, snapshot)
        yield* Effect.acquireRelease(
          Effect.sync(() =>
            opened.add(what)
          ),
          () => Effect.sync(() => opened.delete(what))
        )
        return {
          read: (offset, length) =>
            offset + length > content.length
              ? new Rbd.RbdError({ operation: "read samples of", what, code: "EINVAL", detail: "behind its end" })
              : Effect.sync(() => content.slice(offset, offset + length))
        } satisfies Rbd.Reader
      }),
    checkReadable: (name) => Rbd.checkNames("read samples of", name),
    closeStale: () => Effect.void,
    importImage: (name, stream) =>
      Effect.gen(function*() {
        yield* Rbd.checkNames("make", name)
        const what = Rbd.format(name)
        if (!pools.has(name.pool)) return yield* noPool("make", what, name.pool)
        if (images.has(what)) {
          return yield* new Rbd.RbdError({ operation: "make", what, code: "EEXIST", detail: "image creation failed" })
        }
        const image = newImage(new Uint8Array(0))
        images.set(what, image)
        const pieces: Array<Uint8Array> = []
        image.watchers.add(IMPORTER)
        yield* Stream.runForEach(stream, (piece) =>
          Effect.sync(() => {
            pieces.push(Uint8Array.from(piece))
            image.content = Uint8Array.from(Buffer.concat(pieces))
          })).pipe(Effect.ensuring(Effect.sync(() => image.watchers.delete(IMPORTER))))
      }),
    renameImage: (name, next) =>
      Effect.zipRight(
        Rbd.checkNames("rename", { ...name, image: next }),
        on("rename", name, (image, fail) => {
          const target = Rbd.format({ ...name, image: next })
          if (images.has(target)) return fail("EEXIST", "rename error")
          images.delete(Rbd.format(name))
          images.set(target, image)
          return
        })
      ),
    images: (place) =>
      Effect.zipRight(
        Rbd.checkNames("list the images of", { ...place, image: "any" }),
        Effect.suspend(() => {
          if (!pools.has(place.pool)) return noPool("list the images of", place.pool, place.pool)
          const what = Rbd.formatPlace(place)
          const there = [...images.keys()].filter((name) => isIn(place, name))
          return Effect.succeed(there.map((name) => name.slice(what.length + 1)))
        })
      ),
    watchers: (name) => on("ask for users of", name, ({ watchers }) => [...watchers]),
    removeImage: (name) =>
      on("remove", name, (image, fail) => {
        if (image.watchers.size > 0) return fail("EBUSY", "image still has watchers")
        if (image.snapshots.length > 0) return fail("ENOTEMPTY", "image has snapshots")
        images.delete(Rbd.format(name))
        return
      })
  })

  return {
    rbd,
    opened,
    create: (name, size) => put(name, newImage(new Uint8Array(size))),
    write: (name, offset, bytes) => {
      const image = existing(name)
      image.content = Uint8Array.from(image.content)
      image.content.set(bytes, offset)
    },
    resize: (name, size) => {
      const image = existing(name)
      image.content = resized(image.content, size)
    },
    snapshot: (name, snapshot) => takeSnapshot(existing(name), snapshot),
    setProtected: (name, snapshot, isProtected) => {
      for (const one of existing(name).snapshots) if (one.name === snapshot) one.isProtected = isProtected
    },
    clone: (name, snapshot, child) => {
      const found = existing(name).snapshots.find((one) => one.name === snapshot)
      if (found === undefined) throw new Error(`there is no snapshot ${name}@${snapshot}`)
      found.isProtected = true
      put(child, newImage(Uint8Array.from(found.content)))
    },
    flatten: (name) => {
      existing(name).flattenedAt = state.lastId
    },
    remove: (name) => void images.delete(name),
    setWatched: (name, isWatched) => {
      const { watchers } = existing(name)
      if (isWatched) watchers.add("a VM")
      else watchers.clear()
    },
    isWatched: (name) => existing(name).watchers.size > 0,
    addName: (name, other) => void images.set(other, existing(name)),
    imageNames: () => [...images.keys()].sort(),
    trash: (name) => {
      trash.add(existing(name))
      images.delete(name)
    },
    rename: (name, next) => {
      images.set(next, existing(name))
      images.delete(name)
    },
    removeSnapshot: (name, snapshot) => {
      const image = existing(name)
      image.snapshots = image.snapshots.filter((one) => one.name !== snapshot)
    },
    allSnapshotNames: () =>
      [...images.values(), ...trash].flatMap(({ snapshots }) => snapshots.map(({ name }) => name)),
    content: (name, snapshot) => {
      const image = images.get(name)
      return snapshot === undefined ? image?.content : image?.snapshots.find((one) => one.name === snapshot)?.content
    },
    snapshotNames: (name) => images.get(name)?.snapshots.map((one) => one.name) ?? [],
    copy: () => fromState(objectSize, copyOf(state))
  }
}

const isZero = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 0)

/** What Ceph tells of each object that differs: all of it, or the bytes from the first to the last difference. */
function* changes(
  from: Snapshot | undefined,
  to: Snapshot,
  between: ReadonlyArray<Snapshot>,
  objectSize: number,
  wholeObject: boolean,
  flattened: boolean
): Generator<RbdDiff.Event> {
  const lowest = Math.min(...between.map(({ size }) => size))
  for (let start = 0; start < to.size; start += objectSize) {
    const after = to.content.subarray(start, start + objectSize)
    const before = new Uint8Array(after.length)
    if (from !== undefined) before.set(from.content.subarray(start, start + after.length))
    const differs = (at: number) => before[at] !== after[at]
    let first = 0
    let last = after.length - 1
    while (first <= last && !differs(first)) first++
    while (first <= last && !differs(last)) last--
    // its index takes what was copied for what was changed
    const isCopied = wholeObject && flattened && !isZero(after)
    if (first > last && !isCopied) continue
    // the defect: its index has forgotten objects that a snapshot in between did not have
    if (wholeObject && start >= lowest && isZero(after)) continue
    if (wholeObject) {
      first = 0
      last = after.length - 1
    }
    const bytes = after.subarray(first, last + 1)
    yield isZero(bytes)
      ? { _tag: "Zero", offset: start + first, length: bytes.length }
      : { _tag: "Write", offset: start + first, bytes }
  }
}
