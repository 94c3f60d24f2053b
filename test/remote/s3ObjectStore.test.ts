/** S3 that answers with errors, nonsense, too much or not at all. What it answers when all is well: test/services. */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Inspectable from "effect/Inspectable"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { createHash } from "node:crypto"
import type { ObjectStore, Reason } from "../../src/remote/ObjectStore.ts"
import * as S3 from "../../src/remote/s3ObjectStore.ts"
import { type Answer, answering } from "../support/answering.ts"

const content = new TextEncoder().encode("content")
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex")

const good = (body: string | null = "content", headers: Record<string, string> = {}) =>
  new Response(body, { headers: { etag: "\"tag\"", ...headers } })
const refusing = (status: number, code?: string, headers: Record<string, string> = {}) =>
  new Response(code === undefined ? null : `<?xml version="1.0"?><Error><Code>${code}</Code></Error>`, {
    status,
    headers
  })

/** A store that gets these answers, and what it was asked. */
const storeOf = (answers: ReadonlyArray<Answer>, tokens: ReadonlyArray<string> = ["one"]) => {
  const { layer, seen } = answering(answers)
  let asked = 0
  const store = Effect.provide(
    S3.make({
      endpoint: "http://gateway:7480",
      region: "here",
      bucket: "backups",
      credentials: Effect.sync(() => ({
        accessKey: Redacted.make("the-access-key"),
        secretKey: Redacted.make("hunter2"),
        sessionToken: Option.some(Redacted.make(tokens[Math.min(asked++, tokens.length - 1)] ?? ""))
      }))
    }),
    layer
  )
  return { seen, use: <A, E>(run: (store: ObjectStore["Type"]) => Effect.Effect<A, E>) => Effect.flatMap(store, run) }
}

/** Lets what has to be computed for a signature be computed: it happens outside of the tests' clock. */
const computed = Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 2)))

/** Lets time pass, in steps, until the condition holds. */
const passTime = (until: () => boolean, step: Duration.DurationInput = "20 seconds"): Effect.Effect<void> =>
  Effect.suspend(() =>
    until()
      ? Effect.void
      : computed.pipe(Effect.zipRight(TestClock.adjust(step)), Effect.zipRight(passTime(until, step)))
  )

/** Runs the effect, giving it the time that it wants to wait. */
const hurried = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    let ended = false
    const fiber = yield* Effect.fork(Effect.ensuring(effect, Effect.sync(() => ended = true)))
    yield* passTime(() => ended)
    return yield* Fiber.join(fiber)
  })

const get = (store: ObjectStore["Type"]) => store.get("a/b", { limit: 100 })

