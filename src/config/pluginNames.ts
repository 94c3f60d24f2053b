import * as Either from "effect/Either"
import * as Predicate from "effect/Predicate"
import * as Yaml from "../domain/Yaml.ts"

/**
 * The plug-ins that a config file names in a section: they must be known before its sources can be understood. None
 * when it cannot be read so far; what is wrong with it is for its own decoder to say.
 */
export const pluginNames = (text: string, section: "global" | "settings"): ReadonlyArray<string> =>
  Either.match(Yaml.parse(text), {
    onLeft: () => [],
    onRight: ({ value }) => {
      const found = Predicate.isRecord(value) ? value[section] : undefined
      const plugins = Predicate.isRecord(found) ? found["plugins"] : undefined
      return Array.isArray(plugins) ? plugins.filter(Predicate.isString) : []
    }
  })
