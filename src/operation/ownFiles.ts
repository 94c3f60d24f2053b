/** Whether a file is one of the repository's, however it is reached. */
import * as Effect from "effect/Effect"
import { dirname, join } from "node:path"
import { Devices } from "../platform/Devices.ts"
import { type FileStat, type Identity, isSame } from "../platform/Disk.ts"
import * as Files from "../platform/Files.ts"
import { Repository } from "../repository/Repository.ts"

/** How deep the repository's folders lie: `chunks/ab`. Its files lie one deeper at most. */
const FOLDERS = 2

/** All that lies below a directory, down to a depth. What goes away meanwhile, or is no directory, has nothing in it. */
const below = (directory: string, depth: number): Effect.Effect<
  ReadonlyArray<FileStat>,
  never,
  Effect.Effect.Context<ReturnType<typeof Files.list> | ReturnType<typeof Files.find>>
> =>
  Effect.gen(function*() {
    const found: Array<FileStat> = []
    for (const name of yield* Effect.orElseSucceed(Files.list(directory), () => [])) {
      const path = join(directory, name)
      const stat = yield* Effect.orElseSucceed(Files.find(path), () => undefined)
      if (stat === undefined) continue
      found.push(stat)
      if (stat.kind === "directory" && depth > 1) found.push(...yield* below(path, depth - 1))
    }
    return found
  })

/** The directories that a path leads through, the innermost first. */
function* ancestorsOf(path: string): Generator<string> {
  for (let at = dirname(path);; at = dirname(at)) {
    yield at
    if (at === dirname(at)) return
  }
}

/**
 * Does this path, which has no links in it, lead into the repository? `what` lies there, if anything does. Directories
 * are compared and not names, so that a bind mount of the repository or of a part of it is found; for a file that is
 * mounted alone, all files of the repository are. What a file system in user space shows as another one is not found.
 */
export const isOfRepository = Effect.fn("isOfRepository")(function*(path: string, what: Identity | undefined) {
  const { directory } = yield* Repository
  const { isMountPoint } = yield* Devices
  const root = yield* Files.find(directory)
  const own = [...root === undefined ? [] : [root], ...yield* below(directory, FOLDERS)]
  if (what !== undefined && own.some((one) => isSame(one, what))) return true
  for (const ancestor of ancestorsOf(path)) {
    const stat = yield* Files.find(ancestor)
    if (stat !== undefined && own.some((one) => one.kind === "directory" && isSame(one, stat))) return true
  }
  if (what === undefined || !(yield* isMountPoint(path))) return false
  return (yield* below(directory, FOLDERS + 1)).some((one) => isSame(one, what))
})
