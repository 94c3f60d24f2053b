import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { resolve } from "node:path"
import * as Config from "../config/Config.ts"
import { FileSource } from "../domain/SourceConfig.ts"
import { Repository } from "../repository/Repository.ts"

const isFileSource = Schema.is(FileSource)

/**
 * The file or device that the repository backs up, if its config can be read and says so. That a copy of a repository
 * has none, or one that needs a plug-in, is no reason not to restore from it.
 */
export const sourceFile = Effect.gen(function*() {
  const { directory } = yield* Repository
  const config = yield* Effect.option(Config.loadRepository(directory))
  if (config._tag === "None" || !isFileSource(config.value.source)) return undefined
  return resolve(config.value.source.filename)
})
