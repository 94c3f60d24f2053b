/**
 * The file `snapshots` in a repository: the snapshots in Ceph that were made for it, `pool/image@name` a line. It gains
 * a line before a snapshot is made and loses it after the snapshot was removed. So of all snapshots in the cluster only
 * those are ours that stand here or belong to a revision, also after a kill or a `forget`, and nobody else's is removed.
 */
import type * as FileSystem from "@effect/platform/FileSystem"
import * as Effect from "effect/Effect"
import type { BlockFile } from "../platform/BlockFile.ts"
import * as Durable from "../platform/Durable.ts"
import type { IoError } from "../platform/IoError.ts"

const MAX_BYTES = 1024 * 1024

const fileIn = (directory: string): string => `${directory}/snapshots`

type Work<A> = Effect.Effect<A, IoError, FileSystem.FileSystem | BlockFile>

/** The lines of the file; none when there is no file. */
export const read = (directory: string): Work<ReadonlyArray<string>> =>
  Durable.readSmall(fileIn(directory), MAX_BYTES).pipe(
    Effect.map((bytes) => new TextDecoder().decode(bytes).split("\n").filter((line) => line !== "")),
    Effect.catchIf(({ code }) => code === "ENOENT", () => Effect.succeed([]))
  )

const write = (directory: string, lines: Iterable<string>): Work<void> =>
  Durable.replace(
    fileIn(directory),
    new TextEncoder().encode(Array.from(lines, (line) => `${line}\n`).join("")),
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
