/** Buckets of the real object gateway. */
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import { AwsClient } from "aws4fetch"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { randomUUID } from "node:crypto"
import { ObjectStore } from "../../src/remote/ObjectStore.ts"
import * as S3 from "../../src/remote/s3ObjectStore.ts"

const variable = (name: string): string => process.env[name] ?? ""

/** Where the gateway is. */
export const endpoint = (): string => variable("RGW_ENDPOINT")

const administrator = () =>
  new AwsClient({
    accessKeyId: variable("AWS_ACCESS_KEY_ID"),
    secretAccessKey: variable("AWS_SECRET_ACCESS_KEY"),
    service: "s3",
    region: variable("AWS_DEFAULT_REGION"),
    retries: 0
  })

/** What no store of ours does. */
const administer = async (path: string, init: RequestInit): Promise<string> => {
  const response = await administrator().fetch(`${endpoint()}/${path}`, init)
  const text = await response.text()
  if (!response.ok) throw new Error(`${init.method ?? "GET"} ${path}: ${response.status} ${text}`)
  return text
}

/** Makes a bucket and gives its name. */
export const fresh = async (options: { readonly versioned?: boolean } = {}): Promise<string> => {
  const bucket = `test-${randomUUID().slice(0, 13)}`
  await administer(bucket, { method: "PUT" })
  if (options.versioned === true) {
    await administer(`${bucket}?versioning=`, {
      method: "PUT",
      body: "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    })
  }
  return bucket
}

/** The store of a bucket, asked at another address or with another secret if need be. */
export const storeOf = (
  bucket: string,
  options: { readonly endpoint?: string; readonly secret?: string; readonly page?: number } = {}
) =>
  Layer.effect(
    ObjectStore,
    S3.make({
      endpoint: options.endpoint ?? endpoint(),
      region: variable("AWS_DEFAULT_REGION"),
      bucket,
      ...options.page === undefined ? {} : { page: options.page },
      credentials: Effect.succeed({
        accessKey: Redacted.make(variable("AWS_ACCESS_KEY_ID")),
        secretKey: Redacted.make(options.secret ?? variable("AWS_SECRET_ACCESS_KEY")),
        sessionToken: Option.none()
      })
    })
  ).pipe(Layer.provide(FetchHttpClient.layer))
