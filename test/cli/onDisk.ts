/** The command line in process, over the real disk: what the built program does, without starting it. */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Cli from "../../src/cli/Cli.ts"
import * as Logging from "../../src/logging.ts"
import { Daemon } from "../../src/operation/Daemon.ts"
import * as Output from "../../src/operation/Output.ts"
import * as Progress from "../../src/operation/Progress.ts"
import * as Hash from "../../src/platform/hash.ts"
import * as BlockFile from "../../src/platform/nodeBlockFile.ts"
import * as Devices from "../../src/platform/nodeDevices.ts"
import { nodeDisk } from "../../src/platform/nodeDisk.ts"
import * as FileLock from "../../src/platform/nodeFileLock.ts"
import * as Repository from "../../src/repository/Repository.ts"
import * as Blocks from "../../src/store/Blocks.ts"
import * as ChunkStore from "../../src/store/ChunkStore.ts"
import { outside } from "../support/outside.ts"
import { CHUNK } from "../support/World.ts"

/** Runs a command on a repository: its exit code, all that it said, and an image on standard output. */
export const run = (directory: string, ...argv: ReadonlyArray<string>) =>
  Effect.runPromise(Effect.gen(function*() {
    const lines: Array<string> = []
    const written: Array<Uint8Array> = []
    const files = Layer.merge(NodeFileSystem.layer, BlockFile.layer)
    const base = Layer.provideMerge(
      Layer.merge(Blocks.layerInline(nodeDisk, { hash: Hash.load().hash }), FileLock.layer),
      files
    )
    const code = yield* Cli.run(["-b", directory, ...argv], () =>
      Layer.mergeAll(
        Layer.provideMerge(
          Layer.merge(Repository.layer(directory, { chunkSize: CHUNK }), ChunkStore.layerFile(directory)),
          base
        ),
        outside,
        Devices.layer,
        Layer.mock(Daemon, {}),
        Output.layerMemory(written),
        Layer.succeed(Progress.Progress, {
          start: () => Effect.void,
          advance: () => Effect.void,
          lacksRoom: () => Effect.void
        }),
        Logging.layer({ file: undefined, verbose: false, stderr: (line) => lines.push(line) })
      )).pipe(
        Effect.withConsole({
          ...(yield* Effect.console),
          log: (...args) => Effect.sync(() => void lines.push(args.map(String).join(" "))),
          error: (...args) => Effect.sync(() => void lines.push(args.map(String).join(" ")))
        })
      )
    return { code, said: lines.join("\n"), restored: Buffer.concat(written) }
  }))