describe("S3 over HTTP", () => {
  it.effect("signs the hash of what it sends, and shows secrets nowhere", () =>
    Effect.gen(function*() {
      const { seen, use } = storeOf([refusing(403, "AccessDenied")])
      const error = yield* Effect.flip(use((store) => store.put("a b/c+d", content)))
      const [request] = seen
      assert.strictEqual(request?.url, "http://gateway:7480/backups/a%20b/c%2Bd")
      assert.strictEqual(request?.headers["x-amz-content-sha256"], sha256(content))
      assert.match(
        request?.headers["authorization"] ?? "",
        /^AWS4-HMAC-SHA256 Credential=the-access-key\/\d+\/here\/s3/
      )
      assert.match(request?.headers["authorization"] ?? "", /SignedHeaders=[^,]*x-amz-content-sha256/)
      assert.strictEqual(request?.headers["x-amz-security-token"], "one")
      const shown = `${error} ${error.message} ${Inspectable.format(error)} ${JSON.stringify(error)}`
      for (const secret of ["hunter2", "the-access-key", "Signature"]) assert.notInclude(shown, secret)
      assert.strictEqual(
        error.message,
        "cannot write s3://backups/a b/c+d: it answered 403, \"AccessDenied\""
      )
    }))

  const refusals: ReadonlyArray<readonly [answer: Response, reason: Reason, text: RegExp]> = [
    [refusing(403, "SignatureDoesNotMatch"), "refused", /secret key is not the one/],
    [refusing(403, "InvalidAccessKeyId"), "refused", /does not know this access key/],
    [refusing(403, "RequestTimeTooSkewed"), "clock", /clocks of this machine and of the store/],
    [refusing(404, "NoSuchBucket"), "bucket", /no such bucket/],
    [refusing(403, "QuotaExceeded"), "full", /quota of the store is used up/],
    [refusing(507), "full", /answered 507/],
    [refusing(400, "XAmzContentSHA256Mismatch"), "corrupt", /not those that were sent/],
    [refusing(301, "PermanentRedirect"), "unexpected", /answered 301/],
    [refusing(501, "NotImplemented"), "unexpected", /does not know conditional/],
    [refusing(400, "constructor"), "unexpected", /answered 400, "constructor"/],
    [new Response("<html>not S3 at all", { status: 404 }), "unexpected", /answered 404/],
    [new Response("content"), "unexpected", /no usable ETag/],
    [good("content", { etag: "\"a\tb\"" }), "unexpected", /no usable ETag/]
  ]
  for (const [answer, reason, text] of refusals) {
    it.effect(`says what ${answer.status} means: ${text.source}`, () =>
      Effect.gen(function*() {
        const { seen, use } = storeOf([answer])
        const error = yield* Effect.flip(use((store) => store.put("a", content)))
        assert.strictEqual(error.reason, reason)
        assert.match(error.message, text)
        assert.lengthOf(seen, 1)
      }))
  }

  const passing: ReadonlyArray<readonly [what: string, answer: Answer]> = [
    ["500", refusing(500)],
    ["503 SlowDown", refusing(503, "SlowDown")],
    ["429", refusing(429)],
    ["409 of a put at the same time", refusing(409, "ConditionalRequestConflict")],
    ["a lost connection", undefined],
    ["a body that broke off", () => new Response(new ReadableStream({ pull: (to) => to.error(new Error("reset")) }))],
    ["a body that is shorter than it says", () => good("con", { "content-length": "7" })]
  ]
  for (const [what, answer] of passing) {
    it.effect(`asks again after ${what}, and takes the answer that comes then`, () =>
      Effect.gen(function*() {
        const { seen, use } = storeOf([answer, answer, good()])
        const fetched = yield* hurried(use(get))
        assert.deepStrictEqual([...fetched.content], [...content])
        assert.lengthOf(seen, 3)
      }))

    it.effect(`gives up in the end when there is only ${what}`, () =>
      Effect.gen(function*() {
        const { seen, use } = storeOf([answer])
        const error = yield* hurried(Effect.flip(use(get)))
        assert.strictEqual(error._tag === "ObjectStoreError" && error.reason, "unavailable")
        assert.lengthOf(seen, 9)
      }))
  }

  it.effect("waits as long as the store asks for, but not for ever", () =>
    Effect.gen(function*() {
      for (const [asked, waited] of [["40", 40], ["Thu, 01 Jan 1970 00:30:00 GMT", 60], ["999999999", 60]] as const) {
        const { seen, use } = storeOf([refusing(429, "SlowDown", { "retry-after": asked }), good()])
        const fiber = yield* Effect.fork(use(get))
        yield* passTime(() => seen.length === 1, 0)
        // until the answer was understood
        yield* Effect.repeatN(computed, 5)
        const before = yield* Clock.currentTimeMillis
        yield* passTime(() => seen.length === 2, "1 second")
        const seconds = ((yield* Clock.currentTimeMillis) - before) / 1000
        assert.isTrue(seconds >= waited && seconds < waited + 20, `${asked}: ${seconds} s`)
        yield* Fiber.join(fiber)
      }
    }))

  it.effect("asks for credentials again when they have expired, once", () =>
    Effect.gen(function*() {
      const renewed = storeOf([refusing(400, "ExpiredToken"), good()], ["one", "two"])
      yield* hurried(renewed.use(get))
      assert.deepStrictEqual(renewed.seen.map(({ headers }) => headers["x-amz-security-token"]), ["one", "two"])
      const stale = storeOf([refusing(400, "ExpiredToken")])
      const error = yield* hurried(Effect.flip(stale.use(get)))
      assert.strictEqual(error._tag === "ObjectStoreError" && error.reason, "expired")
      assert.lengthOf(stale.seen, 2)
    }))

  it.effect("finds that a put whose answer was lost was its own", () =>
    Effect.gen(function*() {
      const missing = refusing(404)
      const { use } = storeOf([missing, undefined, refusing(412, "PreconditionFailed"), good(), refusing(412)])
      const { etag } = yield* hurried(use((store) => store.putIfAbsent("a", content)))
      assert.strictEqual(etag, "tag")
    }))

  it.effect("finds that it was somebody else's", () =>
    Effect.gen(function*() {
      const { use } = storeOf([refusing(404), undefined, refusing(412, "PreconditionFailed"), good("another")])
      const error = yield* hurried(Effect.flip(use((store) => store.putIfAbsent("a", content))))
      assert.strictEqual(error._tag, "ObjectConflict")
    }))

  it.effect("refuses an answer without end, and what says beforehand that it is too long", () =>
    Effect.gen(function*() {
      const endless = () =>
        new Response(new ReadableStream({ pull: (to) => to.enqueue(new Uint8Array(64)) }), { headers: { etag: "x" } })
      for (const answer of [endless, good("x", { "content-length": "1000000" })]) {
        const error = yield* Effect.flip(storeOf([answer]).use(get))
        assert.strictEqual(error._tag === "ObjectStoreError" && error.reason, "too-large")
      }
    }))

  it.effect("sees a byte that was changed on its way here", () =>
    Effect.gen(function*() {
      const changed = good("cOntent", { "x-amz-meta-backy-sha256": sha256(content) })
      const error = yield* Effect.flip(storeOf([changed]).use(get))
      assert.strictEqual(error._tag === "ObjectStoreError" && error.reason, "corrupt")
    }))

  it.effect("does not take the whole for a part, nor another part for the one it asked for", () =>
    Effect.gen(function*() {
      const part = (store: ObjectStore["Type"]) => store.get("a", { limit: 9, range: { offset: 2, length: 3 } })
      const ranged = (body: string, range: string) =>
        new Response(body, { status: 206, headers: { etag: "x", "content-range": range } })
      for (
        const answer of [good("content"), ranged("nte", "bytes 3-5/7"), ranged("nt", "bytes 2-4/7"), ranged("nte", "")]
      ) {
        const error = yield* Effect.flip(storeOf([answer]).use(part))
        assert.strictEqual(error._tag === "ObjectStoreError" && error.reason, "unexpected")
      }
      assert.strictEqual((yield* storeOf([ranged("nte", "bytes 2-4/7")]).use(part)).size, 7)
    }))
})

