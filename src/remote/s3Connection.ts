/**
 * Requests to S3: signed, bounded in time, number and memory, and sent again where that may help. The hash of each body
 * is part of its signature, so a store takes no bytes but those that were meant.
 */
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import { AwsV4Signer } from "aws4fetch"
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import { createHash } from "node:crypto"
import type { Credentials, CredentialsUnusable, Place } from "./credentials.ts"
import { ObjectStoreError, type Reason } from "./ObjectStore.ts"
import { patience, retryAfterOf } from "./patience.ts"
import { failure } from "./s3Failure.ts"

export interface Settings extends Place {
  readonly bucket: string
  /** Asked for before the first request, and again when a store says that they have expired. */
  readonly credentials: Effect.Effect<Credentials, CredentialsUnusable>
  /** Requests under way at once. Default: 16. */
  readonly concurrency?: number
}

export interface Request {
  /** A verb phrase for errors, with the object's name. */
  readonly operation: string
  readonly method: "DELETE" | "GET" | "HEAD" | "PUT"
  /** In the bucket; empty for the bucket itself. */
  readonly key: string
  readonly query?: Readonly<Record<string, string>>
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array
  /** Bytes that a successful answer may have. */
  readonly limit: number
}

/** An answer that makes sense: with one of the statuses below 300, or one that the caller named. */
export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: Uint8Array
  /** Whether an earlier attempt may have reached the store without its answer reaching us. */
  readonly again: boolean
}

export interface Connection {
  /** Sends a request until it is answered. Statuses in `expected` are answers and not errors. */
  readonly send: (request: Request, expected?: ReadonlyArray<number>) => Effect.Effect<Answer, ObjectStoreError>
}

/** How long an answer may take to begin, and its body to come, besides what the bytes need. */
const PATIENCE = Duration.seconds(30)

/** Bytes in a second that a connection has to move at least, or it is given up. */
const SLOWEST = 16 * 1024

/** Of an answer that is an error, only the beginning matters. */
const MAX_ERROR = 64 * 1024

/** An answer that does not say how long it is, a listing, is expected to have no more than that. */
const USUAL_LENGTH = 4 * 1024 * 1024

/** How long so many bytes may take. */
const timeFor = (bytes: number): Duration.Duration => Duration.sum(PATIENCE, Duration.seconds(bytes / SLOWEST))

/** One attempt failed. */
class AttemptFailed extends Data.TaggedError("AttemptFailed")<{
  readonly error: ObjectStoreError
  readonly retryAfter: Duration.Duration | undefined
}> {}

