/**
 * A whole backy in memory: one simulated disk behind every port, so that operations run as in production, without
 * files, threads or waiting.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Schedule } from "../../src/domain/JobConfig.ts"
import { backup as backupOperation } from "../../src/operation/backup.ts"
import * as Output from "../../src/operation/Output.ts"
import { restore as restoreOperation } from "../../src/operation/restore.ts"
import * as BlockFile from "../../src/platform/BlockFile.ts"
import * as Devices from "../../src/platform/Devices.ts"
import type { Disk } from "../../src/platform/Disk.ts"
import * as DiskFileSystem from "../../src/platform/diskFileSystem.ts"
import * as FileLock from "../../src/platform/FileLock.ts"
import * as Hash from "../../src/platform/hash.ts"
import * as MemoryDisk from "../../src/platform/MemoryDisk.ts"
import * as Repository from "../../src/repository/Repository.ts"
import * as FileSource from "../../src/source/FileSource.ts"
import * as Blocks from "../../src/store/Blocks.ts"
import * as ChunkStore from "../../src/store/ChunkStore.ts"

/** Bytes in a chunk: small, so that a simulated image has many. */
export const CHUNK = 4096

/** Where things lie on the disk of every world. */
export const REPOSITORY = "/srv/backy/vm"
export const IMAGE = "/images/vm.img"

/** A schedule that knows the tags which the tests use. */
export const schedule: Schedule = {
  daily: { interval: Duration.days(1), keep: 3 },
  weekly: { interval: Duration.days(7), keep: 2 }
}

/** All ports over one disk. */
export const layerOn = (
  disk: Disk,
  locks: FileLock.LockTable = FileLock.makeTable(),
  devices: Devices.DeviceTable = Devices.makeTable()
) => {
  const base = Layer.mergeAll(
    DiskFileSystem.layer(disk),
    BlockFile.layerDisk(disk),
    FileLock.layerMemory(locks, undefined, disk),
    Devices.layerMemory(disk, devices),
    Blocks.layerInline(disk, { hash: Hash.load().hash })
  )
  return Layer.mergeAll(
    Repository.layer(REPOSITORY, { chunkSize: CHUNK }),
    ChunkStore.layerFile(REPOSITORY),
    FileSource.layer(IMAGE)
  ).pipe(Layer.provideMerge(base))
}

/** A disk with an empty repository and no image yet. */
export const makeDisk = (options?: MemoryDisk.MemoryDiskOptions): MemoryDisk.MemoryDisk => {
  const memory = MemoryDisk.make(options)
  for (const directory of ["/srv", "/srv/backy", REPOSITORY, "/images", "/restore"]) {
    memory.disk.makeDirectory(directory, 0o750)
  }
  setFile(memory.disk, `${REPOSITORY}/config`, new TextEncoder().encode("source: {type: file, filename: x}\n"))
  memory.syncAll()
  return memory
}

/** Makes or replaces a file's content, in place. */
export const setFile = (disk: Disk, path: string, bytes: Uint8Array): void => {
  const descriptor = disk.open(path, { access: "write", create: "if-missing", truncate: true })
  for (let done = 0; done < bytes.length;) done += disk.write(descriptor, bytes.subarray(done), done)
  disk.close(descriptor)
}

/** Runs a backup with ordinary options. */
export const backup = (
  tags: ReadonlyArray<string> = ["daily"],
  options?: { readonly acceptShrink?: boolean }
) => backupOperation({ tags, schedule, force: false, wait: Duration.zero, ...options })

/** The bytes that restoring a revision to standard output gives. */
export const restored = (revision: string, options?: { readonly salvage?: boolean }) =>
  Effect.suspend(() => {
    const written: Array<Uint8Array> = []
    return restoreOperation({
      revision,
      target: { _tag: "Output" },
      force: false,
      salvage: options?.salvage ?? false,
      wait: Duration.zero
    }).pipe(
      Effect.provide(Output.layerMemory(written)),
      Effect.map(() => Uint8Array.from(Buffer.concat(written)))
    )
  })
