/**
 * A machine that is not there: a disk, its locks and devices, programs, a Ceph cluster and Consul, all in memory and
 * without waiting. The same operations run on it as on a real one. What a test wants to look at or to break it makes
 * itself and hands in: `MemoryDisk` loses power, runs full and fails; `MemoryRbd` is a cluster.
 */
import type * as FileSystem from "@effect/platform/FileSystem"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as BlockFile from "../platform/BlockFile.ts"
import * as Consul from "../platform/Consul.ts"
import * as Devices from "../platform/Devices.ts"
import * as DiskFileSystem from "../platform/diskFileSystem.ts"
import * as FileLock from "../platform/FileLock.ts"
import { FreeSpace } from "../platform/FreeSpace.ts"
import * as Hash from "../platform/hash.ts"
import * as MemoryDisk from "../platform/MemoryDisk.ts"
import * as MemoryRbd from "../platform/MemoryRbd.ts"
import * as Process from "../platform/Process.ts"
import * as Rbd from "../platform/Rbd.ts"
import * as Reflink from "../platform/Reflink.ts"
import * as Blocks from "../store/Blocks.ts"

/** What the machine consists of. Whatever is left out is there, empty. */
export interface Parts {
  readonly disk?: MemoryDisk.MemoryDisk
  /** The cluster that sources of type `ceph-rbd` see. */
  readonly rbd?: MemoryRbd.MemoryRbd
  /** Programs by name; any other is not installed. */
  readonly programs?: Readonly<Record<string, Process.Program>>
  /** The keys of Consul; every token may read and write all of them. */
  readonly consul?: Map<string, string>
  /** Who has locked what: hand the same table to two machines and they are two programs on one. */
  readonly locks?: FileLock.LockTable
}

/** What operations and sources ask of a machine, and the loops that move its blocks. */
export type Machine =
  | BlockFile.BlockFile
  | Blocks.Blocks
  | Consul.Connector
  | Devices.Devices
  | FileLock.FileLock
  | FileSystem.FileSystem
  | Process.Process
  | Rbd.Rbd

/** Bytes of an object in the cluster, unless one is handed in. */
const OBJECT_SIZE = 4 * 1024 * 1024

const freeSpace = (memory: MemoryDisk.MemoryDisk): Layer.Layer<never> =>
  Layer.succeed(FreeSpace, {
    at: () =>
      Effect.sync(() =>
        memory.capacity === undefined
          ? undefined
          : { free: Math.max(0, memory.capacity - memory.used), total: memory.capacity }
      )
  })

/** The machine as a layer. */
export const layer = (parts: Parts = {}): Layer.Layer<Machine> =>
  Layer.suspend(() => {
    const memory = parts.disk ?? MemoryDisk.make()
    const { disk } = memory
    const cluster = parts.rbd ?? MemoryRbd.make(OBJECT_SIZE)
    const keys = parts.consul ?? new Map<string, string>()
    return Layer.mergeAll(
      DiskFileSystem.layer(disk),
      BlockFile.layerDisk(disk),
      FileLock.layerMemory(parts.locks ?? FileLock.makeTable(), undefined, disk),
      Devices.layerMemory(disk),
      Reflink.layerDisk(disk),
      freeSpace(memory),
      Blocks.layerInline(disk, { hash: Hash.load().hash }),
      Process.layerMemory(parts.programs ?? {}),
      Layer.succeed(Rbd.Rbd, cluster.rbd),
      Layer.succeed(Consul.Connector, { connect: () => Effect.sync(() => Consul.makeMemory(keys)) })
    )
  })
