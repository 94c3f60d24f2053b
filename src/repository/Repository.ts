/**
 * One VM's history: one directory with revisions, their chunk maps, chunks and evidence. The order in which things
 * are published and removed is argued in docs/reliability.md.
 */
import type * as FileSystem from "@effect/platform/FileSystem"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as ChunkMap from "../domain/ChunkMap.ts"
import type * as Revision from "../domain/Revision.ts"
import { isRevisionId, type RevisionId } from "../domain/RevisionId.ts"
import type * as BlockFile from "../platform/BlockFile.ts"
import * as Durable from "../platform/Durable.ts"
import * as Files from "../platform/Files.ts"
import type { IoError } from "../platform/IoError.ts"
import * as Alpha from "./alphaMap.ts"
import type { History } from "./History.ts"
import * as HistoryOf from "./History.ts"
import * as Image from "./Image.ts"
import * as Inspect from "./inspect.ts"
import * as MapFile from "./mapFile.ts"
import * as ReadRevision from "./readRevision.ts"
import * as References from "./references.ts"
import { MapUnusable, RepositoryMissing } from "./RepositoryError.ts"
import * as RevisionFile from "./revisionFile.ts"
import * as UnclaimedMap from "./unclaimedMap.ts"

/** Mode of published revisions and maps: nobody writes to them again. */
const PUBLISHED = 0o440

export class Repository extends Context.Tag("backy/repository/Repository")<Repository, {
  /** Absolute path of the directory. */
  readonly directory: string
  /** Bytes in a chunk of new revisions. */
  readonly chunkSize: number
  /**
   * Fails unless the directory is a repository: it holds a config or a revision, and nothing but plain files and
   * directories where all commands look.
   */
  readonly check: Effect.Effect<void, RepositoryMissing | IoError>
  /** Fails when what lies in the place of a folder with chunks is none, such as a link that leads out of the repository. */
  readonly inspectFolders: Effect.Effect<void, IoError>
  /** All revisions, oldest first, and what could not be read. One bad file never hides the others. */
  readonly history: Effect.Effect<History, RepositoryMissing | IoError>
  /** What a complete revision of any kind holds, its map checked against its digest. */
  readonly readMap: (revision: Revision.Revision) => Effect.Effect<Image.Image, MapUnusable | IoError>
  /** The ids of all maps and images present, whether or not a revision goes with them. */
  readonly mapIds: Effect.Effect<ReadonlyArray<RevisionId>, IoError>
  /** All chunks that a revision's files name; `undefined` for one whose metadata cannot be read. */
  readonly references: (
    id: RevisionId,
    revision: Revision.Revision | undefined
  ) => Effect.Effect<References.References, MapUnusable | IoError>
  /** The whole map that lies there for a revision whose metadata cannot be read, if one does. */
  readonly unclaimedMap: (id: RevisionId) => Effect.Effect<Option.Option<ChunkMap.ChunkMap>, MapUnusable | IoError>
  /** The map of a revision that an alpha of 3.0 made, for `upgrade` alone. */
  readonly readAlphaMap: (revision: Revision.Revision) => Effect.Effect<ChunkMap.ChunkMap, MapUnusable | IoError>
  /** Publishes or replaces a revision's metadata durably. With `stats.duration` in it, this is the commit. */
  readonly publish: (revision: Revision.Revision) => Effect.Effect<void, IoError>
  /** Publishes a map durably; returns its digest for the revision. */
  readonly publishMap: (id: RevisionId, map: ChunkMap.ChunkMap) => Effect.Effect<string, IoError>
  /** The same beside what the revision has under its own name: an image, or what an upgrade is to replace. */
  readonly publishMapBeside: (id: RevisionId, map: ChunkMap.ChunkMap) => Effect.Effect<string, IoError>
  /** Ends what an interrupted upgrade of a revision has left; tells whether there was anything. */
  readonly settle: (revision: Revision.Revision) => Effect.Effect<boolean, MapUnusable | IoError>
  /** Removes a revision: first its metadata, durably, then its map and image. What is not there is no error. */
  readonly remove: (id: RevisionId) => Effect.Effect<void, IoError>
  /** Removes the map or image of a revision that is no more. */
  readonly removeMap: (id: RevisionId) => Effect.Effect<void, IoError>
}>() {}

const { SUFFIX } = ReadRevision

