/** An HTTP client that gets the answers of a list, one after the other, the last one for ever. */
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientError from "@effect/platform/HttpClientError"
import type * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

/** What comes: a response, nothing (the connection is lost), or an answer that depends on what was asked. */
export type Answer = Response | undefined | ((request: HttpClientRequest.HttpClientRequest) => Response | undefined)

/** The client, and what it was asked. */
export const answering = (answers: ReadonlyArray<Answer>) => {
  const seen: Array<HttpClientRequest.HttpClientRequest> = []
  const client = HttpClient.make((request) =>
    Effect.suspend(() => {
      const next = answers[Math.min(seen.length, answers.length - 1)]
      seen.push(request)
      // a clone of an endless body cannot be given up
      const answer = typeof next === "function" ? next(request) : next?.clone()
      return answer === undefined
        ? new HttpClientError.RequestError({ request, reason: "Transport" })
        : Effect.succeed(HttpClientResponse.fromWeb(request, answer))
    })
  )
  return { seen, layer: Layer.succeed(HttpClient.HttpClient, client) }
}
