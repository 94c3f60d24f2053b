import * as FileSystem from "@effect/platform/FileSystem"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { resolve } from "node:path"
import { FileSource } from "../domain/SourceConfig.ts"
import { TargetRefused } from "../operation/restoreTarget.ts"
import { job } from "./job.ts"

const isFileSource = Schema.is(FileSource)

/**
 * Fails with `TargetRefused` when the target is the very image or device that the repository backs up, whatever name it
 * goes by. Without a readable config nobody can tell.
 */
export const refuseSourceItself = Effect.fn("refuseSourceItself")(function*(target: string) {
  const config = yield* Effect.option(job)
  if (config._tag === "None" || !isFileSource(config.value.source)) return
  const system = yield* FileSystem.FileSystem
  const real = (path: string) => Effect.orElseSucceed(system.realPath(path), () => path)
  if ((yield* real(target)) === (yield* real(resolve(config.value.source.filename)))) {
    return yield* new TargetRefused({ path: target, reason: "it is the source itself (-f overwrites it)" })
  }
})
