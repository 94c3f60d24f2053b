/**
 * A repository's own `config`: the one job whose revisions it holds, as upstream writes it, and settings of ours.
 */
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import { maybe } from "../domain/field.ts"
import { type JobConfig, Schedule } from "../domain/JobConfig.ts"
import { builtIn, sourceSchema, type SourceType } from "../domain/SourceConfig.ts"
import * as Yaml from "../domain/Yaml.ts"
import type { ConfigInvalid } from "./ConfigError.ts"
import { decodeYaml } from "./decodeYaml.ts"

export { MAX_LENGTH } from "./decodeYaml.ts"
import { Settings } from "./Settings.ts"

export interface RepositoryConfig extends JobConfig {
  readonly settings: Settings
}

/** What decoders need to know besides the text. */
export interface DecodeOptions {
  /** The file, as messages name it. */
  readonly file: string
  /** The source types that exist. Default: those that come with backy. */
  readonly sources?: ReadonlyArray<SourceType>
  /** Lets sources of other types pass as they are: for who needs the rest of the config and no source. */
  readonly foreign?: boolean
}

const File = (sources: ReadonlyArray<SourceType>, foreign: boolean) =>
  Schema.Struct({ source: sourceSchema(sources, foreign), schedule: Schedule, settings: maybe(Settings) })

/** Reads the text of a repository's `config`. */
export const decode = (text: string, options: DecodeOptions): Either.Either<RepositoryConfig, ConfigInvalid> =>
  Either.map(
    decodeYaml({ file: options.file, text, schema: File(options.sources ?? builtIn, options.foreign === true) }),
    (config) => ({ ...config, settings: config.settings ?? {} })
  )

/**
 * The text of a repository's `config`: block style with sorted keys, as upstream's scheduler writes it. It holds
 * the source's secrets, so the file must not be world-readable. A source that was let pass is written as it came.
 */
export const encode = (
  config: JobConfig & { readonly settings?: Settings },
  sources: ReadonlyArray<SourceType> = builtIn
): string => {
  const { schedule, settings = {}, source } = config
  const hasSettings = Object.keys(settings).length > 0
  return Yaml.stringify(
    Schema.encodeSync(File(sources, true))({
      source,
      schedule,
      ...(hasSettings ? { settings } : {})
    })
  )
}
