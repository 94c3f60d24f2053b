/** The plug-ins that the operator named. What a repository says about plug-ins is no part of it. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { Repository } from "../repository/Repository.ts"
import type { Provider } from "../source/registry.ts"
import { load } from "./load.ts"

/** Absolute paths of modules, as they were named: nobody has looked at them yet. */
export class Plugins extends Context.Reference<Plugins>()("backy/cli/Plugins", {
  defaultValue: (): ReadonlyArray<string> => []
}) {}

/** The paths in BACKY_PLUGINS, with colons between them as in PATH. */
export const pathsIn = (value: string | undefined): ReadonlyArray<string> =>
  (value ?? "").split(":").filter((path) => path !== "")

/** Who provides sources. Loads the plug-ins, so it is for commands that need a source. Fails with `PluginInvalid`. */
export const providers = Effect.gen(function*() {
  const plugins = yield* Plugins
  if (plugins.length === 0) {
    const { builtIn } = yield* load(() => import("../source/registry.ts"))
    return builtIn
  }
  const { directory } = yield* Repository
  const module = yield* load(() => import("../source/plugin.ts"))
  return yield* module.load(plugins, { outside: directory })
}).pipe(Effect.map((known): ReadonlyArray<Provider> => known))
