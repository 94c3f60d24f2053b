/**
 * Where a job's image comes from, as the user writes it. The set of source types is open: plug-ins add theirs, so a
 * decoder is made for the types that are known where it is needed.
 */
import type * as Either from "effect/Either"
import * as ParseResult from "effect/ParseResult"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import { hint } from "./closest.ts"
import { flag, maybe, orNothing, secret, text, word } from "./field.ts"

/** How revisions are kept: as chunks, or each as an image file that shares blocks with the one before. */
export type Backend = "chunked" | "cowfile"

/** What all sources have in common. */
export interface SourceConfig {
  readonly type: string
  readonly backend?: Backend
}

/** One type of source: how its part of a config is read and written. */
export interface SourceType<Config extends SourceConfig = SourceConfig> {
  readonly type: string
  readonly decode: (input: unknown, options?: Options) => Either.Either<Config, ParseResult.ParseIssue>
  readonly encode: (config: SourceConfig) => Either.Either<unknown, ParseResult.ParseIssue>
  readonly is: (config: SourceConfig) => config is Config
}

type Options = Parameters<ReturnType<typeof ParseResult.decodeUnknownEither>>[1]

/** The source type that a schema describes; its `type` must be the literal given. */
export const sourceType = <Config extends SourceConfig, Encoded>(
  type: Config["type"],
  schema: Schema.Schema<Config, Encoded>
): SourceType<Config> => ({
  type,
  decode: ParseResult.decodeUnknownEither(schema),
  encode: ParseResult.encodeUnknownEither(schema),
  is: Schema.is(schema)
})

/** Keys of every source. `cow: false` asked the ancestor for full copies; it is accepted and means nothing. */
const common = { backend: maybe(word("chunked", "cowfile")), cow: maybe(flag) }

/** A name of Ceph's that cannot be mistaken for an option or for a path of pool, namespace, image and snapshot. */
const cephName = (what: string) =>
  text(what).pipe(
    Schema.filter((name) => !/^-|[/@]/.test(name) || `${what} neither begins with "-" nor contains "/" or "@"`)
  )

const rbd = {
  pool: cephName("a pool's name"),
  namespace: maybe(cephName("a namespace's name")),
  image: cephName("an image's name"),
  fullAlways: maybe(flag).pipe(Schema.fromKey("full-always")),
  ...common
}

/** An image file or block device. A relative `filename` is against the current directory, as in the ancestor. */
export const FileSource = Schema.Struct({
  type: Schema.Literal("file"),
  filename: text("the path of an image file or block device"),
  ...common
})
export type FileSource = typeof FileSource.Type

/** A Ceph RBD image. */
export const CephRbdSource = Schema.Struct({ type: Schema.Literal("ceph-rbd"), ...rbd })
export type CephRbdSource = typeof CephRbdSource.Type

/** A Ceph RBD image of a VM that is asked through Consul to write its buffers before the snapshot. */
export const FlyingCircusSource = Schema.Struct({
  type: Schema.Literal("flyingcircus"),
  vm: text("the name of the VM"),
  consulAclToken: maybe(orNothing(secret)).pipe(Schema.fromKey("consul_acl_token")),
  ...rbd
})
export type FlyingCircusSource = typeof FlyingCircusSource.Type

/** The types that come with backy. */
export const builtIn: ReadonlyArray<SourceType> = [
  sourceType("file", FileSource),
  sourceType("ceph-rbd", CephRbdSource),
  sourceType("flyingcircus", FlyingCircusSource)
]

const Any = Schema.declare((input): input is SourceConfig =>
  Predicate.isRecord(input) && typeof input.type === "string"
)

/**
 * Decodes a source of one of the given types. With `foreign` sources of other types pass as they are: for who hands
 * them on to a process that has the plug-ins which know them.
 */
export const sourceSchema = (
  types: ReadonlyArray<SourceType>,
  foreign = false
): Schema.Schema<SourceConfig, unknown> => {
  const find = (type: unknown) => types.find((candidate) => candidate.type === type)
  return Schema.transformOrFail(Schema.Unknown, Any, {
    strict: true,
    decode: (input, options, ast) => {
      const fail = (message: string, at?: string) => {
        const issue = new ParseResult.Type(ast, undefined, message)
        return ParseResult.fail(at === undefined ? issue : new ParseResult.Pointer(at, undefined, issue))
      }
      if (!Predicate.isRecord(input)) return fail("expected keys and values")
      const names = types.map(({ type }) => type)
      if (typeof input.type !== "string") return fail(`expected a "type", one of ${names.join(", ")}`)
      const found = find(input.type)
      if (found === undefined && foreign) return ParseResult.succeed({ ...input, type: input.type })
      const unknown = `there is no source type "${input.type.slice(0, 40)}"${hint(input.type, names)}`
      return found === undefined ? fail(unknown, "type") : found.decode(input, options)
    },
    encode: (config, _, ast) =>
      find(config.type)?.encode(config) ?? (foreign ? ParseResult.succeed(config) : undefined) ??
        ParseResult.fail(new ParseResult.Type(ast, undefined, `there is no source type "${config.type}"`))
  })
}
