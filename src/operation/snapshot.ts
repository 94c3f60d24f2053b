import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import { BlockFile } from "../platform/BlockFile.ts"
import type { Opened } from "../platform/Disk.ts"
import * as Source from "../source/Source.ts"

/** Content at a path that is held open until the snapshot is let go. */
export interface OpenReadable extends Source.Readable {
  readonly file: Opened
}

/** A snapshot whose content, if it can be read at any offset, is held open. */
export interface Taken extends Source.Snapshot {
  readonly content: OpenReadable | Source.Changes
}

const held = Effect.fnUntraced(function*(content: Source.Readable) {
  const files = yield* BlockFile
  const { descriptor, path } = content.file ?? (yield* files.open(content.path, { access: "read", follow: true }))
  // a worker thread is sent this much of it and no more
  return { ...content, file: { descriptor, path } }
})

/**
 * Takes a snapshot of the source for a revision; it is let go with the scope. Whoever calls it has had the source checked
 * before anything was made. Fails with `SourceNotReady`.
 */
export const snapshot = Effect.fn("snapshot")(function*(request: Source.SnapshotRequest) {
  const source = yield* Source.Source
  const taken = yield* source.snapshot(request)
  const { content } = taken
  if (content._tag === "Readable") {
    const file = yield* Effect.mapError(
      held(content),
      (error) => new Source.SourceNotReady({ source: source.name, reason: error.message })
    )
    return { ...taken, content: file } satisfies Taken
  }
  // types do not bind a plug-in
  if (!Predicate.isRecord(content.second)) {
    const reason = "its source type does not say how what was stored can be compared with the source"
    return yield* new Source.SourceNotReady({ source: source.name, reason })
  }
  return { ...taken, content } satisfies Taken
})
