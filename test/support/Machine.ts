/**
 * A simulated computer with backy on it: operations run on whatever simulated disk is put in. Faster than a new world
 * for each run, because the services are built once; nothing of a run is left in them for the next.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Simulation from "../../src/library/Simulation.ts"
import * as BlockFile from "../../src/platform/BlockFile.ts"
import { Consul } from "../../src/platform/Consul.ts"
import * as Devices from "../../src/platform/Devices.ts"
import type { Disk } from "../../src/platform/Disk.ts"
import * as DiskFileSystem from "../../src/platform/diskFileSystem.ts"
import * as FileLock from "../../src/platform/FileLock.ts"
import * as Hash from "../../src/platform/hash.ts"
import { Rbd } from "../../src/platform/Rbd.ts"
import * as Reflink from "../../src/platform/Reflink.ts"
import * as Repository from "../../src/repository/Repository.ts"
import * as FileSource from "../../src/source/FileSource.ts"
import * as Blocks from "../../src/store/Blocks.ts"
import * as ChunkStore from "../../src/store/ChunkStore.ts"
import * as Surroundings from "./Surroundings.ts"
import { IMAGE, REPOSITORY } from "./World.ts"

/** Bytes in a chunk of a simulated repository: next to nothing, for it is states that count. */
export const BLOCK = 512

const { hash } = Hash.load()

const blocksOn = (disk: Disk) => Blocks.layerInline(disk, { hash })

/** What operations reach that is not of this machine. */
const layerOutside = ({ consul, rbd }: Surroundings.Surroundings) =>
  Layer.merge(Layer.succeed(Rbd, rbd), Layer.succeed(Consul, consul))

/** Everything that operations ask for. */
export const layerOn = (disk: Disk, locks: FileLock.LockTable, outside: Surroundings.Surroundings) => {
  const base = Layer.mergeAll(
    layerOutside(outside),
    DiskFileSystem.layer(disk),
    BlockFile.layerDisk(disk),
    FileLock.layerMemory(locks, disk),
    Devices.layerMemory(disk),
    Reflink.layerDisk(disk),
    blocksOn(disk)
  )
  return Layer.mergeAll(
    Repository.layer(REPOSITORY, { chunkSize: BLOCK }),
    ChunkStore.layerFile(REPOSITORY),
    FileSource.layer(IMAGE)
  ).pipe(Layer.provideMerge(base))
}

/** What an operation may ask for. */
export type Services = Layer.Layer.Success<ReturnType<typeof layerOn>>

export interface Machine {
  /** Runs an operation to its end after a fresh start: nobody holds a lock. Equal options give equal runs. */
  readonly run: <A, E>(
    memory: { readonly disk: Disk; readonly outside?: Surroundings.Surroundings },
    operation: Effect.Effect<A, E, Services>,
    options: Simulation.Options
  ) => Exit.Exit<A, E>
}

/** A machine without a disk. */
export const make = (): Machine => {
  let current: Disk | undefined
  const inserted = (): Disk => {
    if (current === undefined) throw new Error("no disk is in the machine")
    return current
  }
  const disk: Disk = {
    open: (path, options) => inserted().open(path, options),
    close: (descriptor) => inserted().close(descriptor),
    read: (descriptor, buffer, position) => inserted().read(descriptor, buffer, position),
    write: (descriptor, buffer, position) => inserted().write(descriptor, buffer, position),
    sync: (descriptor) => inserted().sync(descriptor),
    datasync: (descriptor) => inserted().datasync(descriptor),
    truncate: (descriptor, size) => inserted().truncate(descriptor, size),
    stat: (descriptor) => inserted().stat(descriptor),
    lstat: (path) => inserted().lstat(path),
    nextData: (descriptor, position) => inserted().nextData(descriptor, position),
    punch: (descriptor, offset, length) => inserted().punch(descriptor, offset, length),
    dropCache: (descriptor, offset, length) => inserted().dropCache(descriptor, offset, length),
    rename: (from, to) => inserted().rename(from, to),
    link: (from, to) => inserted().link(from, to),
    unlink: (path) => inserted().unlink(path),
    makeDirectory: (path, mode) => inserted().makeDirectory(path, mode),
    removeDirectory: (path) => inserted().removeDirectory(path),
    list: (path) => inserted().list(path),
    readLink: (path) => inserted().readLink(path),
    chmod: (path, mode) => inserted().chmod(path, mode)
  }
  const locks = FileLock.makeTable()
  const nowhere = Surroundings.make({ objectSize: BLOCK })
  const services = Effect.runSync(Effect.scoped(Layer.build(layerOn(disk, locks, nowhere))))
  return {
    run: (memory, operation, options) => {
      current = memory.disk
      locks.held.clear()
      // the loops remember what is good, by the id of the run: an equal seed on another disk would find it there
      const blocks = Effect.runSync(Effect.scoped(Layer.build(blocksOn(disk))))
      // since the last run there was time for whatever others were asked to do
      memory.outside?.settle()
      const outside = Effect.runSync(Effect.scoped(Layer.build(layerOutside(memory.outside ?? nowhere))))
      return Simulation.make(options).run(
        operation.pipe(
          Effect.provide(Context.mergeAll(services, blocks, outside)),
          Logger.withMinimumLogLevel(LogLevel.None)
        )
      )
    }
  }
}

/** The services over one disk, for simulations in which several operations run at once. */
export const servicesOn = (
  disk: Disk,
  locks: FileLock.LockTable,
  outside: Surroundings.Surroundings = Surroundings.make({ objectSize: BLOCK })
): Context.Context<Services> => Effect.runSync(Effect.scoped(Layer.build(layerOn(disk, locks, outside))))
