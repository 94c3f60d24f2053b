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
import { pluginNames } from "./pluginNames.ts"

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
}

const File = (sources: ReadonlyArray<SourceType>, foreign: boolean) =>
  Schema.Struct({ source: sourceSchema(sources, foreign), schedule: Schedule, settings: maybe(Settings) })

/** Who knows no plug-ins cannot judge the sources of a repository that has some. */
const fileFor = (text: string, { sources }: DecodeOptions) =>
  File(sources ?? builtIn, sources === undefined && pluginNames(text, "settings").length > 0)

/** Reads the text of a repository's `config`. */
export const decode = (text: string, options: DecodeOptions): Either.Either<RepositoryConfig, ConfigInvalid> =>
  Either.map(
    decodeYaml({ file: options.file, text, schema: fileFor(text, options) }),
    (config) => ({ ...config, settings: config.settings ?? {} })
  )

/**
 * The text of a repository's `config`: block style with sorted keys, as the ancestor's scheduler writes it. It holds
 * the source's secrets, so the file must not be world-readable. A source type that is not among `sources` is a bug,
 * unless there are plug-ins.
 */
export const encode = (
  config: JobConfig & { readonly settings?: Settings },
  sources: ReadonlyArray<SourceType> = builtIn
): string => {
  const { schedule, settings = {}, source } = config
  const hasSettings = Object.keys(settings).length > 0
  return Yaml.stringify(
    Schema.encodeSync(File(sources, (settings.plugins ?? []).length > 0))({
      source,
      schedule,
      ...(hasSettings ? { settings } : {})
    })
  )
}
