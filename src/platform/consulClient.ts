/** The Consul of this machine over HTTP, at the address that `CONSUL_HTTP_ADDR` names. */
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import { Consul, DEFAULT_ADDRESS, layer } from "./Consul.ts"
import { variable } from "./variable.ts"

/** What `Connector` promises. */
export const connect = (token: Option.Option<Redacted.Redacted>): Effect.Effect<Consul["Type"]> =>
  variable("CONSUL_HTTP_ADDR", DEFAULT_ADDRESS).pipe(
    Effect.flatMap((address) => Effect.provide(Consul, Layer.provide(layer({ address, token }), FetchHttpClient.layer)))
  )
