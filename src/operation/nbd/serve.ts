import type { FileSystem } from "@effect/platform/FileSystem"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as RcMap from "effect/RcMap"
import type * as Scope from "effect/Scope"
import * as ChunkMap from "../../domain/ChunkMap.ts"
import type { Revision } from "../../domain/Revision.ts"
import type { RevisionId } from "../../domain/RevisionId.ts"
import { type Address, uriOf } from "../../nbd/Address.ts"
import { type Export, type Exports, ExportUnavailable } from "../../nbd/Export.ts"
import { Listener, type ListenFailed } from "../../nbd/Listener.ts"
import * as Server from "../../nbd/server.ts"
import type { BlockFile } from "../../platform/BlockFile.ts"
import type { Devices } from "../../platform/Devices.ts"
import type { FileLock, LockHeld } from "../../platform/FileLock.ts"
import type { Image } from "../../repository/Image.ts"
import * as locks from "../../repository/locks.ts"
import { Repository } from "../../repository/Repository.ts"
import type { MapUnusable } from "../../repository/RepositoryError.ts"
import type { BadChunk } from "../../store/BlockProtocol.ts"
import type { Blocks } from "../../store/Blocks.ts"
import * as StoredId from "../../store/storedId.ts"
import { RevisionIncomplete, selectOne, type SelectOneError } from "../select.ts"
import { warnOfRevision } from "../warnOfRevision.ts"
import * as ChunkCache from "./ChunkCache.ts"
import * as Overlay from "./Overlay.ts"
import * as OverlayFile from "./overlayFile.ts"
import * as RevisionExport from "./RevisionExport.ts"

/** A server that answers. `size` in bytes. */
export interface Serving {
  /** What clients are given. */
  readonly uri: string
  readonly address: Address
  readonly revision: RevisionId
  readonly size: number
  /** What is served without a name. */
  readonly disk: Export
}

/** Revisions that clients have open at a time, besides the selected one. A client may ask for any of them. */
const MAX_OPEN = Server.MAX_CLIENTS
/** A map stays for as long after its last client: who asks what there is, opens it next. */
const LINGER = "5 seconds"

const withOverlay = Effect.fnUntraced(function*(below: Export, path: string, revision: RevisionId) {
  const file = yield* OverlayFile.open(path, { revision, size: below.size, block: OverlayFile.BLOCK })
  const main = yield* Overlay.make(below, file, OverlayFile.BLOCK)
  const { writer } = main
  // it says itself what goes wrong
  if (writer !== undefined) yield* Effect.addFinalizer(() => Effect.ignore(writer.flush))
  return main
})

/** Bad chunks that are named to the operator; of more there is one word. */
const MAX_NAMED = 1000

/** Names each bad chunk to the operator once. */
const makeReport = () => {
  const known = new Set<string>()
  return ({ id, index, why }: BadChunk, image: Image): Effect.Effect<void> =>
    Effect.suspend(() => {
      if (known.has(id) || known.size > MAX_NAMED) return Effect.void
      known.add(id)
      if (known.size > MAX_NAMED) return Effect.logError("more chunks are bad; they are not named any more")
      const first = index * image.chunkSize
      const last = first + ChunkMap.chunkLength(image, index) - 1
      return Effect.logError(
        `clients get an I/O error for image bytes ${first} to ${last}: chunk ${StoredId.nameOf(id)} ${why}`
      )
    })
}

/** Why nothing is served. */
export type ServeError =
  | ListenFailed
  | OverlayFile.OverlayRefused
  | MapUnusable
  | RevisionIncomplete
  | LockHeld
  | SelectOneError

/**
 * Serves revisions as network block devices until the scope ends: the export without a name is the selected one, each
 * complete revision is one by its id. Only the selected one can be written to, if there is an overlay, which is durable
 * when the scope has ended. The repository is never changed. No byte leaves that was not checked against its hash; what touches a
 * bad chunk fails with EIO for the client and is logged. Nothing is purged meanwhile. Fails with `ListenFailed`,
 * `OverlayRefused`, `MapUnusable`, `RevisionIncomplete`, `LockHeld`, `SelectOneError`.
 */
export const serve = Effect.fn("serve")(function*(options: {
  readonly revision: string
  readonly address: Address
  /** A file that takes writes to the selected revision; without it, it is read-only. */
  readonly overlay?: string
  readonly wait: Duration.Duration
}): Effect.fn.Return<
  Serving,
  ServeError,
  BlockFile | Blocks | Devices | FileLock | FileSystem | Listener | Repository | Scope.Scope
> {
  yield* locks.forReading(options.wait)
  const repository = yield* Repository
  const { directory } = repository
  const selected = yield* selectOne(options.revision)
  if (!selected.isComplete) return yield* new RevisionIncomplete({ id: selected.id })
  yield* warnOfRevision(selected)
  const cache = yield* ChunkCache.make()
  const report = makeReport()

  const exportOf = (revision: Revision) =>
    Effect.map(
      repository.readMap(revision),
      (image) => RevisionExport.make({ revision, image, repository: directory, cache, report })
    )

  const unavailable = (state: "unknown" | "unusable") => ({ message }: { readonly message: string }) =>
    new ExportUnavailable({ state, reason: message })
  const complete = repository.history.pipe(
    Effect.map((history) => history.complete),
    Effect.mapError(unavailable("unusable"))
  )
  const others = yield* RcMap.make({
    lookup: (id: string) =>
      Effect.gen(function*() {
        const revision = (yield* complete).find((one) => one.id === id)
        if (revision === undefined) {
          return yield* new ExportUnavailable({ state: "unknown", reason: "there is no complete revision of that id" })
        }
        return yield* Effect.mapError(exportOf(revision), unavailable("unusable"))
      }),
    capacity: MAX_OPEN,
    idleTimeToLive: LINGER
  })
  const below = yield* exportOf(selected)
  const main = options.overlay === undefined ? below : yield* withOverlay(below, options.overlay, selected.id)
  const exports: Exports = {
    list: Effect.map(complete, (all) => [
      { name: "", description: main.description },
      ...all.map((revision) => ({ name: revision.id, description: RevisionExport.describe(revision) }))
    ]),
    open: (name) =>
      name === "" || name === selected.id
        ? Effect.succeed(main)
        : Effect.mapError(RcMap.get(others, name), (error) =>
          error._tag === "ExportUnavailable"
            ? error
            : new ExportUnavailable({ state: "unusable", reason: "too many revisions are open" }))
  }

  const listener = yield* Listener
  const { accept, address } = yield* listener.listen(options.address)
  yield* Server.serve(accept, exports)
  return { uri: uriOf(address), address, revision: selected.id, size: main.size, disk: main } satisfies Serving
})
