/** The ports of this machine: its files, locks, devices and programs, as one layer. */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import type * as FileSystem from "@effect/platform/FileSystem"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as RbdProgram from "../ceph/rbdProgram.ts"
import type { BlockFile as BlockFileTag } from "../platform/BlockFile.ts"
import { Connector } from "../platform/Consul.ts"
import type { Devices as DevicesTag } from "../platform/Devices.ts"
import type { FileLock as FileLockTag } from "../platform/FileLock.ts"
import * as BlockFile from "../platform/nodeBlockFile.ts"
import * as Devices from "../platform/nodeDevices.ts"
import * as FileLock from "../platform/nodeFileLock.ts"
import * as FreeSpace from "../platform/nodeFreeSpace.ts"
import * as Process from "../platform/nodeProcess.ts"
import * as Reflink from "../platform/nodeReflink.ts"
import type { Process as ProcessTag } from "../platform/Process.ts"
import type { Rbd } from "../platform/Rbd.ts"
import * as Blocks from "../store/Blocks.ts"
import { DEFAULT_LEVEL } from "../store/codec.ts"

/** What operations and sources ask of a machine. */
export type Machine =
  | BlockFileTag
  | Connector
  | DevicesTag
  | FileLockTag
  | FileSystem.FileSystem
  | ProcessTag
  | Rbd

/** Few need Consul, and its client is large. */
const consul = Layer.succeed(Connector, {
  connect: (token) =>
    Effect.flatMap(Effect.promise(() => import("../platform/consulClient.ts")), ({ connect }) => connect(token))
})

/** The real machine. Opens nothing by itself. */
export const layer: Layer.Layer<Machine> = Layer.mergeAll(
  FileLock.layer,
  Devices.layer,
  FreeSpace.layer,
  Reflink.layer,
  Layer.provideMerge(RbdProgram.layer(), Process.layer),
  consul
).pipe(Layer.provideMerge(Layer.merge(NodeFileSystem.layer, BlockFile.layer)))

/** The real machine with the threads that move blocks; they start when they are needed and end with the scope. */
export const layerWith = (
  { level = DEFAULT_LEVEL, workers }: { readonly workers: number; readonly level?: number }
): Layer.Layer<Machine | Blocks.Blocks> =>
  Layer.merge(layer, Blocks.layer({ workers, level, entry: Blocks.workerEntry }))
