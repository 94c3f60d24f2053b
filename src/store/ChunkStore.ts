/**
 * The chunks of one repository as a set of content-addressed objects: what purge, healing and evidence need. Blocks of
 * an image go through `Blocks`, many at a time.
 */
import type * as FileSystem from "@effect/platform/FileSystem"
import * as Arr from "effect/Array"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ChunkId from "../domain/ChunkId.ts"
import type * as BlockFile from "../platform/BlockFile.ts"
import * as Durable from "../platform/Durable.ts"
import * as Files from "../platform/Files.ts"
import * as Hash from "../platform/hash.ts"
import type { IoError } from "../platform/IoError.ts"
import { isTemporary } from "../platform/temporaryName.ts"
import { Blocks } from "./Blocks.ts"
import * as ChunkFile from "./chunkFile.ts"
import * as LegacyFileName from "./legacy/legacyFile.ts"

/** A chunk is missing, damaged or cannot be read. */
export class ChunkUnusable extends Data.TaggedError("ChunkUnusable")<{
  readonly id: ChunkId.ChunkId
  readonly state: "missing" | "damaged" | "unreadable"
  readonly why: string
}> {
  override get message() {
    return `chunk ${this.id} ${this.why}`
  }
}

/** A chunk of backy 2.5: the name that maps know it by, and its file below the folder. */
export interface LegacyFile {
  readonly name: string
  readonly file: string
}

/** What lies in one folder of chunks. */
export interface Folder {
  readonly chunks: ReadonlyArray<ChunkId.ChunkId>
  /** Chunks of backy 2.5. */
  readonly legacy: ReadonlyArray<LegacyFile>
  /** Temporary files of writers that were killed. */
  readonly leftovers: ReadonlyArray<string>
  /** Files that are not ours to judge. */
  readonly unknown: ReadonlyArray<string>
}

export class ChunkStore extends Context.Tag("backy/store/ChunkStore")<ChunkStore, {
  /** Makes the store ready for new chunks. */
  readonly prepare: Effect.Effect<void, IoError>
  /** Names of the folders that exist, `00` to `ff`, ascending. */
  readonly folders: Effect.Effect<ReadonlyArray<string>, IoError>
  /** The names in one folder, in no order. No file is opened. A folder that is none is empty. */
  readonly list: (folder: string) => Effect.Effect<Folder, IoError>
  /** The content of a chunk of `length` bytes, checked against its name. */
  readonly get: (id: ChunkId.ChunkId, length: number) => Effect.Effect<Uint8Array, ChunkUnusable>
  /** Stores content under its hash, synced; a chunk that is there and whole is left alone. */
  readonly put: (content: Uint8Array) => Effect.Effect<ChunkId.ChunkId, IoError>
  /** How many bytes the files of some chunks take together. What is not there counts nothing. */
  readonly sizeOf: (folder: string, fileNames: ReadonlyArray<string>) => Effect.Effect<number, IoError>
  /** Removes chunks and leftovers of one folder, by file name, and tells what `sizeOf` would have told. */
  readonly remove: (folder: string, fileNames: ReadonlyArray<string>) => Effect.Effect<number, IoError>
  /** Makes new names in these folders durable, and the folders themselves. */
  readonly sync: (folders: ReadonlyArray<string>) => Effect.Effect<void, IoError>
}>() {}

/** The file name of a chunk within its folder. */
export const fileName = (id: ChunkId.ChunkId): string => `${id}.chunk.zst`

/** Mode of the folders that hold chunks. */
const FOLDER_MODE = 0o750

/** What Python's tempfile calls a file, of which killed runs of backy 2.5 left some. */
export const isLegacyTemporary = (name: string): boolean => /^tmp[a-z0-9_]{8}$/.test(name)

/** A step of the loops: long enough to be worth the way to a thread, short enough for an interrupt to wait for. */
const REMOVED_AT_ONCE = 512

const isFolder = (name: string): boolean => /^[0-9a-f]{2}$/.test(name)

const legacyNameIn = (file: string, prefix: string): string | undefined => {
  const name = LegacyFileName.nameOf(file)
  return name?.startsWith(prefix) === true ? name : undefined
}

