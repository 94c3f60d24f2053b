/**
 * What is known of block devices besides their bytes: what they rest on, what rests on them, and what others find on
 * them. The live layer asks /sys and blkid (`nodeDevices.ts`), the simulated one a table.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { type Disk, type Identity, isSame, type Opened } from "./Disk.ts"
import type { IoError } from "./IoError.ts"

/** A file or device under a block device. */
export interface Support extends Identity {
  /** A name of it, where it has one. */
  readonly path: string | undefined
}

export class Devices extends Context.Tag("backy/platform/Devices")<Devices, {
  /** All that a block device rests on, down to the last: files behind loop devices, parts of stacks, whole disks. */
  readonly beneath: (device: Identity) => Effect.Effect<ReadonlyArray<Support>, IoError>
  /** Paths of the loop devices that show this file or device. */
  readonly loopsOver: (what: Identity) => Effect.Effect<ReadonlyArray<string>, IoError>
  /** What others would find on an open block device, e.g. `ext4`; `undefined`: nothing that is known. */
  readonly signature: (device: Opened) => Effect.Effect<string | undefined, IoError>
  /** Whether something is mounted over a path, which then need not lie in the directory that its name says. */
  readonly isMountPoint: (path: string) => Effect.Effect<boolean, IoError>
}>() {}

/** The devices of a simulated machine, to be filled in by tests. Everything is named by its path. */
export interface DeviceTable {
  /** Loop devices and the files that they show. */
  readonly loops: Map<string, string>
  /** What is found on devices. */
  readonly signatures: Map<string, string>
}

/** A machine whose devices nobody knows anything of. */
export const makeTable = (): DeviceTable => ({ loops: new Map(), signatures: new Map() })

/** The devices of a simulated machine. */
export const layerMemory = (disk: Disk, table: DeviceTable = makeTable()): Layer.Layer<Devices> => {
  const leadsTo = (path: string, what: Identity): boolean => {
    try {
      return isSame(disk.lstat(path), what)
    } catch {
      return false
    }
  }
  const beneath = (device: Identity): ReadonlyArray<Support> =>
    Array.from(table.loops).flatMap(([loop, path]) => {
      if (!leadsTo(loop, device)) return []
      const stat = disk.lstat(path)
      return [{ ...stat, path }, ...beneath(stat)]
    })
  return Layer.succeed(Devices, {
    beneath: (device) => Effect.sync(() => beneath(device)),
    loopsOver: (what) =>
      Effect.sync(() => Array.from(table.loops).flatMap(([loop, path]) => leadsTo(path, what) ? [loop] : [])),
    signature: (device) => Effect.sync(() => table.signatures.get(device.path)),
    isMountPoint: () => Effect.succeed(false)
  })
}
