/** A bucket of S3, of Amazon's or of a Ceph object gateway. */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { createHash } from "node:crypto"
import {
  type Description,
  type GetOptions,
  isKey,
  ObjectConflict,
  ObjectMissing,
  ObjectStore,
  ObjectStoreError,
  type Version
} from "./ObjectStore.ts"
import * as Conditions from "./s3Conditions.ts"
import * as Connection from "./s3Connection.ts"
import * as Failure from "./s3Failure.ts"
import * as Listing from "./s3Listing.ts"

/** Travels with each object, so that whoever reads all of it sees a byte that was changed on the way. */
const HASH = "x-amz-meta-backy-sha256"

/** Far more than a thousand of the longest keys take. */
const MAX_PAGE = 16 * 1024 * 1024

/** A list that grows this long in empty pages is none. */
const MAX_EMPTY_PAGES = 10_000

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex")

const decoder = new TextDecoder()

export interface Settings extends Connection.Settings {
  /** Keys in a page of a listing. Default: what the store thinks right, 1000 mostly. */
  readonly page?: number
}

/** The bucket that the settings name. Nothing is sent yet. */
export const make = (settings: Settings): Effect.Effect<ObjectStore["Type"], never, HttpClient.HttpClient> =>
  Effect.gen(function*() {
    const { send } = yield* Connection.make(settings)
    const name = `s3://${settings.bucket}`
    const unexpected = (operation: string, detail: string) =>
      new ObjectStoreError({ operation, reason: "unexpected", detail })
    const missing = (key: string) => new ObjectMissing({ store: name, key })

    /** What is done to an object, if a key can be one. */
    const doing = <A, E>(
      verb: string,
      key: string,
      run: (operation: string) => Effect.Effect<A, E>
    ): Effect.Effect<A, E | ObjectStoreError> =>
      Effect.suspend((): Effect.Effect<A, E | ObjectStoreError> => {
        const operation = `${verb} ${name}/${key}`
        return isKey(key) ? run(operation) : unexpected(operation, "no object can have this name")
      })

    const versionOf = (operation: string, { headers }: Connection.Answer) => {
      const etag = Listing.etagOf(headers["etag"])
      if (etag === undefined) return unexpected(operation, "its answer has no usable ETag")
      const version = headers["x-amz-version-id"]
      return Effect.succeed<Version>(version === undefined || version === "null" ? { etag } : { etag, version })
    }

    /** A 404 that is about the object, and not about the bucket. */
    const notThere = (operation: string, key: string, { body, status }: Connection.Answer) => {
      const text = decoder.decode(body)
      return Failure.codeOf(text) === "NoSuchBucket" ? Failure.failure(operation, { status, text }) : missing(key)
    }

    const sizeOf = (operation: string, text: string | undefined) =>
      text !== undefined && /^\d{1,15}$/.test(text)
        ? Effect.succeed(Number(text))
        : unexpected(operation, "its answer does not say how long the object is")

    const head = (key: string) =>
      doing("examine", key, (operation) =>
        Effect.gen(function*() {
          const answer = yield* send({ operation, method: "HEAD", key, limit: 0 }, [404])
          if (answer.status === 404) return yield* missing(key)
          const size = yield* sizeOf(operation, answer.headers["content-length"])
          return { ...(yield* versionOf(operation, answer)), size } satisfies Description
        }))

    const get = (key: string, { limit, range, version }: GetOptions) =>
      doing("read", key, (operation) =>
        Effect.gen(function*() {
          const answer = yield* send({
            operation,
            method: "GET",
            key,
            limit,
            ...version === undefined ? {} : { query: { versionId: version } },
            ...range === undefined ? {} : { headers: { range: rangeHeader(range) } }
          }, [404, 416])
          const { body, headers, status } = answer
          if (status === 404) return yield* notThere(operation, key, answer)
          if (status === 416) return yield* unexpected(operation, "the range lies behind its end")
          const described = yield* versionOf(operation, answer)
          if (range === undefined) {
            if (status !== 200) return yield* unexpected(operation, `it answered ${status}`)
            const expected = headers[HASH]
            if (expected !== undefined && expected !== sha256(body)) {
              return yield* new ObjectStoreError({
                operation,
                reason: "corrupt",
                detail: "its bytes are not those that were written"
              })
            }
            return { ...described, size: body.byteLength, content: body }
          }
          const [, first, last, total] = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(headers["content-range"] ?? "") ?? []
          const size = yield* sizeOf(operation, total)
          const wanted = Math.min(range.length, size - range.offset)
          if (
            status !== 206 || Number(first) !== range.offset || Number(last) !== range.offset + wanted - 1 ||
            body.byteLength !== wanted
          ) return yield* unexpected(operation, "it did not answer with the range that was asked for")
          return { ...described, size, content: body }
        }))

    /** After an answer that was lost: whether the object that is there is the one that was put. */
    const isOurs = (key: string, content: Uint8Array) =>
      get(key, { limit: content.byteLength }).pipe(
        Effect.map((there) => Buffer.compare(there.content, content) === 0 ? Option.some(there) : Option.none()),
        Effect.catchAll((error) =>
          error._tag === "ObjectMissing" || error.reason === "too-large" ? Effect.succeedNone : error
        )
      )

    /** Puts with conditions in the headers; none: one of them does not hold. */
    const put = (key: string, content: Uint8Array, headers: Readonly<Record<string, string>>) =>
      doing("write", key, (operation) =>
        Effect.gen(function*() {
          const isConditional = Object.keys(headers).length > 0
          const answer = yield* send({
            operation,
            method: "PUT",
            key,
            headers: { ...headers, [HASH]: sha256(content) },
            body: content,
            limit: MAX_PAGE
          }, isConditional ? [404, 412] : [])
          if (answer.status < 300) return Option.some(yield* versionOf(operation, answer))
          const text = decoder.decode(answer.body)
          if (Failure.codeOf(text) === "NoSuchBucket") {
            return yield* Failure.failure(operation, { status: answer.status, text })
          }
          return answer.again ? yield* isOurs(key, content) : Option.none<Version>()
        }))

    const look = (key: string) =>
      head(key).pipe(
        Effect.asSome,
        Effect.catchTag("ObjectMissing", () => Effect.succeedNone)
      )

    const { ifAbsent, ifMatch } = yield* Conditions.make({ name, put, look })

    const orConflict = (key: string, condition: ObjectConflict["condition"]) =>
      Effect.flatMap((outcome: Conditions.Outcome) =>
        Option.isSome(outcome)
          ? Effect.succeed(outcome.value)
          : new ObjectConflict({ store: name, key, condition })
      )

    const page = Effect.fnUntraced(function*(
      prefix: string,
      shallow: boolean,
      place: { readonly token: string | undefined; readonly after: string; readonly empty: number }
    ) {
      const operation = `list ${name}/${prefix}`
      const answer = yield* send({
        operation,
        method: "GET",
        key: "",
        query: {
          "list-type": "2",
          "encoding-type": "url",
          prefix,
          ...shallow ? { delimiter: "/" } : {},
          ...settings.page === undefined ? {} : { "max-keys": String(settings.page) },
          ...place.token === undefined ? {} : { "continuation-token": place.token }
        },
        limit: MAX_PAGE
      })
      const decoded = Listing.decode(decoder.decode(answer.body), prefix, place.after)
      if (Either.isLeft(decoded)) return yield* unexpected(operation, decoded.left)
      const { listed, next } = decoded.right
      const empty = listed.length === 0 ? place.empty + 1 : 0
      if (empty > MAX_EMPTY_PAGES || (next !== undefined && next === place.token)) {
        return yield* unexpected(operation, "its listing does not end")
      }
      const following = next === undefined
        ? Option.none()
        : Option.some({ token: next, after: listed.at(-1)?.key ?? place.after, empty })
      return [Chunk.fromIterable(listed), following] as const
    })

    return ObjectStore.of({
      name,
      putIfAbsent: (key, content) => orConflict(key, "absent")(ifAbsent(key, content)),
      putIfMatch: (key, content, etag) => orConflict(key, "unchanged")(ifMatch(key, content, etag)),
      put: (key, content) =>
        Effect.flatMap(put(key, content, {}), (outcome) =>
          Option.isSome(outcome)
            ? Effect.succeed(outcome.value)
            : unexpected(`write ${name}/${key}`, "it refused a condition that was not made")),
      get,
      head,
      list: (prefix, options) =>
        Stream.paginateChunkEffect(
          { token: undefined as string | undefined, after: "", empty: 0 },
          (place) => page(prefix, options?.shallow === true, place)
        ),
      delete: (key) =>
        doing("remove", key, (operation) =>
          Effect.gen(function*() {
            const answer = yield* send({ operation, method: "DELETE", key, limit: MAX_PAGE }, [404])
            if (answer.status !== 404) return
            const text = decoder.decode(answer.body)
            if (Failure.codeOf(text) === "NoSuchBucket") {
              return yield* Failure.failure(operation, { status: answer.status, text })
            }
          }))
    })
  })

const rangeHeader = ({ length, offset }: { readonly offset: number; readonly length: number }): string =>
  `bytes=${offset}-${offset + length - 1}`
