/**
 * An image file or a block device. There is no snapshot to take: that nobody writes meanwhile is checked, not assured.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as BlockFile from "../platform/BlockFile.ts"
import { type FileStat, isSame, kindWords } from "../platform/Disk.ts"
import type { IoError } from "../platform/IoError.ts"
import * as DeltaMark from "./deltaMark.ts"
import * as ImageFormat from "./imageFormat.ts"
import { type Snapshot, Source, SourceChanged, SourceNotReady } from "./Source.ts"

const notReady = (path: string) => (error: IoError) =>
  new SourceNotReady({
    source: path,
    reason: error.code === "ENOENT" ? "there is no such file" : error.message
  })

/**
 * What tells that the image was touched. The time of the last change of the inode is not asked: a chmod or an extended
 * attribute moves it, too. Who wrote and set the old time of writing back is found by the bytes: all of the image is
 * read twice, and if both readings are the same, the image was this at every instant between them.
 */
const difference = (before: FileStat, after: FileStat): string | undefined => {
  if (!isSame(before, after)) return "another file has taken its place"
  if (before.size !== after.size) return `its size went from ${before.size} to ${after.size} bytes`
  // the times of a device node say nothing of writes to the device
  if (before.kind === "block-device") return undefined
  return before.mtimeNs === after.mtimeNs ? undefined : "it was written to"
}

/** The source for an absolute path. Links are followed: they are how devices are named. */
export const make = (path: string): Effect.Effect<Source["Type"], never, BlockFile.BlockFile> =>
  Effect.map(BlockFile.BlockFile, (files) => {
    const open = Effect.mapError(files.open(path, { access: "read", follow: true }), notReady(path))
    const examine = (file: BlockFile.OpenFile) =>
      Effect.filterOrFail(
        Effect.mapError(file.stat, notReady(path)),
        (stat) => stat.kind === "file" || stat.kind === "block-device",
        (stat) =>
          new SourceNotReady({
            source: path,
            reason: `it is ${kindWords[stat.kind]}, not an image file or block device`
          })
      )
    /** What cannot be read here fails the backup where its bytes count, with a better error. */
    const warn = (file: BlockFile.OpenFile) =>
      ImageFormat.warning(file).pipe(
        Effect.orElseSucceed(() => undefined),
        Effect.flatMap((warning) => warning === undefined ? Effect.void : Effect.logWarning(warning))
      )
    /** A mixture that a killed delta restore left is no image, however whole it may look. */
    const refuseMixture = (file: BlockFile.OpenFile) =>
      DeltaMark.find(file).pipe(
        Effect.orElseSucceed(() => undefined),
        Effect.flatMap((revision) =>
          revision === undefined ? Effect.void : new SourceNotReady({
            source: path,
            reason: `a delta restore of revision ${revision} to it has not ended, so it is a mixture; ` +
              "the same restore again completes it"
          })
        )
      )
    /** What lies at the path now. */
    const look = Effect.scoped(Effect.flatMap(open, examine))

    return Source.of({
      name: path,
      check: Effect.scoped(
        Effect.flatMap(
          open,
          (file) => examine(file).pipe(Effect.zipRight(refuseMixture(file)), Effect.zipRight(warn(file)))
        )
      ),
      snapshot: Effect.fnUntraced(function*() {
        // open until the end: the file that is read is this one, whatever takes its name
        const file = yield* open
        const before = yield* examine(file)
        yield* refuseMixture(file)
        const changedSince = (after: FileStat) => {
          const reason = difference(before, after)
          return reason === undefined ? Effect.void : new SourceChanged({ source: path, reason })
        }
        return {
          size: before.size,
          content: {
            _tag: "Readable",
            path,
            file,
            dataExtents: Effect.mapError(file.dataExtents(0, before.size), notReady(path)),
            unchanged: Effect.zipRight(Effect.flatMap(look, changedSince), Effect.flatMap(examine(file), changedSince))
          },
          published: Effect.void
        } satisfies Snapshot
      })
    })
  })

/** {@link make} as a layer. */
export const layer = (path: string): Layer.Layer<Source, never, BlockFile.BlockFile> => Layer.effect(Source, make(path))
