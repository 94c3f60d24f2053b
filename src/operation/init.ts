import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Config from "../config/Config.ts"
import * as RepositoryConfig from "../config/RepositoryConfig.ts"
import type { JobConfig } from "../domain/JobConfig.ts"
import { builtIn, type SourceType } from "../domain/SourceConfig.ts"
import * as Durable from "../platform/Durable.ts"
import * as Files from "../platform/Files.ts"
import { Repository } from "../repository/Repository.ts"

/** The directory holds a config already; it was left as it is. */
export class RepositoryExists extends Data.TaggedError("RepositoryExists")<{ readonly path: string }> {
  override get message() {
    return `${this.path} is there already and was left as it is`
  }
}

/**
 * Makes a repository: the directory, if it is missing, and its `config`; `sources` are the types that exist. Fails with `RepositoryExists`, or `IoError`
 * when the parent directory is missing or nothing can be written.
 */
export const init = Effect.fn("init")(function*(job: JobConfig, sources: ReadonlyArray<SourceType> = builtIn) {
  const { directory } = yield* Repository
  const path = Config.fileIn(directory)
  yield* Files.ensureDirectory(directory, 0o750)
  if (yield* Files.exists(path)) return yield* new RepositoryExists({ path })
  yield* Durable.replace(path, new TextEncoder().encode(RepositoryConfig.encode(job, sources)), { mode: 0o640 })
  return { directory, config: path }
})
