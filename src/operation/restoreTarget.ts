/**
 * The file or device that an image is restored to: one thing for the whole run, held open and locked; refused before a
 * byte is written where it would do harm, and free of old bytes afterwards.
 */
import * as Effect from "effect/Effect"
import * as BlockFile from "../platform/BlockFile.ts"
import { Devices } from "../platform/Devices.ts"
import { type FileStat, isSame, kindWords, type Opened } from "../platform/Disk.ts"
import { FileLock } from "../platform/FileLock.ts"
import * as Files from "../platform/Files.ts"
import { IoError } from "../platform/IoError.ts"
import { contentOf } from "./blank.ts"
import * as Finished from "./Finished.ts"
import { isOfRepository } from "./ownFiles.ts"
import * as Partial from "./partial.ts"
import { realPlace } from "./realPlace.ts"
import { isImage, kernelPlace, restsOnRepository } from "./targetFacts.ts"
import { TargetRefused } from "./TargetRefused.ts"

/** A target that is open for writing. */
export interface TargetFile {
  /** A new file has not yet its final name. */
  readonly file: Opened
  /** Whether zeros must be written, or are there already. */
  readonly zeros: "skip" | "write"
}

/** A target that was found fit. `path` is as the user gave it, `real` without links. */
export type Claimed =
  & { readonly path: string; readonly real: string }
  & (
    | { readonly _tag: "New" }
    | {
      readonly _tag: "Existing"
      /** Held open and locked until the scope ends. */
      readonly file: BlockFile.OpenFile
      readonly stat: FileStat
      /** It is the very image that the repository backs up: no backup may run while it is written. */
      readonly isImage: boolean
    }
  )

/** Where a path leads. */
const resolve = (path: string) => realPlace(path, (reason) => new TargetRefused({ path, reason }))

/** What claiming a target is told. */
interface Request {
  readonly path: string
  /** Allows to overwrite what holds something. */
  readonly force: boolean
  /** The file or device that the repository backs up, where that is known. */
  readonly source: string | undefined
  /** Nothing will be written, only what is there is looked at. */
  readonly dryRun?: boolean
  /** What is there will be read, too. */
  readonly readable?: boolean
}

/**
 * Finds out what lies at a path, and takes hold of it until the scope ends. Fails with `TargetRefused` where to write
 * would do harm. Writes nothing.
 */
export const claim = Effect.fn("claim")(function*(request: Request) {
  const { path } = request
  const refuse = (reason: string) => new TargetRefused({ path, reason })
  const real = yield* resolve(path)
  // a restore that was killed at its very end has left a second name
  if (request.dryRun !== true) yield* Partial.removeLeftovers(real)
  const stat = yield* Files.find(real)
  if (yield* isOfRepository(real, stat)) return yield* refuse("it lies within the repository")
  if (stat === undefined) {
    const place = yield* kernelPlace(real)
    if (place === "/dev") return yield* refuse("there is no such device, and a new file in /dev would be in memory")
    if (place !== undefined) return yield* refuse(`no image can be kept in ${place}`)
    return { _tag: "New", path, real } satisfies Claimed
  }
  switch (stat.kind) {
    case "file":
      return yield* claimFile(request, real, stat)
    case "block-device":
      return yield* claimDevice(request, real, stat)
    case "symlink":
      return yield* refuse("it is a symbolic link that leads nowhere")
    default:
      return yield* refuse(`it is ${kindWords[stat.kind]}, not a file or block device`)
  }
})

/** Opens what was looked at, and nothing that has taken its place since. */
const open = Effect.fnUntraced(function*({ dryRun, path, readable }: Request, real: string, stat: FileStat) {
  const files = yield* BlockFile.BlockFile
  const isDevice = stat.kind === "block-device"
  const access = dryRun === true ? "read" : isDevice || readable === true ? "read-write" : "write"
  const file = yield* files.open(real, { access, exclusive: isDevice }).pipe(
    Effect.catchIf(
      ({ code }) => isDevice && code === "EBUSY",
      () =>
        new TargetRefused({
          path,
          reason: "the device is in use: it is mounted, part of another device, or the target of another restore"
        })
    )
  )
  if (!isSame(yield* file.stat, stat)) {
    return yield* new TargetRefused({ path, reason: "another file has just taken its place" })
  }
  const loops = yield* (yield* Devices).loopsOver(stat)
  if (loops.length > 0) return yield* new TargetRefused({ path, reason: `it is in use as ${loops.join(", ")}` })
  return file
})

/** What is said before the image of the repository is overwritten, which is what a rollback is. */
const announce = ({ dryRun, path }: Request) =>
  dryRun === true
    ? Effect.void
    : Effect.logWarning(`${path} is the image that this repository backs up; it is overwritten`)

const ITSELF = "it is the source itself (-f overwrites it)"

