/** Files that restores write until they are whole, beside the name that they will have. */
import * as FileSystem from "@effect/platform/FileSystem"
import * as Effect from "effect/Effect"
import { basename, dirname, join } from "node:path"
import * as BlockFile from "../platform/BlockFile.ts"
import { isSame } from "../platform/Disk.ts"
import * as Durable from "../platform/Durable.ts"
import { FileLock } from "../platform/FileLock.ts"
import * as Files from "../platform/Files.ts"
import { IoError } from "../platform/IoError.ts"
import { partialName, prefixFor } from "./partialName.ts"

/** What an open file is, or nothing if it is no regular file that is still found under its name. */
const current = (file: BlockFile.OpenFile) =>
  Effect.map(
    Effect.all([file.stat, Files.find(file.path)]),
    ([ours, named]) => named !== undefined && named.kind === "file" && isSame(ours, named)
  )

/**
 * Removes the partial files for a path that killed restores left. One that is locked belongs to a restore under way:
 * `true`, there is such a one. What is not ours to open stays, and is no reason to fail.
 */
export const removeLeftovers = Effect.fn("partial.removeLeftovers")(function*(path: string) {
  const files = yield* BlockFile.BlockFile
  const locks = yield* FileLock
  const system = yield* FileSystem.FileSystem
  const directory = dirname(path)
  const prefix = prefixFor(basename(path))
  // a directory that may be written need not be one that may be listed
  const names = yield* Effect.orElseSucceed(system.readDirectory(directory), () => [])
  let underWay = false
  for (const name of names.filter((name) => name.startsWith(prefix)).sort()) {
    const left = Effect.gen(function*() {
      const file = yield* files.open(join(directory, name), { access: "write" })
      yield* locks.acquireOpen(file)
      if (yield* current(file)) yield* Files.removeIfPresent(file.path)
      return false
    })
    underWay ||= yield* Effect.scoped(left).pipe(
      Effect.catchTags({
        FileInUse: () => Effect.succeed(true),
        IoError: (error) => Effect.as(Effect.logDebug(`${join(directory, name)} stays: ${error.message}`), false)
      })
    )
  }
  return underWay
})

/**
 * Removes an open file, also when a directory on the way to it has got another name meanwhile: the kernel knows the
 * present one, where it tells. Never fails.
 */
const removeOpen = (file: BlockFile.OpenFile, path: string) =>
  Effect.ignore(Effect.gen(function*() {
    if (yield* Files.removeIfPresent(path)) return
    const system = yield* FileSystem.FileSystem
    const now = yield* system.readLink(`/proc/self/fd/${file.descriptor}`)
    const [ours, named] = yield* Effect.all([file.stat, Files.find(now)])
    if (named !== undefined && isSame(ours, named)) yield* Files.removeIfPresent(now)
  }))

/** Who removes leftovers takes a file that is not locked yet for one of them; nobody does so for ever. */
const ATTEMPTS = 10

/** A partial file, open for writing and locked until the scope ends; then it is gone, unless it has got its name. */
export interface Partial {
  readonly file: BlockFile.OpenFile
  /**
   * Gives the file, which must be whole and synced, its name, durably. Never replaces what is there: fails with EEXIST.
   * Fails with ESTALE when what is found under the name then is another file.
   */
  readonly publish: Effect.Effect<void, IoError, FileSystem.FileSystem | BlockFile.BlockFile>
}

/** Makes an empty partial file for a path. */
export const make = Effect.fn("partial.make")(function*(path: string) {
  const files = yield* BlockFile.BlockFile
  const locks = yield* FileLock
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const partial = join(dirname(path), yield* partialName(basename(path)))
    const made = yield* Effect.uninterruptible(Effect.gen(function*() {
      const file = yield* files.open(partial, { access: "write", create: "exclusive", mode: 0o600 })
      const remove = removeOpen(file, partial)
      const locked = yield* Effect.either(Effect.tapErrorTag(locks.acquireOpen(file), "IoError", () => remove))
      // whoever holds the lock is about to remove it
      if (locked._tag === "Left") {
        if (locked.left._tag === "IoError") return yield* locked.left
        return yield* Effect.as(file.close, undefined)
      }
      let isNamed = false
      yield* Effect.addFinalizer(() => isNamed ? Effect.void : remove)
      const publish = Effect.zipRight(
        giveName(file, path, () => {
          isNamed = true
        }),
        Durable.syncDirectory(dirname(path))
      )
      return (yield* current(file)) ? { file, publish: Effect.uninterruptible(publish) } satisfies Partial : undefined
    }))
    if (made !== undefined) return made
  }
  return yield* new IoError({
    operation: "create",
    path: join(dirname(path), `${prefixFor(basename(path))}…`),
    code: "EBUSY",
    detail: "other restores remove it again and again"
  })
})

/** Codes that say that this file system, or the kernel for this file, gives no second names. */
const NO_LINKS: ReadonlySet<string> = new Set(["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK"])

/** Where there are no second names: taking the name first keeps others from taking it, and from being replaced. */
const byRenaming = Effect.fnUntraced(function*(file: BlockFile.OpenFile, path: string) {
  const files = yield* BlockFile.BlockFile
  yield* Effect.logWarning(
    `the file system of ${dirname(path)} gives no second names: ${path} is made empty first, and then replaced`
  )
  yield* files.withFile(path, { access: "write", create: "exclusive", mode: 0o600 }, () => Effect.void)
  yield* Files.rename(file.path, path)
})

const giveName = Effect.fnUntraced(function*(file: BlockFile.OpenFile, path: string, onNamed: () => void) {
  const linked = yield* Effect.either(Files.link(file.path, path))
  if (linked._tag === "Right") yield* Files.removeIfPresent(file.path)
  else if (NO_LINKS.has(linked.left.code)) yield* byRenaming(file, path)
  else return yield* linked.left
  onNamed()
  const [ours, named] = yield* Effect.all([file.stat, Files.find(path)])
  if (named === undefined || !isSame(ours, named)) {
    const detail = "another file has taken its place"
    return yield* new IoError({ operation: "restore to", path, code: "ESTALE", detail })
  }
})
