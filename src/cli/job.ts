import * as Effect from "effect/Effect"
import * as Config from "../config/Config.ts"
import { Repository } from "../repository/Repository.ts"
import type { Provider } from "../source/registry.ts"
import { load } from "./load.ts"

/**
 * The repository's own config; `providers` are the sources that exist, when plug-ins have added to them. Fails with
 * `ConfigMissing`, `ConfigInvalid`, `PluginInvalid` or `IoError`.
 */
export const job = Effect.gen(function*() {
  const { directory } = yield* Repository
  const plugins = yield* Config.pluginsNamed(directory)
  const providers: ReadonlyArray<Provider> | undefined = plugins.length === 0
    ? undefined
    : yield* (yield* load(() => import("../source/plugin.ts"))).load(plugins, directory)
  const config = yield* Config.loadRepository(
    directory,
    providers === undefined ? {} : { sources: providers.map(({ type }) => type) }
  )
  return { ...config, providers }
})
