/**
 * Consul's key-value store over HTTP: a port for the little that backy needs of it.
 */
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"

/** Consul did not do what it was asked. The token is never part of it. */
export class ConsulError extends Data.TaggedError("ConsulError")<{
  /** A verb phrase that follows "cannot". */
  readonly operation: string
  /** `refused`: the token lacks the right; `unavailable`: no useful answer came, later one may. */
  readonly reason: "refused" | "unavailable" | "unexpected"
  readonly detail: string
}> {
  override get message() {
    return `cannot ${this.operation} Consul: ${this.detail}`
  }
}

/** One key with its value; a value that is not UTF-8 has replacement characters in it. */
export interface Entry {
  readonly key: string
  readonly value: string
}

/** Keys are paths with `/` in them. Every method fails with `ConsulError` within about a minute. */
export class Consul extends Context.Tag("backy/platform/Consul")<Consul, {
  /** The value of a key, if it exists. */
  readonly get: (key: string) => Effect.Effect<Option.Option<string>, ConsulError>
  /** All keys that begin with `prefix`, with their values. Without the right to read them there seem to be none. */
  readonly list: (prefix: string) => Effect.Effect<ReadonlyArray<Entry>, ConsulError>
  /** Creates or replaces a key. */
  readonly put: (key: string, value: string) => Effect.Effect<void, ConsulError>
  /** Removes a key. One that is not there is no error. */
  readonly remove: (key: string) => Effect.Effect<void, ConsulError>
}>() {}

/** Makes connections to the Consul of this machine: a port, too, so that only who needs Consul loads a client. */
export class Connector extends Context.Tag("backy/platform/Consul/Connector")<Connector, {
  /** Consul for the holder of a token. Nothing is sent yet. */
  readonly connect: (token: Option.Option<Redacted.Redacted>) => Effect.Effect<Consul["Type"]>
}>() {}

/** Where Consul is, and who asks. */
export interface Settings {
  /** `host:port`, with or without `http://` or `https://`, as Consul's own tools take it. */
  readonly address: string
  readonly token: Option.Option<Redacted.Redacted>
}

/** The address that Consul's own tools use when they are told none. */
export const DEFAULT_ADDRESS = "127.0.0.1:8500"

const REQUEST_TIMEOUT = Duration.seconds(10)

/** Far more than all requests of a data centre take; Consul's values are 512 KiB at most. */
const MAX_ANSWER = 16 * 1024 * 1024

const Answer = Schema.parseJson(Schema.Array(Schema.Struct({
  Key: Schema.String,
  Value: Schema.NullOr(Schema.String)
})))

/** Consul encodes values in base64; an empty one is null. */
const entryOf = ({ Key, Value }: { readonly Key: string; readonly Value: string | null }): Entry => ({
  key: Key,
  value: Value === null ? "" : Buffer.from(Value, "base64").toString("utf8")
})

const patience = Schedule.exponential("200 millis", 2).pipe(Schedule.jittered, Schedule.intersect(Schedule.recurs(3)))