const claimFile = Effect.fnUntraced(function*(request: Request, real: string, stat: FileStat) {
  const { force, path, source } = request
  const refuse = (reason: string) => new TargetRefused({ path, reason })
  const isSource = yield* isImage(stat, [], source)
  if (isSource && !force) return yield* refuse(ITSELF)
  if (stat.size > 0 && !force) return yield* refuse("the file is there and not empty (-f overwrites it)")
  if (stat.nlink > 1) {
    return yield* refuse(`it has ${stat.nlink} names (hard links), and under all of them the content would change`)
  }
  const file = yield* open(request, real, stat)
  const locks = yield* FileLock
  yield* Effect.catchTag(
    locks.acquireOpen(file),
    "FileInUse",
    ({ by }) => refuse(`it is in use: it is locked by ${by}`)
  )
  if (isSource) yield* announce(request)
  return { _tag: "Existing", path, real, file, stat, isImage: isSource } satisfies Claimed
})

const claimDevice = Effect.fnUntraced(function*(request: Request, real: string, stat: FileStat) {
  const { force, path, source } = request
  const refuse = (reason: string) => new TargetRefused({ path, reason })
  const devices = yield* Devices
  const beneath = yield* devices.beneath(stat)
  if (yield* restsOnRepository(beneath)) return yield* refuse("it shows a file of the repository")
  const isSource = yield* isImage(stat, beneath, source)
  if (isSource && !force) return yield* refuse(ITSELF)
  const file = yield* open(request, real, stat)
  if (!force) {
    const content = yield* contentOf(file, stat.size)
    if (content !== undefined) return yield* refuse(`${content} (-f overwrites it)`)
  }
  if (isSource) yield* announce(request)
  return { _tag: "Existing", path, real, file, stat, isImage: isSource } satisfies Claimed
})

/** An open file as worker threads are given it. */
export const opened = ({ descriptor, path }: Opened): Opened => ({ path, descriptor })

/**
 * Lets `use` write an image of `size` bytes, and makes it durable. A new file appears under its name only when all is
 * done; an existing one is emptied first. An error of sync, close or truncate fails the whole, and so does it when by
 * then something else is found at the path. At the moment from which all is there, `outcome` is told.
 */
export const writeTo = Effect.fn("writeTo")(function*<A, E, R>(
  claimed: Claimed,
  size: number,
  use: (target: TargetFile) => Effect.Effect<A, E, R>,
  outcome: (result: A) => Finished.Outcome
) {
  return yield* claimed._tag === "New" ? newFile(claimed, size, use, outcome) : existing(claimed, size, use, outcome)
})

const newFile = Effect.fnUntraced(function*<A, E, R>(
  { path, real }: Claimed,
  size: number,
  use: (target: TargetFile) => Effect.Effect<A, E, R>,
  outcome: (result: A) => Finished.Outcome
) {
  const refuse = (reason: string) => new TargetRefused({ path, reason })
  if (yield* Partial.removeLeftovers(real)) return yield* refuse("another restore to it is under way")
  const { file, publish } = yield* Partial.make(real)
  yield* file.truncate(size)
  const result = yield* use({ file: opened(file), zeros: "skip" })
  yield* file.sync
  const published = Effect.catchIf(
    publish,
    ({ code }) => code === "EEXIST",
    () => refuse("meanwhile there is a file of that name")
  )
  // a signal that comes while the name is made durable must not make a failure of it
  yield* Finished.lastly(published, outcome(result))
  yield* file.close
  return result
})

/** A target that is there. */
export type Existing = Extract<Claimed, { readonly _tag: "Existing" }>

/** A device must be as large as the image; of a larger one the rest stays, which is said. */
export const checkSize = Effect.fnUntraced(function*({ path, stat }: Existing, size: number) {
  if (stat.kind !== "block-device") return
  if (stat.size < size) {
    return yield* new TargetRefused({ path, reason: `the device has ${stat.size} bytes, the image ${size}` })
  }
  if (stat.size > size) {
    yield* Effect.logWarning(
      `${path} has ${stat.size - size} bytes more than the image; what lies behind the image's end stays as it is`
    )
  }
})

/** What was written must still be what the path leads to. */
export const checkPlace = Effect.fnUntraced(function*({ path, stat }: Existing) {
  const now = yield* Effect.flatMap(resolve(path), Files.find)
  if (now === undefined || !isSame(now, stat)) {
    const detail = "another file has taken its place while it was written"
    return yield* new IoError({ operation: "restore to", path, code: "ESTALE", detail })
  }
})

const existing = Effect.fnUntraced(function*<A, E, R>(
  claimed: Existing,
  size: number,
  use: (target: TargetFile) => Effect.Effect<A, E, R>,
  outcome: (result: A) => Finished.Outcome
) {
  const { file, stat } = claimed
  const isDevice = stat.kind === "block-device"
  yield* checkSize(claimed, size)
  if (!isDevice) {
    yield* file.truncate(0)
    yield* file.truncate(size)
  }
  const result = yield* use({ file: opened(file), zeros: isDevice ? "write" : "skip" })
  // to sync may take long, and can be given up; but not what follows it
  yield* Effect.uninterruptibleMask((restore) =>
    Effect.zipRight(restore(file.sync), Finished.lastly(checkPlace(claimed), outcome(result)))
  )
  yield* file.close
  return result
})
