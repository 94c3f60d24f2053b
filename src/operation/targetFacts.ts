/** What a target is besides a path: the image that the repository backs up, part of something in use, no place at all. */
import * as FileSystem from "@effect/platform/FileSystem"
import * as Effect from "effect/Effect"
import { dirname } from "node:path"
import { BlockFile } from "../platform/BlockFile.ts"
import { Devices, type Support } from "../platform/Devices.ts"
import { type Identity, isSame } from "../platform/Disk.ts"
import * as Files from "../platform/Files.ts"
import { isOfRepository } from "./ownFiles.ts"

/** What lies at a path, links followed; `undefined` where nothing does that can be looked at. */
const findFollowing = (path: string) =>
  Effect.gen(function*() {
    const system = yield* FileSystem.FileSystem
    const real = yield* Effect.option(system.realPath(path))
    if (real._tag === "Some") return yield* Files.find(real.value)
    // a link may lead to a name that is not UTF-8, by which it is not found
    const { type } = yield* system.stat(path)
    if (type !== "File" && type !== "BlockDevice") return undefined
    return yield* (yield* BlockFile).withFile(path, { access: "read", follow: true }, (file) => file.stat)
  }).pipe(Effect.orElseSucceed(() => undefined))

/**
 * Is it the file or device at this path? A loop device is what it shows, and a partition and its disk are one for this,
 * for to write to the one is to write to the other.
 */
export const isImage = Effect.fn("isImage")(function*(
  target: Identity,
  beneath: ReadonlyArray<Support>,
  path: string | undefined
) {
  const image = path === undefined ? undefined : yield* findFollowing(path)
  if (image === undefined) return false
  if (isSame(target, image) || beneath.some((support) => isSame(support, image))) return true
  const { beneath: under } = yield* Devices
  return (yield* under(image)).some((support) => isSame(support, target))
})

/** Does a device rest on a file of the repository? */
export const restsOnRepository = Effect.fn("restsOnRepository")(function*(beneath: ReadonlyArray<Support>) {
  const system = yield* FileSystem.FileSystem
  for (const { path, ...support } of beneath) {
    if (path === undefined) continue
    const real = yield* Effect.orElseSucceed(system.realPath(path), () => path)
    if (yield* isOfRepository(real, support)) return true
  }
  return false
})

/**
 * In which of the kernel's own directories a new file would be made: what lies there is in memory, or no file at all.
 * Another file system that is mounted below one of them is not meant.
 */
export const kernelPlace = Effect.fn("kernelPlace")(function*(path: string) {
  const root = yield* Files.find("/")
  const directory = yield* Files.find(dirname(path))
  for (const place of ["/dev", "/proc", "/sys"]) {
    const stat = yield* findFollowing(place)
    if (stat === undefined) continue
    const isInside = stat.dev === root?.dev ? path.startsWith(`${place}/`) : directory?.dev === stat.dev
    if (isInside) return place
  }
  return undefined
})