describe("a listing of S3", () => {
  const entry = (key: string, size = "1") =>
    `<Contents><Key>${key}</Key><ETag>&quot;t&quot;</ETag><Size>${size}</Size>` +
    "<LastModified>2026-11-27T09:00:00.000Z</LastModified></Contents>"
  const page = (inner: string, next?: string) =>
    new Response(
      `<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${inner}<IsTruncated>${
        next !== undefined
      }</IsTruncated>${
        next === undefined ? "" : `<NextContinuationToken>${next}</NextContinuationToken>`
      }</ListBucketResult>`
    )
  const keys = (store: ObjectStore["Type"]) =>
    Effect.map(Stream.runCollect(store.list("p/")), (chunk) => Array.from(chunk, ({ key }) => key))

  it.effect("goes on over pages, also empty ones", () =>
    Effect.gen(function*() {
      const pages = [page(entry("p/a%20b") + entry("p/c%2Bd"), "1"), page("", "2"), page(entry("p/%C3%A4"))]
      const { seen, use } = storeOf(pages)
      assert.deepStrictEqual(yield* use(keys), ["p/a b", "p/c+d", "p/ä"])
      assert.deepStrictEqual(seen.map(({ url }) => new URL(url).searchParams.get("continuation-token")), [
        null,
        "1",
        "2"
      ])
    }))

  const wrong: ReadonlyArray<readonly [what: string, answers: ReadonlyArray<Response>, text: RegExp]> = [
    ["is cut off", [new Response("<ListBucketResult><Contents><Key>p/a</Key>")], /is no listing/],
    ["is none", [new Response("{}")], /is no listing/],
    ["brings a document type", [new Response("<!DOCTYPE a [<!ENTITY b \"c\">]><ListBucketResult/>")], /is no listing/],
    ["does not say that it ends", [new Response("<ListBucketResult></ListBucketResult>")], /whether it is complete/],
    ["goes on without saying where", [page(entry("p/a"), "")], /whether it is complete/],
    ["goes in circles", [page(entry("p/a"), "1"), page(entry("p/a"), "2")], /not in order/],
    ["never ends", [page("", "1")], /does not end/],
    ["has keys of others", [page(entry("q/a"))], /not in order/],
    ["has an object without a key", [page("<Contents><Size>1</Size></Contents>")], /without a key/],
    ["has a key that is none", [page(entry("p/%zz"))], /without a key/],
    ["has a size that is none", [page(entry("p/a", "-1"))], /a size/]
  ]
  for (const [what, answers, text] of wrong) {
    it.effect(`that ${what} is refused`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(storeOf(answers).use(keys))
        assert.strictEqual(error.reason, "unexpected")
        assert.match(error.message, text)
      }))
  }
})