/** Chunks as files below a repository's directory. */
export const layerFile = (
  directory: string
): Layer.Layer<ChunkStore, never, FileSystem.FileSystem | BlockFile.BlockFile | Blocks> =>
  Layer.effect(
    ChunkStore,
    Effect.gen(function*() {
      const context = yield* Effect.context<FileSystem.FileSystem | BlockFile.BlockFile>()
      const blocks = yield* Blocks
      const provided = Effect.provide(context)
      const root = `${directory}/${ChunkFile.CHUNKS}`
      // never through a link: what it leads to is not ours to list, let alone to remove
      const listIfThere = (path: string) =>
        Effect.flatMap(
          Files.find(path),
          (stat) => stat?.kind === "directory" ? Files.list(path) : Effect.succeed([])
        )

      const hasOldLayout = Effect.gen(function*() {
        for (const folder of (yield* listIfThere(root)).filter(isFolder)) {
          if ((yield* listIfThere(`${root}/${folder}`)).some(isFolder)) {
            return true
          }
        }
        return false
      })

      // the ancestor takes a store without this marker for one of an older layout and rearranges it
      const prepare = Effect.gen(function*() {
        yield* Files.ensureDirectory(root, FOLDER_MODE)
        if (yield* Files.exists(`${root}/store`)) {
          return
        }
        // … and only the ancestor rearranges it: both layouts are read here
        if (yield* hasOldLayout) {
          return
        }
        yield* Durable.replace(`${root}/store`, new TextEncoder().encode("v2"), { mode: 0o440 })
        yield* Durable.syncDirectory(directory)
      })

      const remove = (folder: string, fileNames: ReadonlyArray<string>, dryRun: boolean) =>
        Effect.map(
          Effect.forEach(Arr.chunksOf(fileNames, REMOVED_AT_ONCE), (names) =>
            blocks.remove({
              repository: directory,
              files: names.map((name) => `${ChunkFile.CHUNKS}/${folder}/${name}`),
              dryRun
            })),
          Arr.reduce(0, (sum, { bytes }) => sum + bytes)
        )

      return ChunkStore.of({
        prepare: provided(prepare),
        folders: provided(Effect.map(listIfThere(root), (names) => names.filter(isFolder).sort())),
        list: (folder) =>
          provided(Effect.gen(function*() {
            const names = yield* listIfThere(`${root}/${folder}`)
            const chunks: Array<ChunkId.ChunkId> = []
            const legacy: Array<LegacyFile> = []
            const leftovers: Array<string> = []
            const unknown: Array<string> = []
            for (const name of names) {
              const id = ChunkFile.hexOf(name)
              if (ChunkId.is(id) && ChunkFile.folderOf(id) === folder) chunks.push(id)
              else if (legacyNameIn(name, folder) !== undefined) legacy.push({ name: name.slice(0, 32), file: name })
              else if (isTemporary(name) || isLegacyTemporary(name)) leftovers.push(name)
              // the first layout of backy 2.5 had two levels
              else if (isFolder(name)) {
                for (const file of yield* listIfThere(`${root}/${folder}/${name}`)) {
                  const found = legacyNameIn(file, folder + name)
                  if (found === undefined) unknown.push(`${name}/${file}`)
                  else legacy.push({ name: found, file: `${name}/${file}` })
                }
              } else unknown.push(name)
            }
            return { chunks, legacy, leftovers, unknown }
          })),
        get: (id, length) =>
          Effect.flatMap(
            blocks.read({
              repository: directory,
              size: length,
              chunkSize: Math.max(1, length),
              indexes: [0],
              ids: ChunkId.toBytes(id)
            }),
            ({ bad, bytes }) => {
              const [problem] = bad
              return problem === undefined
                ? Effect.succeed(bytes)
                : new ChunkUnusable({ id, state: problem.state, why: problem.why })
            }
          ),
        put: (content) =>
          blocks.put({ repository: directory, run: "", content }).pipe(
            Effect.map(({ ids }) => ChunkId.fromBytes(ids)),
            Effect.tap((id) => provided(syncFolders(root, directory, [ChunkFile.folderOf(id)])))
          ),
        sizeOf: (folder, fileNames) => remove(folder, fileNames, true),
        remove: (folder, fileNames) => remove(folder, fileNames, false),
        sync: (folders) => provided(syncFolders(root, directory, folders))
      })
    })
  )

const syncFolders = (root: string, directory: string, folders: ReadonlyArray<string>) =>
  folders.length === 0
    ? Effect.void
    : Effect.zipRight(
      Effect.forEach([...folders].sort(), (folder) => Durable.syncDirectory(`${root}/${folder}`), {
        concurrency: 8,
        discard: true
      }),
      Effect.zipRight(Durable.syncDirectory(root), Durable.syncDirectory(directory))
    )

/** Chunks in a map, for tests and embedding. */
export const layerMemory: Layer.Layer<ChunkStore> = Layer.sync(ChunkStore, () => {
  const contents = new Map<ChunkId.ChunkId, Uint8Array>()
  const { hash } = Hash.load()
  return ChunkStore.of({
    prepare: Effect.void,
    folders: Effect.sync(() => [...new Set(Array.from(contents.keys(), ChunkFile.folderOf))].sort()),
    list: (folder) =>
      Effect.sync(() => ({
        chunks: [...contents.keys()].filter((id) => ChunkFile.folderOf(id) === folder),
        legacy: [],
        leftovers: [],
        unknown: []
      })),
    get: (id, length) =>
      Effect.suspend(() => {
        const content = contents.get(id)
        if (content === undefined) return new ChunkUnusable({ id, state: "missing", why: "is missing" })
        return content.byteLength === length
          ? Effect.succeed(Uint8Array.from(content))
          : new ChunkUnusable({
            id,
            state: "damaged",
            why: `holds ${content.byteLength} bytes where ${length} belong`
          })
      }),
    put: (content) =>
      Effect.sync(() => {
        const id = ChunkId.fromBytes(hash(content))
        contents.set(id, Uint8Array.from(content))
        return id
      }),
    sizeOf: (_, fileNames) =>
      Effect.sync(() =>
        fileNames.reduce((sum, name) => {
          const id = ChunkFile.hexOf(name)
          return sum + (ChunkId.is(id) ? contents.get(id)?.byteLength ?? 0 : 0)
        }, 0)
      ),
    remove: (folder, fileNames) =>
      Effect.sync(() => {
        let bytes = 0
        for (const name of fileNames) {
          const id = ChunkFile.hexOf(name)
          if (!ChunkId.is(id) || ChunkFile.folderOf(id) !== folder) continue
          bytes += contents.get(id)?.byteLength ?? 0
          contents.delete(id)
        }
        return bytes
      }),
    sync: () => Effect.void
  })
})
