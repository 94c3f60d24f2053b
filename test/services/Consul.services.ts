import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { randomUUID } from "node:crypto"
import * as Consul from "../../src/platform/Consul.ts"
import { consulContract } from "../support/contract/Consul.contract.ts"
import { LIMITED_TOKEN } from "./start.ts"

consulContract("the real one", () => {
  const address = process.env["CONSUL_HTTP_ADDR"] ?? ""
  const as = (token: string | undefined) =>
    Layer.provide(
      Consul.layer({ address, token: Option.map(Option.fromNullable(token), (text) => Redacted.make(text)) }),
      FetchHttpClient.layer
    )
  return {
    manager: as(process.env["CONSUL_HTTP_TOKEN"]),
    limited: as(LIMITED_TOKEN),
    stranger: as(undefined),
    prefix: randomUUID()
  }
})
