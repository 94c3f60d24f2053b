/**
 * Whether the base directory is the one that is meant: a file system that is not mounted leaves an empty directory in its
 * place, on which a scheduler would start all over.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type { DaemonConfig } from "../config/DaemonConfig.ts"
import * as Durable from "../platform/Durable.ts"
import * as Files from "../platform/Files.ts"

/** What needs to be known of the config. */
export type Base = Pick<DaemonConfig, "baseDir" | "baseMarker">

/** The base directory lacks the file that marks it. Nothing was started. */
export class BaseUnmarked extends Data.TaggedError("BaseUnmarked")<{
  readonly baseDir: string
  readonly marker: string
}> {
  override get message() {
    return `the base directory ${this.baseDir} has no file ${this.marker}, which marks it: is its file system mounted? ` +
      "(backy scheduler --init-base marks a new one)"
  }
}

const markerOf = (baseDir: string, marker: string): string => `${baseDir.replace(/\/+$/, "")}/${marker}`

/** Fails with `BaseUnmarked` when the config names a marker and there is none, with `IoError` when that cannot be told. */
export const requireMarker = Effect.fn("requireMarker")(function*({ baseDir, baseMarker: marker }: Base) {
  if (marker === undefined) return
  const found = yield* Files.find(markerOf(baseDir, marker))
  if (found?.kind !== "file") return yield* new BaseUnmarked({ baseDir, marker })
})

/** What lies in a base directory without any job. */
const isOfNoJob = (name: string): boolean => name.startsWith(".") || name === "lost+found" || name === "status"

/**
 * A sentence when nothing marks the base directory, and it looks as if its file system was not mounted: it is empty and
 * lies on that of the root directory, although there are jobs. Says nothing of what it cannot see.
 */
export const unmountedHint = Effect.fn("unmountedHint")(
  function*({ baseDir, baseMarker, jobs }: Base & Pick<DaemonConfig, "jobs">) {
    if (baseMarker !== undefined || jobs.length === 0) return undefined
    // with the dot, what a link leads to is looked at
    const [base, root] = yield* Effect.all([Files.find(`${baseDir}/.`), Files.find("/")])
    if (base === undefined || base.dev !== root?.dev || !(yield* Files.list(baseDir)).every(isOfNoJob)) return undefined
    return `the base directory ${baseDir} is empty and on the root file system: is its own one mounted? ` +
      "(base-marker in the config makes sure)"
  },
  Effect.catchAll(() => Effect.succeed(undefined))
)

/** Marks a base directory; tells whether it was not yet marked. The directory must exist. Fails with `IoError`. */
export const mark = Effect.fn("mark")(function*(baseDir: string, marker: string) {
  const path = markerOf(baseDir, marker)
  const isNew = !(yield* Files.exists(path))
  if (isNew) {
    const text = "This file marks the base directory of backy scheduler. Without it, nothing is backed up.\n"
    yield* Durable.replace(path, new TextEncoder().encode(text), { mode: 0o444 })
  }
  return { path, isNew }
})
