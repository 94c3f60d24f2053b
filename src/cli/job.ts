import * as Effect from "effect/Effect"
import * as Config from "../config/Config.ts"
import { Repository } from "../repository/Repository.ts"
import { providers } from "./plugins.ts"

const load = Effect.fnUntraced(function*(options: Config.LoadOptions) {
  const { directory } = yield* Repository
  const config = yield* Config.loadRepository(directory, options)
  if (config.settings.plugins !== undefined) {
    yield* Effect.logWarning(
      `${Config.fileIn(directory)} names plug-ins, which are ignored: nothing in a repository is executed ` +
        "(name them with --plugin or BACKY_PLUGINS)"
    )
  }
  return config
})

/**
 * The repository's own config for a command that needs no source: no plug-in is loaded, and a source of an unknown type
 * is as good as any. Fails with `ConfigMissing`, `ConfigInvalid` or `IoError`.
 */
export const job = load({ foreign: true })

/**
 * The repository's own config, and the providers of sources, those of the operator's plug-ins among them. Fails with
 * `ConfigMissing`, `ConfigInvalid`, `PluginInvalid` or `IoError`.
 */
export const jobWithSource = Effect.gen(function*() {
  const known = yield* providers
  const config = yield* load({ sources: known.map(({ type }) => type) })
  return { ...config, providers: known }
})
