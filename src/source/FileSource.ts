/**
 * An image file or a block device. There is no snapshot to take: that nobody writes meanwhile is checked, not assured.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as BlockFile from "../platform/BlockFile.ts"
import type { FileStat } from "../platform/Disk.ts"
import type { IoError } from "../platform/IoError.ts"
import { type Snapshot, Source, SourceChanged, SourceNotReady } from "./Source.ts"

const notReady = (path: string) => (error: IoError) =>
  new SourceNotReady({
    source: path,
    reason: error.code === "ENOENT" ? "there is no such file" : error.message
  })

const difference = (before: FileStat, after: FileStat): string | undefined => {
  if (before.dev !== after.dev || before.ino !== after.ino) return "another file has taken its place"
  if (before.size !== after.size) return `its size went from ${before.size} to ${after.size} bytes`
  // the times of a device node say nothing of writes to the device
  if (before.kind === "block-device") return undefined
  return before.mtimeNs !== after.mtimeNs || before.ctimeNs !== after.ctimeNs ? "it was written to" : undefined
}

/** The source for an absolute path. Links are followed: they are how devices are named. */
export const make = (path: string): Effect.Effect<Source["Type"], never, BlockFile.BlockFile> =>
  Effect.map(BlockFile.BlockFile, (files) => {
    const open = files.open(path, { access: "read", follow: true })
    const look = Effect.scoped(Effect.flatMap(open, (file) => file.stat)).pipe(
      Effect.mapError(notReady(path)),
      Effect.filterOrFail(
        (stat) => stat.kind === "file" || stat.kind === "block-device",
        (stat) =>
          new SourceNotReady({ source: path, reason: `it is a ${stat.kind}, not an image file or block device` })
      )
    )

    return Source.of({
      name: path,
      check: Effect.asVoid(look),
      snapshot: Effect.fnUntraced(function*() {
        const before = yield* look
        const dataExtents = Effect.scoped(Effect.flatMap(open, (file) => file.dataExtents(0, before.size))).pipe(
          Effect.mapError(notReady(path))
        )
        const unchanged = Effect.flatMap(look, (after) => {
          const reason = difference(before, after)
          return reason === undefined ? Effect.void : new SourceChanged({ source: path, reason })
        })
        return {
          size: before.size,
          content: { _tag: "Readable", path, dataExtents, unchanged },
          published: Effect.void
        } satisfies Snapshot
      })
    })
  })

/** {@link make} as a layer. */
export const layer = (path: string): Layer.Layer<Source, never, BlockFile.BlockFile> => Layer.effect(Source, make(path))
