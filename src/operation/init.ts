import type { FileSystem } from "@effect/platform/FileSystem"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Config from "../config/Config.ts"
import * as RepositoryConfig from "../config/RepositoryConfig.ts"
import type { JobConfig } from "../domain/JobConfig.ts"
import { builtIn, type SourceConfig, type SourceType } from "../domain/SourceConfig.ts"
import type { BlockFile } from "../platform/BlockFile.ts"
import * as Durable from "../platform/Durable.ts"
import * as Files from "../platform/Files.ts"
import type { IoError } from "../platform/IoError.ts"
import { Repository } from "../repository/Repository.ts"
import * as Finished from "./Finished.ts"

/** The directory holds a config already; it was left as it is. */
export class RepositoryExists extends Data.TaggedError("RepositoryExists")<{ readonly path: string }> {
  override get message() {
    return `${this.path} is there already and was left as it is`
  }
}

/** Where the new repository and its config are. */
export interface InitReport {
  readonly directory: string
  readonly config: string
}

/** Why no repository was made. */
export type InitError = RepositoryExists | IoError

/**
 * Makes a repository: the directory, if it is missing, and its `config`; `sources` are the types that exist. Fails with
 * `RepositoryExists`, or `IoError` when the parent directory is missing or nothing can be written.
 */
export const init = Effect.fn("init")(function*<Source extends SourceConfig>(
  // a source may stand in the call: it has more keys than all sources have in common
  job: Omit<JobConfig, "source"> & { readonly source: Source },
  sources: ReadonlyArray<SourceType> = builtIn
): Effect.fn.Return<InitReport, InitError, BlockFile | FileSystem | Repository> {
  const { directory } = yield* Repository
  const path = Config.fileIn(directory)
  yield* Files.ensureDirectory(directory, 0o750)
  if (yield* Files.exists(path)) return yield* new RepositoryExists({ path })
  const config = new TextEncoder().encode(RepositoryConfig.encode(job, sources))
  yield* Finished.lastly(Durable.replace(path, config, { mode: 0o640 }))
  return { directory, config: path }
})
