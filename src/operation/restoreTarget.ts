/**
 * The file or device that an image is restored to: refused before a byte is written where it would do harm, and free
 * of old bytes afterwards.
 */
import * as FileSystem from "@effect/platform/FileSystem"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import { basename, dirname, join } from "node:path"
import * as BlockFile from "../platform/BlockFile.ts"
import { kindWords, type Opened } from "../platform/Disk.ts"
import * as Durable from "../platform/Durable.ts"
import * as Files from "../platform/Files.ts"
import { fromPlatform } from "../platform/IoError.ts"
import { Repository } from "../repository/Repository.ts"

/** The target would lose something, or cannot hold the image. Nothing was written. */
export class TargetRefused extends Data.TaggedError("TargetRefused")<{
  readonly path: string
  readonly reason: string
}> {
  override get message() {
    return `cannot restore to ${this.path}: ${this.reason}`
  }
}

/** A target that is open for writing. */
export interface TargetFile {
  readonly file: Opened
  /** Whether zeros must be written, or are there already. */
  readonly zeros: "skip" | "write"
}

/** What lies at the target's path, links followed. */
type Place = "nothing" | "empty" | "file" | "device"

const find = Effect.fnUntraced(function*(path: string, size: number, force: boolean) {
  const files = yield* BlockFile.BlockFile
  const refuse = (reason: string) => new TargetRefused({ path, reason })
  const stat = yield* files.withFile(path, { access: "read", follow: true }, (file) => file.stat).pipe(
    Effect.catchIf(({ code }) => code === "ENOENT", () => Effect.succeed(undefined))
  )
  if (stat === undefined) return "nothing" satisfies Place
  if (stat.kind === "block-device") {
    if (stat.size < size) return yield* refuse(`the device has ${stat.size} bytes, the image ${size}`)
    if (stat.size > size) {
      yield* Effect.logWarning(
        `${path} has ${stat.size - size} bytes more than the image; what lies behind the image's end stays as it is`
      )
    }
    return "device" satisfies Place
  }
  if (stat.kind !== "file") return yield* refuse(`it is ${kindWords[stat.kind]}, not a file or block device`)
  if (stat.size === 0) return "empty" satisfies Place
  return force ? "file" satisfies Place : yield* refuse("the file is there and not empty (-f overwrites it)")
})

/** What belongs to the repository is no target: it may be the very chunk that is to be read. */
const refuseOwnFiles = Effect.fnUntraced(function*(path: string) {
  const { directory } = yield* Repository
  const system = yield* FileSystem.FileSystem
  const real = (of: string) => Effect.mapError(system.realPath(of), (error) => fromPlatform(error, of))
  const parent = yield* Effect.mapError(
    real(dirname(path)),
    () => new TargetRefused({ path, reason: `there is no directory ${dirname(path)}` })
  )
  const target = yield* Effect.orElseSucceed(real(path), () => join(parent, basename(path)))
  const own = yield* real(directory)
  if (target === own || target.startsWith(`${own}/`)) {
    return yield* new TargetRefused({ path, reason: "it lies within the repository" })
  }
  return target
})

/**
 * Opens the target for `use` and makes durable what was written. A new file appears under its name only when all is
 * done; an existing one is emptied first. An error of sync, close or truncate fails the whole.
 */
export const openTarget = Effect.fn("openTarget")(function*<A, E, R>(
  options: { readonly path: string; readonly size: number; readonly force: boolean },
  use: (target: TargetFile) => Effect.Effect<A, E, R>
) {
  const { force, path, size } = options
  const files = yield* BlockFile.BlockFile
  const real = yield* refuseOwnFiles(path)
  const place = yield* find(path, size, force)
  if (place === "nothing") return yield* newFile(real, size, use)
  // The descriptor stays open for the whole time: the kernel reports an error of writing back to those it knows.
  return yield* files.withFile(real, { access: "write" }, (file) =>
    Effect.gen(function*() {
      if (place !== "device") {
        yield* file.truncate(0)
        yield* file.truncate(size)
      }
      const result = yield* use({
        file: { path: real, descriptor: file.descriptor },
        zeros: place === "device" ? "write" : "skip"
      })
      yield* file.sync
      return result
    }))
})

const newFile = Effect.fnUntraced(function*<A, E, R>(
  path: string,
  size: number,
  use: (target: TargetFile) => Effect.Effect<A, E, R>
) {
  const files = yield* BlockFile.BlockFile
  const partial = join(dirname(path), `.${basename(path)}.backy-partial`)
  yield* Files.removeIfPresent(partial)
  return yield* files.withFile(
    partial,
    { access: "write", create: "exclusive", mode: 0o600 },
    (file) =>
      Effect.gen(function*() {
        yield* file.truncate(size)
        const result = yield* use({ file: { path: partial, descriptor: file.descriptor }, zeros: "skip" })
        yield* file.sync
        yield* Files.rename(partial, path)
        // another restore to the same path may have put its unfinished file in the place of ours
        const [ours, named] = [yield* file.stat, yield* Files.find(path)]
        if (named === undefined || named.ino !== ours.ino || named.dev !== ours.dev) {
          return yield* new TargetRefused({ path, reason: "another restore writes to it at the same time" })
        }
        return result
      })
  ).pipe(
    // also when it was interrupted
    Effect.onError(() => Effect.ignore(Files.removeIfPresent(partial))),
    Effect.tap(() => Durable.syncDirectory(dirname(path)))
  )
})