const make = (directory: string, chunkSize: number) =>
  Effect.gen(function*() {
    const context = yield* Effect.context<FileSystem.FileSystem | BlockFile.BlockFile>()
    const provided = Effect.provide(context)

    const revisionPath = (id: RevisionId) => `${directory}/${id}${SUFFIX}`

    const names = Files.list(directory)

    const writeMap = (path: string, map: ChunkMap.ChunkMap) =>
      Effect.suspend(() => {
        const bytes = MapFile.encode(map)
        return Effect.as(Durable.replace(path, bytes, { mode: PUBLISHED }), MapFile.digestOf(bytes))
      })

    const removeParts = (id: RevisionId) => {
      const { main, map, old } = Image.placesOf(directory, id)
      return Effect.forEach([main, map, old], (path) => Files.removeIfPresent(path), { discard: true })
    }

    const readRevision = (id: RevisionId) =>
      Effect.map(
        ReadRevision.read(directory, chunkSize, id),
        Option.map(Either.map(({ fields }) => ReadRevision.toRevision(fields)))
      )

    const revisionFiles = Effect.gen(function*() {
      const all = yield* names
      const files = all.filter((name) => name.endsWith(SUFFIX) && isRevisionId(name.slice(0, -SUFFIX.length)))
      if (files.length === 0 && !all.includes("config")) return yield* new RepositoryMissing({ directory })
      yield* Inspect.places(directory)
      return files.map((name) => name.slice(0, -SUFFIX.length)).filter(isRevisionId)
    }).pipe(
      Effect.catchIf(
        (error) => error._tag === "IoError" && (error.code === "ENOENT" || error.code === "ENOTDIR"),
        () => Effect.fail(new RepositoryMissing({ directory }))
      )
    )

    /** A revision's files are its own affair: what is wrong with them is said of this revision. */
    const plain = (id: RevisionId) => {
      const { main, old } = Image.placesOf(directory, id)
      return Effect.forEach([main, old], (path) =>
        Effect.flatMap(
          Inspect.fileProblem(path),
          (reason) => reason === undefined ? Effect.void : new MapUnusable({ id, path, reason })
        ), { discard: true })
    }

    const history = revisionFiles.pipe(
      Effect.flatMap(Effect.forEach(readRevision)),
      Effect.map((read) => HistoryOf.make(read.flatMap(Option.toArray)))
    )

    return Repository.of({
      directory,
      chunkSize,
      check: provided(Effect.asVoid(revisionFiles)),
      inspectFolders: provided(Inspect.folders(directory)),
      history: provided(history),
      readMap: (revision) =>
        provided(
          Effect.withSpan(
            Effect.zipRight(plain(revision.id), Image.read(directory, chunkSize, revision)),
            "Repository.readMap"
          )
        ),
      mapIds: provided(Effect.map(names, (all) => [...new Set(all.map(Image.idText))].filter(isRevisionId).sort())),
      references: (id, revision) =>
        provided(Effect.zipRight(plain(id), References.references(directory, chunkSize, id, revision))),
      unclaimedMap: (id) => provided(Effect.zipRight(plain(id), UnclaimedMap.read(directory, id))),
      readAlphaMap: (revision) => provided(Effect.zipRight(plain(revision.id), Alpha.readMap(directory, revision))),
      publish: (revision) =>
        provided(Durable.replace(
          revisionPath(revision.id),
          RevisionFile.encode(revision),
          { mode: PUBLISHED }
        )),
      publishMap: (id, map) => provided(writeMap(Image.placesOf(directory, id).main, map)),
      publishMapBeside: (id, map) => provided(writeMap(Image.placesOf(directory, id).map, map)),
      settle: (revision) => provided(Effect.zipRight(plain(revision.id), Image.settle(directory, revision))),
      remove: (id) =>
        provided(Effect.gen(function*() {
          yield* Files.removeIfPresent(revisionPath(id))
          yield* Durable.syncDirectory(directory)
          yield* removeParts(id)
        })),
      removeMap: (id) => provided(removeParts(id))
    })
  })

/**
 * The repository in a directory, which need not exist yet. Touches nothing by itself. Another `chunkSize` than the
 * format's usual one is for simulations, where small chunks explore more.
 */
export const layer = (
  directory: string,
  options?: { readonly chunkSize?: number }
): Layer.Layer<Repository, never, FileSystem.FileSystem | BlockFile.BlockFile> =>
  Layer.effect(Repository, make(directory, options?.chunkSize ?? ChunkMap.CHUNK_SIZE))
