/**
 * The sources that images can come from, by the `type` in a config: how a config of that type is read, and how the
 * source is made of it. Open: who embeds backy, or a plug-in, provides a longer list.
 */
import type * as FileSystem from "@effect/platform/FileSystem"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { resolve } from "node:path"
import {
  CephRbdSource,
  FileSource,
  FlyingCircusSource,
  type SourceConfig,
  type SourceType,
  sourceType
} from "../domain/SourceConfig.ts"
import type { BlockFile } from "../platform/BlockFile.ts"
import * as Consul from "../platform/Consul.ts"
import type { Process } from "../platform/Process.ts"
import * as Rbd from "../platform/Rbd.ts"
import * as CephRbd from "./CephRbdSource.ts"
import * as File from "./FileSource.ts"
import * as FlyingCircus from "./FlyingCircusSource.ts"
import { Source } from "./Source.ts"

/** What sources may work with. */
export type Services = BlockFile | FileSystem.FileSystem | Process | Rbd.Rbd | Consul.Connector

/** One kind of source. */
export interface Provider {
  readonly type: SourceType
  /** The config for what a user names at `backy init`, such as a path; `undefined` when the text is none. */
  readonly parse: (text: string) => SourceConfig | undefined
  /** What that text is, such as `PATH`. */
  readonly operand: string
  /** Makes the source that a config of this type describes. Touches nothing by itself. */
  readonly make: (config: SourceConfig) => Effect.Effect<Source["Type"], SourceUnsupported, Services>
}

/** This backy has no source of that type. */
export class SourceUnsupported extends Data.TaggedError("SourceUnsupported")<{
  readonly type: string
  readonly known: ReadonlyArray<string>
}> {
  override get message() {
    return `sources of type "${this.type}" are not supported by this version of backy (it has ${this.known.join(", ")})`
  }
}

/** A provider of sources whose configs have one type. */
export const provider = <Config extends SourceConfig>(options: {
  readonly type: SourceType<Config>
  readonly operand: string
  readonly parse: (text: string) => Config | undefined
  readonly make: (config: Config) => Effect.Effect<Source["Type"], SourceUnsupported, Services>
}): Provider => {
  const { make, type } = options
  return {
    ...options,
    make: (config) =>
      type.is(config) ? make(config) : Effect.fail(new SourceUnsupported({ type: config.type, known: [type.type] }))
  }
}

/** The sources that come with backy. A relative file name is against the current directory, as in upstream. */
export const builtIn: ReadonlyArray<Provider> = [
  provider({
    type: sourceType("file", FileSource),
    operand: "PATH",
    // absolute: who runs the next backup may be somewhere else
    parse: (text) => ({ type: "file", filename: resolve(text) }),
    make: ({ filename }) => File.make(resolve(filename))
  }),
  provider({
    type: sourceType("ceph-rbd", CephRbdSource),
    operand: "POOL/[NAMESPACE/]IMAGE",
    parse: (text) => {
      const image = Option.getOrUndefined(Either.getRight(Rbd.parse(text)))
      return image && { type: "ceph-rbd", ...image }
    },
    make: CephRbd.make
  }),
  provider({
    type: sourceType("flyingcircus", FlyingCircusSource),
    operand: "POOL/[NAMESPACE/]IMAGE,VM",
    parse: (text) => {
      const comma = text.lastIndexOf(",")
      const image = Option.getOrUndefined(Either.getRight(Rbd.parse(text.slice(0, comma))))
      const vm = text.slice(comma + 1)
      // where Consul's own tools look for it, too; as an argument everybody could read it
      const token = process.env["CONSUL_HTTP_TOKEN"]
      return comma < 0 || image === undefined || vm === "" ? undefined : {
        type: "flyingcircus" as const,
        ...image,
        vm,
        ...token === undefined || token === "" ? {} : { consulAclToken: Redacted.make(token) }
      }
    },
    make: (config) =>
      Effect.flatMap(
        Effect.flatMap(Consul.Connector, ({ connect }) => connect(Option.fromNullable(config.consulAclToken))),
        (consul) => FlyingCircus.make(config, consul)
      )
  })
]

/** The sources that are known. */
export class Registry extends Context.Reference<Registry>()("backy/source/registry", {
  defaultValue: (): ReadonlyArray<Provider> => builtIn
}) {}

/** Who provides sources of a type. */
export const find = (type: string): Effect.Effect<Provider, SourceUnsupported> =>
  Effect.flatMap(Registry, (providers) => {
    const found = providers.find((one) => one.type.type === type)
    return found === undefined
      ? Effect.fail(new SourceUnsupported({ type, known: providers.map((one) => one.type.type) }))
      : Effect.succeed(found)
  })

/** The source that a config describes. */
export const layer = (config: SourceConfig): Layer.Layer<Source, SourceUnsupported, Services> =>
  Layer.effect(Source, Effect.flatMap(find(config.type), ({ make }) => make(config)))
