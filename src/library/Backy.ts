/**
 * backy as a service: `Backy.layer({ directory })` is a repository on this machine, `Backy.layerMemory({ image })` one in
 * memory. docs/library.md has whole programs.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { availableParallelism } from "node:os"
import { resolve } from "node:path"
import * as Config from "../config/Config.ts"
import { defaults, type Settings } from "../config/Settings.ts"
import { defaultSchedule, type Schedule } from "../domain/JobConfig.ts"
import type { SourceConfig } from "../domain/SourceConfig.ts"
import * as MemoryDisk from "../platform/MemoryDisk.ts"
import * as Repository from "../repository/Repository.ts"
import type { Provider } from "../source/registry.ts"
import * as Blocks from "../store/Blocks.ts"
import * as ChunkStore from "../store/ChunkStore.ts"
import { make } from "./makeService.ts"
import * as NodeMachine from "./NodeMachine.ts"
import { type NodeTooOld, requireNode } from "./NodeTooOld.ts"
import type { Service } from "./Service.ts"
import * as SimulatedMachine from "./SimulatedMachine.ts"

export type { BackupReport } from "../operation/backup.ts"
export type { DiffError, DiffReport } from "../operation/diff.ts"
export type { DistrustError } from "../operation/distrust.ts"
export type { ExpireReport } from "../operation/expire.ts"
export type { ForgetError } from "../operation/forget.ts"
export type { InitError, InitReport } from "../operation/init.ts"
export type { PurgeError, PurgeReport } from "../operation/purge.ts"
export type { Lost, RestoreReport } from "../operation/restore.ts"
export type { RestoreStreamError } from "../operation/restoreStream.ts"
export type { StatusError, StatusReport } from "../operation/status.ts"
export type { VerifyError, VerifyReport } from "../operation/verify.ts"
export type {
  BackupError,
  ConfigError,
  ExpireError,
  RestoreToError,
  Service,
  TagError,
  UntagError,
  Waiting
} from "./Service.ts"

/** A repository on this machine. */
export interface Options {
  /** Where it is; a relative path is against the current directory. It need not exist before `init`. */
  readonly directory: string
  /**
   * Threads that read, hash and compress. Default: what the repository's config says when the layer is built, else one
   * for each processor. They start when they are needed and end with the layer.
   */
  readonly workers?: number
  /** Kinds of sources beside those that come with backy. */
  readonly sources?: ReadonlyArray<Provider>
}

/** A repository in memory. */
export interface MemoryOptions<Source extends SourceConfig = SourceConfig>
  extends Omit<SimulatedMachine.Parts, "disk">
{
  /** The image, which is the file {@link MEMORY_IMAGE}. Without it that file is whatever `disk` holds. */
  readonly image?: Uint8Array
  /** The disk: to change the image between backups, to break it, to look at it. Default: a new one. */
  readonly disk?: MemoryDisk.MemoryDisk
  /** Default: the file {@link MEMORY_IMAGE}. */
  readonly source?: Source
  /** Default: 9 days, 5 weeks, 4 months. */
  readonly schedule?: Schedule
  /** Bytes of a chunk; small ones give small images a history. Default: 4 MiB, as on a real disk. */
  readonly chunkSize?: number
  /** Kinds of sources beside those that come with backy. */
  readonly sources?: ReadonlyArray<Provider>
}

/** The path of the image of a repository in memory. */
export const MEMORY_IMAGE = "/image"

/** The directory of a repository in memory. */
export const MEMORY_DIRECTORY = "/repository"

/** Threads and compression as the repository's config wants them; a config that cannot be used is told by who needs it. */
const blocks = (directory: string, wanted: number | undefined) =>
  Layer.unwrapEffect(Effect.map(
    Effect.orElseSucceed(
      Effect.map(Config.loadRepository(directory, { foreign: true }), ({ settings }) => settings),
      (): Settings => ({})
    ),
    ({ compressionLevel, workers }) =>
      Blocks.layer({
        workers: wanted ?? workers ?? availableParallelism(),
        level: compressionLevel ?? defaults.compressionLevel,
        entry: Blocks.workerEntry
      })
  ))

/** One repository: see {@link Service} for what it offers. */
export class Backy extends Context.Tag("backy/Backy")<Backy, Service>() {
  /**
   * A repository on this machine. Obeys its own config: source, backend, schedule and settings are read for each
   * operation, threads and compression once. Opens nothing before a method is called. Fails with `NodeTooOld` where
   * Node.js lacks what backy needs.
   */
  static layer({ directory, sources = [], workers }: Options): Layer.Layer<Backy, NodeTooOld> {
    const place = resolve(directory)
    return Layer.effect(this, Effect.zipRight(requireNode, make(sources))).pipe(
      Layer.provide(Layer.mergeAll(Repository.layer(place), ChunkStore.layerFile(place))),
      Layer.provide(blocks(place, workers)),
      Layer.provide(NodeMachine.layer)
    )
  }

  /**
   * A repository in memory, in {@link MEMORY_DIRECTORY} of a simulated machine, made when there is none. The same code
   * as on a real disk, without files, threads or waiting; time is the `Clock`'s. Fails with `NodeTooOld` like `layer`.
   */
  static layerMemory<Source extends SourceConfig>(options: MemoryOptions<Source> = {}): Layer.Layer<Backy, NodeTooOld> {
    const { chunkSize, disk, image, schedule = defaultSchedule, sources = [], ...parts } = options
    const source = options.source ?? { type: "file", filename: MEMORY_IMAGE }
    return Layer.suspend(() => {
      const memory = disk ?? MemoryDisk.make()
      if (image !== undefined) memory.plantFile(MEMORY_IMAGE, image)
      memory.plantDirectory(MEMORY_DIRECTORY)
      const made = Effect.tap(make(sources), (service) =>
        // on a disk that has been used before
        Effect.catchTag(service.init({ source, schedule }), "RepositoryExists", () => Effect.void).pipe(
          // a disk that was made to fail: every operation on it will tell
          Effect.catchTag("IoError", (error) => Effect.logWarning(error.message))
        ))
      return Layer.effect(this, Effect.zipRight(requireNode, made)).pipe(
        Layer.provide(Layer.mergeAll(
          Repository.layer(MEMORY_DIRECTORY, chunkSize === undefined ? {} : { chunkSize }),
          ChunkStore.layerFile(MEMORY_DIRECTORY)
        )),
        Layer.provide(SimulatedMachine.layer({ ...parts, disk: memory }))
      )
    })
  }
}
