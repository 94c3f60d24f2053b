/**
 * Nothing is followed out of a repository: what lies in it is looked at by lstat, and what is no plain file or directory
 * where backy keeps one is refused by name. The repository's own directory may be a link.
 *
 * This is about what lies there, not about who changes it meanwhile: SECURITY.md.
 */
import type * as FileSystem from "@effect/platform/FileSystem"
import * as Effect from "effect/Effect"
import type { BlockFile } from "../platform/BlockFile.ts"
import { type FileKind, kindWords } from "../platform/Disk.ts"
import * as Files from "../platform/Files.ts"
import { IoError } from "../platform/IoError.ts"

/** What all commands share. Revisions' own files are judged one by one, so that a bad one never hides the others. */
const PLACES: ReadonlyArray<readonly [name: string, kind: "file" | "directory"]> = [
  ["config", "file"],
  [".backup", "file"],
  [".purge", "file"],
  ["snapshots", "file"],
  ["chunks", "directory"],
  ["chunks/store", "file"],
  ["quarantine", "directory"],
  ["quarantine/chunks", "directory"]
]

/** Why nothing of this kind may lie in a place for another; `undefined` when it may. */
const objection = (found: FileKind, wanted: "file" | "directory"): string | undefined =>
  found === wanted
    ? undefined
    : `it is ${kindWords[found]} where backy keeps ${kindWords[wanted]}, and nothing is followed out of a repository`

const look = Effect.fnUntraced(function*(path: string, wanted: "file" | "directory") {
  // what lies below a file is not there
  const stat = yield* Effect.catchIf(
    Files.find(path),
    ({ code }) => code === "ENOTDIR",
    () => Effect.succeed(undefined)
  )
  const detail = stat === undefined ? undefined : objection(stat.kind, wanted)
  if (detail !== undefined) {
    return yield* new IoError({ operation: "use", path, code: stat?.kind === "symlink" ? "ELOOP" : "EINVAL", detail })
  }
})

/** Fails when something else lies where the repository keeps what all commands share. */
export const places = (directory: string): Effect.Effect<void, IoError, BlockFile> =>
  Effect.forEach(PLACES, ([name, wanted]) => look(`${directory}/${name}`, wanted), { discard: true })

/** The same for the folders that hold chunks, which only some commands enter. */
export const folders = (directory: string): Effect.Effect<void, IoError, BlockFile | FileSystem.FileSystem> =>
  Effect.gen(function*() {
    const root = `${directory}/chunks`
    if ((yield* Files.find(root)) === undefined) return
    const names = (yield* Files.list(root)).filter((name) => /^[0-9a-f]{2}$/.test(name))
    yield* Effect.forEach(names, (name) => look(`${root}/${name}`, "directory"), { concurrency: 32, discard: true })
  })

/** Why a file of a revision cannot be what it should be, if it is there; none when it can. */
export const fileProblem = (path: string): Effect.Effect<string | undefined, IoError, BlockFile> =>
  Effect.map(Files.find(path), (stat) => stat === undefined ? undefined : objection(stat.kind, "file"))
