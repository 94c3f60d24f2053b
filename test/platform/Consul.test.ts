import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Inspectable from "effect/Inspectable"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import * as Consul from "../../src/platform/Consul.ts"
import { consulContract } from "../support/contract/Consul.contract.ts"

const keys = new Map<string, string>()
consulContract("twin", () => ({
  manager: Consul.layerMemory(keys),
  limited: Consul.layerMemory(keys, (key) => key.startsWith("snapshot/")),
  stranger: Consul.layerMemory(keys, () => false),
  prefix: "twin"
}))

/** What a Consul answers, one after the other, the last one for ever. `undefined`: no connection. */
const answering = (answers: ReadonlyArray<Response | undefined>) => {
  const seen: Array<string> = []
  const client = HttpClient.make((request) =>
    Effect.suspend(() => {
      const answer = answers[Math.min(seen.length, answers.length - 1)]
      seen.push(`${request.method} ${request.url} ${request.headers["authorization"] ?? ""}`.trim())
      return answer === undefined
        ? new HttpClientError.RequestError({ request, reason: "Transport" })
        : Effect.succeed(HttpClientResponse.fromWeb(request, answer.clone()))
    })
  )
  const layer = Consul.layer({ address: "consul:8500", token: Option.some(Redacted.make("hunter2")) })
  return { seen, layer: Layer.provide(layer, Layer.succeed(HttpClient.HttpClient, client)) }
}

/** Runs the effect, giving it the time that it wants to wait. */
const hurried = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.flatMap(Effect.fork(effect), (fiber) => Effect.zipRight(TestClock.adjust("5 minutes"), Fiber.join(fiber)))

const get = Effect.flatMap(Consul.Consul, (consul) => consul.get("a/b"))

describe("Consul over HTTP", () => {
  const unusable: ReadonlyArray<readonly [what: string, answer: () => Response, message: RegExp]> = [
    ["HTML", () => new Response("<html>"), /not the list of keys/],
    ["JSON of another shape", () => Response.json({ Key: "a/b" }), /not the list of keys/],
    ["a value that is a number", () => Response.json([{ Key: "a/b", Value: 7 }]), /not the list of keys/],
    ["a redirect", () => new Response(null, { status: 301 }), /answered 301/],
    ["a refusal", () => new Response("ACL not found", { status: 403 }), /403, "ACL not found"/]
  ]
  for (const [what, answer, message] of unusable) {
    it.effect(`does not believe ${what}, and asks once`, () =>
      Effect.gen(function*() {
        const { layer, seen } = answering([answer()])
        const error = yield* Effect.flip(Effect.provide(get, layer))
        assert.match(error.message, message)
        assert.strictEqual(seen.length, 1)
      }))
  }

  for (const answer of [new Response("no leader", { status: 500 }), new Response(null, { status: 429 }), undefined]) {
    it.effect(`asks again after ${answer?.status ?? "a lost connection"}, and takes the answer that comes then`, () =>
      Effect.gen(function*() {
        const { layer, seen } = answering([answer, answer, Response.json([{ Key: "a/b", Value: "eA==" }])])
        assert.deepStrictEqual(yield* hurried(Effect.provide(get, layer)), Option.some("x"))
        assert.strictEqual(seen.length, 3)
      }))

    it.effect(`gives up in the end when there is only ${answer?.status ?? "no connection"}`, () =>
      Effect.gen(function*() {
        const { layer, seen } = answering([answer])
        const error = yield* hurried(Effect.flip(Effect.provide(get, layer)))
        assert.strictEqual(error.reason, "unavailable")
        assert.strictEqual(seen.length, 4)
      }))
  }

  it.effect("does not wait for ever for an answer", () =>
    Effect.gen(function*() {
      const silent = Layer.succeed(HttpClient.HttpClient, HttpClient.make(() => Effect.never))
      const layer = Layer.provide(Consul.layer({ address: "http://consul", token: Option.none() }), silent)
      const error = yield* hurried(Effect.flip(Effect.provide(get, layer)))
      assert.match(error.message, /no answer from http:\/\/consul within 10s/)
    }))

  it.effect("refuses an answer without end", () =>
    Effect.gen(function*() {
      const endless = new Response(new ReadableStream({ pull: (to) => to.enqueue(new Uint8Array(1024 * 1024)) }))
      const response = (request: Parameters<typeof HttpClientResponse.fromWeb>[0]) =>
        HttpClientResponse.fromWeb(request, endless)
      const client = HttpClient.make((request) => Effect.succeed(response(request)))
      const layer = Layer.provide(
        Consul.layer({ address: "consul", token: Option.none() }),
        Layer.succeed(HttpClient.HttpClient, client)
      )
      assert.match((yield* Effect.flip(Effect.provide(get, layer))).message, /longer than/)
    }))

  it.effect("sends the token, and shows it nowhere", () =>
    Effect.gen(function*() {
      const { layer, seen } = answering([new Response(null, { status: 403 })])
      const error = yield* Effect.flip(Effect.provide(get, layer))
      assert.deepStrictEqual(seen, ["GET http://consul:8500/v1/kv/a/b Bearer hunter2"])
      assert.notInclude(`${error} ${error.message} ${Inspectable.format(error)}`, "hunter2")
    }))
})
