/**
 * The file `snapshots` in a repository: the snapshots in Ceph that were made for it, `pool/image@name` a line. It gains
 * a line before a snapshot is made and loses it after the snapshot was removed. So of all snapshots in the cluster only
 * those are ours that stand here or belong to a revision, also after a kill or a `forget`, and nobody else's is removed.
 * Its last line is its digest. A file that is not what was written is set aside: what it says could be somebody else's.
 */
import type * as FileSystem from "@effect/platform/FileSystem"
import * as Effect from "effect/Effect"
import type { BlockFile } from "../platform/BlockFile.ts"
import * as DigestLine from "../platform/digestLine.ts"
import * as Durable from "../platform/Durable.ts"
import * as Files from "../platform/Files.ts"
import { type IoError, isMissing } from "../platform/IoError.ts"

const MAX_BYTES = 1024 * 1024

const fileIn = (directory: string): string => `${directory}/snapshots`

type Work<A> = Effect.Effect<A, IoError, FileSystem.FileSystem | BlockFile>

/** The lines of the file; none when there is no file, or when it was set aside. */
export const read = (directory: string): Work<ReadonlyArray<string>> =>
  Durable.readSmall(fileIn(directory), MAX_BYTES).pipe(
    Effect.flatMap((bytes) => {
      const opened = DigestLine.open("digest ", bytes)
      return opened._tag === "Whole"
        ? Effect.succeed(new TextDecoder().decode(opened.body).split("\n").filter((line) => line !== ""))
        : setAside(directory, opened._tag === "Wrong" ? opened.reason : DigestLine.ABSENT)
    }),
    Effect.catchIf(isMissing, () => Effect.succeed([])),
    // a link, a directory, or something far too long
    Effect.catchIf(({ code }) => NO_NOTES.includes(code), (error) => setAside(directory, error.message))
  )

const NO_NOTES = ["ELOOP", "EINVAL", "EFBIG"]

const setAside = (directory: string, reason: string): Work<ReadonlyArray<string>> => {
  const path = fileIn(directory)
  const aside = `${path}.unusable`
  return Effect.as(
    Effect.zipRight(
      Files.rename(path, aside),
      Effect.logWarning(
        `${path} cannot be used (${reason}); it was moved to ${aside}, and no snapshot that it names is removed`
      )
    ),
    []
  )
}

const write = (directory: string, lines: Iterable<string>): Work<void> =>
  Durable.replace(
    fileIn(directory),
    DigestLine.seal("digest ", new TextEncoder().encode(Array.from(lines, (line) => `${line}\n`).join(""))),
    { mode: 0o640 }
  )

/** Notes a snapshot that is about to be made. */
export const add = (directory: string, line: string): Work<void> =>
  Effect.flatMap(read(directory), (lines) => lines.includes(line) ? Effect.void : write(directory, [...lines, line]))

/** Forgets a snapshot that is not there any more. */
export const remove = (directory: string, line: string): Work<void> =>
  Effect.flatMap(
    read(directory),
    (lines) => lines.includes(line) ? write(directory, lines.filter((other) => other !== line)) : Effect.void
  )
