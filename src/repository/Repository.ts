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
import * as Revision from "../domain/Revision.ts"
import { isRevisionId, type RevisionId } from "../domain/RevisionId.ts"
import type * as BlockFile from "../platform/BlockFile.ts"
import * as Durable from "../platform/Durable.ts"
import * as Files from "../platform/Files.ts"
import type { IoError } from "../platform/IoError.ts"
import * as Hash from "../store/hash.ts"
import type { BrokenRevision, History } from "./History.ts"
import * as HistoryOf from "./History.ts"
import { MapUnusable, RepositoryMissing } from "./RepositoryError.ts"

/** A `.rev` file is a page of text; what is longer is not one. */
const MAX_REVISION_BYTES = 1024 * 1024
/** A 100 TiB image's map. */
const MAX_MAP_BYTES = 2 ** 31

/** Mode of published revisions and maps: nobody writes to them again. */
const PUBLISHED = 0o440

export class Repository extends Context.Tag("backy/repository/Repository")<Repository, {
  /** Absolute path of the directory. */
  readonly directory: string
  /** Bytes in a chunk of new revisions. */
  readonly chunkSize: number
  /** Fails unless the directory is a repository: it holds a config or a revision. */
  readonly check: Effect.Effect<void, RepositoryMissing | IoError>
  /** All revisions, oldest first, and what could not be read. One bad file never hides the others. */
  readonly history: Effect.Effect<History, RepositoryMissing | IoError>
  /** The chunk map of a complete revision, checked against its digest. */
  readonly readMap: (revision: Revision.Revision) => Effect.Effect<ChunkMap.ChunkMap, MapUnusable | IoError>
  /** The ids of all map files present, whether or not a revision goes with them. */
  readonly mapIds: Effect.Effect<ReadonlyArray<RevisionId>, IoError>
  /** A map by its id alone, without a digest to check it against. */
  readonly readMapFile: (id: RevisionId) => Effect.Effect<ChunkMap.ChunkMap, MapUnusable | IoError>
  /** Publishes or replaces a revision's metadata durably. With `stats.duration` in it, this is the commit. */
  readonly publish: (revision: Revision.Revision) => Effect.Effect<void, IoError>
  /** Publishes a map durably; returns its digest for the revision. */
  readonly publishMap: (id: RevisionId, map: ChunkMap.ChunkMap) => Effect.Effect<string, IoError>
  /** Removes a revision: first its metadata, durably, then its map. What is not there is no error. */
  readonly remove: (id: RevisionId) => Effect.Effect<void, IoError>
  /** Removes a map without revision. */
  readonly removeMap: (id: RevisionId) => Effect.Effect<void, IoError>
}>() {}

const SUFFIX = ".rev"