const make = (settings: Settings) =>
  Effect.map(HttpClient.HttpClient, (client) => {
    const base = /^https?:\/\//.test(settings.address) ? settings.address : `http://${settings.address}`
    const url = (key: string) => `${base.replace(/\/+$/, "")}/v1/kv/${key.split("/").map(encodeURIComponent).join("/")}`
    // this header, unlike X-Consul-Token, is one that @effect/platform keeps out of traces
    const authorised = (request: HttpClientRequest.HttpClientRequest) =>
      Option.isSome(settings.token) ? HttpClientRequest.bearerToken(request, settings.token.value) : request

    /** Sends a request, again where that may help; gives the body, or nothing for 404. */
    const send = (
      operation: string,
      request: HttpClientRequest.HttpClientRequest
    ): Effect.Effect<Option.Option<string>, ConsulError> => {
      const failure = (reason: ConsulError["reason"], detail: string) => new ConsulError({ operation, reason, detail })
      const unavailable = (detail: string) => failure("unavailable", detail)
      return client.execute(authorised(request)).pipe(
        // the error's own text may show the request
        Effect.mapError((error) => unavailable(`no connection to ${base} (${error.reason})`)),
        Effect.flatMap(Effect.fnUntraced(function*(response) {
          const pieces: Array<Uint8Array> = []
          let length = 0
          yield* Stream.runForEach(
            Stream.catchAll(response.stream, (error) =>
              error.reason === "EmptyBody" ? Stream.empty : Stream.fail(unavailable("the answer broke off"))),
            (bytes) => {
              length += bytes.length
              if (length > MAX_ANSWER) {
                return failure("unexpected", `the answer is longer than ${MAX_ANSWER} bytes`)
              }
              pieces.push(bytes)
              return Effect.void
            }
          )
          const text = Buffer.concat(pieces).toString("utf8")
          if (response.status === 200) {
            return Option.some(text)
          }
          if (response.status === 404) {
            return Option.none()
          }
          const detail = `it answered ${response.status}${text === "" ? "" : `, ${JSON.stringify(text.slice(0, 200))}`}`
          if (response.status === 401 || response.status === 403) {
            return yield* failure("refused", detail)
          }
          return yield* failure(
            response.status === 429 || response.status >= 500 ? "unavailable" : "unexpected",
            detail
          )
        })),
        Effect.scoped,
        Effect.timeoutFail({
          duration: REQUEST_TIMEOUT,
          onTimeout: () =>
            unavailable(`no answer from ${base} within ${Duration.format(REQUEST_TIMEOUT)}`)
        }),
        Effect.retry({ schedule: patience, while: (error) => error.reason === "unavailable" })
      )
    }

    const read = Effect.fnUntraced(function*(operation: string, target: string) {
      const body = yield* send(operation, HttpClientRequest.get(target))
      if (Option.isNone(body)) return []
      const entries = yield* Effect.mapError(Schema.decode(Answer)(body.value), () =>
        new ConsulError({
          operation,
          reason: "unexpected",
          detail: "its answer is not the list of keys that was asked for"
        }))
      return entries.map(entryOf)
    })

    const change = (operation: string, request: HttpClientRequest.HttpClientRequest) =>
      Effect.flatMap(send(operation, request), (body) =>
        Option.contains(Option.map(body, (text) => text.trim()), "true")
          ? Effect.void
          : new ConsulError({ operation, reason: "unexpected", detail: "it answered that nothing was changed" }))

    return Consul.of({
      get: (key) =>
        Effect.map(read(`read ${key} from`, url(key)), (entries) =>
          Option.fromNullable(
            entries.find((entry) => entry.key === key)?.value
          )),
      list: (prefix) => read(`list ${prefix} of`, `${url(prefix)}?recurse`),
      put: (key, value) =>
        change(`write ${key} to`, HttpClientRequest.put(url(key)).pipe(HttpClientRequest.bodyText(value))),
      remove: (key) => change(`remove ${key} from`, HttpClientRequest.del(url(key)))
    })
  })

/** Consul over HTTP. */
export const layer = (settings: Settings): Layer.Layer<Consul, never, HttpClient.HttpClient> =>
  Layer.effect(Consul, make(settings))

/** What a token may do, in the in-memory implementation. */
export type Rights = (key: string) => boolean

/** Keys in a map, which may be changed behind its back; `rights` says where the asker may read and write. */
export const makeMemory = (keys: Map<string, string>, rights: Rights = () => true): Consul["Type"] => {
  const allowed = <A>(operation: string, key: string, run: () => A) =>
    Effect.suspend(() =>
      rights(key)
        ? Effect.succeed(run())
        : new ConsulError({ operation, reason: "refused", detail: "it answered 403, \"Permission denied\"" })
    )
  return Consul.of({
    get: (key) => allowed(`read ${key} from`, key, () => Option.fromNullable(keys.get(key))),
    list: (prefix) =>
      Effect.sync(() =>
        Array.from(keys, ([key, value]) => ({ key, value }))
          .filter(({ key }) => key.startsWith(prefix) && rights(key))
          .sort((a, b) => a.key < b.key ? -1 : 1)
      ),
    put: (key, value) => allowed(`write ${key} to`, key, () => void keys.set(key, value)),
    remove: (key) => allowed(`remove ${key} from`, key, () => void keys.delete(key))
  })
}

/** {@link makeMemory} as a layer. */
export const layerMemory = (keys: Map<string, string> = new Map(), rights?: Rights): Layer.Layer<Consul> =>
  Layer.sync(Consul, () => makeMemory(keys, rights))
