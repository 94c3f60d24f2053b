/** Source types from outside: modules that the operator names. docs/plugins.md is the guide to writing one. */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { realpath } from "node:fs/promises"
import { isAbsolute, relative } from "node:path"
import { pathToFileURL } from "node:url"
import { sourceType } from "../domain/SourceConfig.ts"
import * as Process from "../platform/Process.ts"
import { builtIn, type Provider, provider } from "./registry.ts"
import { Source, SourceNotReady } from "./Source.ts"

/** What a plug-in gets, so that it need not import anything: backy is one bundled file. */
export const api = { Effect, Option, Process, Schema, Source, SourceNotReady, Stream, provider, sourceType }
export type Api = typeof api

/** What a plug-in's module exports by default: the source types that it adds. */
export type Plugin = (backy: Api) => ReadonlyArray<Provider>

/** A module that was named as a plug-in is none, or cannot be loaded. */
export class PluginInvalid extends Data.TaggedError("PluginInvalid")<{
  readonly plugin: string
  readonly reason: string
}> {
  override get message() {
    return `cannot use plug-in ${this.plugin}: ${this.reason}`
  }
}

const isProvider = (value: unknown): value is Provider =>
  Predicate.isRecord(value) && Predicate.isFunction(value["make"]) && Predicate.isFunction(value["parse"]) &&
  Predicate.isRecord(value["type"]) && typeof value["type"]["type"] === "string"

const message = (cause: unknown): string => cause instanceof Error ? cause.message.split("\n")[0] ?? "" : String(cause)

/** Whether a path is a directory, or leads below it; both are real. */
const isInside = (path: string, directory: string): boolean => {
  const way = relative(directory, path)
  return !isAbsolute(way) && way.split("/")[0] !== ".."
}

const loadOne = (name: string, outside: string): Effect.Effect<ReadonlyArray<Provider>, PluginInvalid> => {
  const invalid = (reason: string) => new PluginInvalid({ plugin: name, reason })
  return Effect.gen(function*() {
    if (!isAbsolute(name)) return yield* invalid("a plug-in is named by its absolute path")
    const path = yield* Effect.tryPromise({ try: () => realpath(name), catch: (cause) => invalid(message(cause)) })
    const repository = yield* Effect.orElseSucceed(Effect.tryPromise(() => realpath(outside)), () => outside)
    if (isInside(path, repository)) {
      return yield* invalid("it lies in the repository, of which nothing is ever executed")
    }
    const module: unknown = yield* Effect.tryPromise({
      try: () => import(pathToFileURL(path).href),
      catch: (cause) => invalid(message(cause))
    })
    const plugin = Predicate.isRecord(module) ? module["default"] : undefined
    if (!Predicate.isFunction(plugin)) return yield* invalid("its module does not export a function by default")
    const providers = yield* Effect.try({
      // a function is all that can be known of it; what it gives is looked at
      try: (): unknown => (plugin as (backy: Api) => unknown)(api),
      catch: (cause) => invalid(message(cause))
    })
    if (!Array.isArray(providers) || !providers.every(isProvider)) {
      return yield* invalid("its function does not return a list of what provider() makes")
    }
    return providers
  })
}

/**
 * The providers that come with backy and those of plug-ins, which are absolute paths. Modules in the directory `outside`,
 * which is the repository's, are refused, also when a link leads there.
 */
export const load = (
  plugins: ReadonlyArray<string>,
  { outside }: { readonly outside: string }
): Effect.Effect<ReadonlyArray<Provider>, PluginInvalid> =>
  Effect.reduce(plugins, builtIn, (known, name) =>
    Effect.flatMap(loadOne(name, outside), (added) => {
      const taken = added.find(({ type }) => known.some((one) => one.type.type === type.type))
      return taken === undefined
        ? Effect.succeed([...known, ...added])
        : new PluginInvalid({ plugin: name, reason: `there is a source type "${taken.type.type}" already` })
    }))