const make = (directory: string, chunkSize: number) =>
  Effect.gen(function*() {
    const context = yield* Effect.context<FileSystem.FileSystem | BlockFile.BlockFile>()
    const provided = Effect.provide(context)

    const revisionPath = (id: RevisionId) => `${directory}/${id}${SUFFIX}`
    const mapPath = (id: RevisionId) => `${directory}/${id}`

    const names = Files.list(directory)

    const readRevision = Effect.fnUntraced(function*(name: string) {
      const path = `${directory}/${name}`
      const broken = (reason: string): Either.Either<never, BrokenRevision> => Either.left({ path, reason })
      const bytes = yield* Effect.either(Durable.readSmall(path, MAX_REVISION_BYTES))
      if (Either.isLeft(bytes)) {
        // `last.rev` of old versions is a link, and a revision may be removed while we look
        return bytes.left.code === "ELOOP" || bytes.left.code === "ENOENT"
          ? Option.none()
          : Option.some(broken(bytes.left.message))
      }
      const decoded = Revision.decodeYaml(new TextDecoder().decode(bytes.right))
      if (Either.isLeft(decoded)) return Option.some(broken(decoded.left.message))
      return Option.some(
        decoded.right.id === name.slice(0, -SUFFIX.length)
          ? Either.right(decoded.right)
          : broken(`it says that it is revision ${decoded.right.id}`)
      )
    })

    const revisionFiles = Effect.gen(function*() {
      const all = yield* names
      const files = all.filter((name) => name.endsWith(SUFFIX) && isRevisionId(name.slice(0, -SUFFIX.length)))
      if (files.length === 0 && !all.includes("config")) return yield* new RepositoryMissing({ directory })
      return files
    }).pipe(
      Effect.catchIf(
        (error) => error._tag === "IoError" && (error.code === "ENOENT" || error.code === "ENOTDIR"),
        () => Effect.fail(new RepositoryMissing({ directory }))
      )
    )

    const history = revisionFiles.pipe(
      Effect.flatMap(Effect.forEach(readRevision)),
      Effect.map((read) => HistoryOf.make(read.flatMap(Option.toArray)))
    )

    const readMapBytes = (id: RevisionId) =>
      Durable.readSmall(mapPath(id), MAX_MAP_BYTES).pipe(
        Effect.catchIf(
          (error) => error.code === "ENOENT",
          () => Effect.fail(new MapUnusable({ id, path: mapPath(id), reason: "it is missing" }))
        )
      )

    const decodeMap = (id: RevisionId, bytes: Uint8Array) =>
      Either.mapLeft(
        ChunkMap.decode(bytes),
        (invalid) => new MapUnusable({ id, path: mapPath(id), reason: invalid.message })
      )

    const readMap = Effect.fn("Repository.readMap")(function*(revision: Revision.Revision) {
      const unusable = (reason: string) => new MapUnusable({ id: revision.id, path: mapPath(revision.id), reason })
      const bytes = yield* readMapBytes(revision.id)
      const map = yield* decodeMap(revision.id, bytes)
      if (revision.mapDigest !== undefined && revision.mapDigest !== digest(bytes)) {
        return yield* unusable("it was changed since it was written (its digest differs)")
      }
      if (revision.size !== undefined && revision.size !== map.size) {
        return yield* unusable(`it is of an image of ${map.size} bytes, the revision of one of ${revision.size}`)
      }
      return map
    })

    return Repository.of({
      directory,
      chunkSize,
      check: provided(Effect.asVoid(revisionFiles)),
      history: provided(history),
      readMap: (revision) => provided(readMap(revision)),
      mapIds: provided(Effect.map(names, (all) => all.filter(isRevisionId))),
      readMapFile: (id) => provided(Effect.flatMap(readMapBytes(id), (bytes) => decodeMap(id, bytes))),
      publish: (revision) =>
        provided(Durable.replace(
          revisionPath(revision.id),
          new TextEncoder().encode(Revision.encodeYaml(revision)),
          { mode: PUBLISHED }
        )),
      publishMap: (id, map) =>
        provided(Effect.suspend(() => {
          const bytes = ChunkMap.encode(map)
          return Effect.as(Durable.replace(mapPath(id), bytes, { mode: PUBLISHED }), digest(bytes))
        })),
      remove: (id) =>
        provided(Effect.gen(function*() {
          yield* Files.removeIfPresent(revisionPath(id))
          yield* Durable.syncDirectory(directory)
          yield* Files.removeIfPresent(mapPath(id))
        })),
      removeMap: (id) => provided(Files.removeIfPresent(mapPath(id)))
    })
  })

/** BLAKE3 of a map file, as `map_digest` in the revision says it. */
const digest = (bytes: Uint8Array): string => Hash.toHex(Hash.load().hash(bytes))

/**
 * The repository in a directory, which need not exist yet. Touches nothing by itself. Another `chunkSize` than the
 * format's usual one is for simulations, where small chunks explore more.
 */
export const layer = (
  directory: string,
  options?: { readonly chunkSize?: number }
): Layer.Layer<Repository, never, FileSystem.FileSystem | BlockFile.BlockFile> =>
  Layer.effect(Repository, make(directory, options?.chunkSize ?? ChunkMap.CHUNK_SIZE))