const encodeKey = (key: string): string =>
  key.split("/").map((name) =>
    encodeURIComponent(name).replaceAll(
      /[!'()*]/g,
      (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`
    )
  ).join("/")

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex")

const NOTHING = new Uint8Array(0)

/** Reads a body of at most `limit` bytes; `undefined` for a longer one. */
const readBody = (response: HttpClientResponse.HttpClientResponse, limit: number) => {
  const pieces: Array<Uint8Array> = []
  let length = 0
  return response.stream.pipe(
    Stream.catchAll((error) => error.reason === "EmptyBody" ? Stream.empty : Stream.fail(error)),
    Stream.takeWhile((piece) => {
      pieces.push(piece)
      length += piece.byteLength
      return length <= limit
    }),
    Stream.runDrain,
    Effect.map(() => length > limit ? undefined : Buffer.concat(pieces, length))
  )
}

/** A connection. Nothing is sent before the first request. */
export const make = (settings: Settings): Effect.Effect<Connection, never, HttpClient.HttpClient> =>
  Effect.gen(function*() {
    // what the spans of a run are called is nobody's business but ours
    const client = HttpClient.withTracerPropagation(yield* HttpClient.HttpClient, false)
    const slots = yield* Effect.makeSemaphore(settings.concurrency ?? 16)
    const signingKeys = new Map<string, ArrayBuffer>()
    let known: Credentials | undefined

    const fail = (operation: string, reason: Reason, detail: string) =>
      new ObjectStoreError({ operation, reason, detail })
    const passing = (operation: string, detail: string) =>
      new AttemptFailed({ error: fail(operation, "unavailable", detail), retryAfter: undefined })

    const credentialsFor = (operation: string) =>
      Effect.suspend(() =>
        known === undefined
          ? settings.credentials.pipe(
            Effect.tap((found) => Effect.sync(() => known = found)),
            Effect.mapError((error) => fail(operation, "refused", error.message))
          )
          : Effect.succeed(known)
      )

    const signed = Effect.fnUntraced(function*(request: Request) {
      const { accessKey, secretKey, sessionToken } = yield* credentialsFor(request.operation)
      const query = new URLSearchParams(request.query).toString()
      const path = [settings.bucket, ...request.key === "" ? [] : [encodeKey(request.key)]].join("/")
      const url = `${settings.endpoint}/${path}${query === "" ? "" : `?${query}`}`
      const now = yield* Clock.currentTimeMillis
      const signer = new AwsV4Signer({
        method: request.method,
        url,
        headers: { ...request.headers, "x-amz-content-sha256": sha256(request.body ?? NOTHING) },
        accessKeyId: Redacted.value(accessKey),
        secretAccessKey: Redacted.value(secretKey),
        ...Option.isSome(sessionToken) ? { sessionToken: Redacted.value(sessionToken.value) } : {},
        service: "s3",
        region: settings.region,
        cache: signingKeys,
        datetime: new Date(now).toISOString().replaceAll(/[:-]|\.\d{3}/g, "")
      })
      // the library only calls the platform's own cryptography, which does not refuse such keys
      const { headers } = yield* Effect.promise(() => signer.sign())
      const unsent = HttpClientRequest.make(request.method)(url).pipe(
        HttpClientRequest.setHeaders(Object.fromEntries(headers)),
        // what is compressed on its way has another length than it says
        HttpClientRequest.setHeader("accept-encoding", "identity")
      )
      return request.body === undefined ? unsent : HttpClientRequest.bodyUint8Array(unsent, request.body)
    })

    const once = (request: Request, expected: ReadonlyArray<number>, again: () => boolean) => {
      const { operation } = request
      const within = <A, E, R>(effect: Effect.Effect<A, E, R>, duration: Duration.Duration) =>
        Effect.timeoutFail(effect, {
          duration,
          onTimeout: () => passing(operation, `no answer from ${settings.endpoint} within ${Duration.format(duration)}`)
        })
      return Effect.gen(function*() {
        const ready = yield* Effect.mapError(
          signed(request),
          (error) => new AttemptFailed({ error, retryAfter: undefined })
        )
        const response = yield* within(
          Effect.mapError(
            client.execute(ready),
            // the error's own text may show the request
            (error) => passing(operation, `no connection to ${settings.endpoint} (${error.reason})`)
          ),
          timeFor(request.body?.byteLength ?? 0)
        )
        const { headers, status } = response
        const good = status < 300 || expected.includes(status)
        const most = good && status < 300 ? request.limit : MAX_ERROR
        const length = headers["content-length"]
        if (good && request.method !== "HEAD" && Number(length ?? 0) > most) {
          return yield* tooLarge(operation, `it has ${Number(length)} bytes, more than ${most}`)
        }
        const body = request.method === "HEAD" || status === 204 ? NOTHING : yield* within(
          Effect.mapError(readBody(response, most), () => passing(operation, "the answer broke off")),
          timeFor(Number(length ?? USUAL_LENGTH))
        )
        if (good && body === undefined) return yield* tooLarge(operation, `it has more than ${most} bytes`)
        if (request.method === "GET" && good && length !== undefined && body?.byteLength !== Number(length)) {
          return yield* passing(operation, "the answer broke off")
        }
        if (good) return { status, headers, body: body ?? NOTHING, again: again() } satisfies Answer
        const text = new TextDecoder().decode(body ?? NOTHING)
        const now = yield* Clock.currentTimeMillis
        const error = failure(operation, { status, text })
        return yield* new AttemptFailed({ error, retryAfter: retryAfterOf(headers["retry-after"], now) })
      }).pipe(Effect.scoped)
    }

    const tooLarge = (operation: string, detail: string) =>
      new AttemptFailed({ error: fail(operation, "too-large", detail), retryAfter: undefined })

    return {
      send: (request, expected = []) =>
        Effect.suspend(() => {
          let attempts = 0
          let renewed = false
          return Effect.suspend(() => {
            attempts++
            return slots.withPermits(1)(once(request, expected, () => attempts > 1))
          }).pipe(
            Effect.retry({
              schedule: patience,
              while: ({ error: { reason } }) => {
                if (reason === "expired" && !renewed) {
                  renewed = true
                  known = undefined
                  return true
                }
                return reason === "unavailable"
              }
            }),
            Effect.mapError(({ error }) => error)
          )
        })
    }
  })
