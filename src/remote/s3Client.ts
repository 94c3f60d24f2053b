/** A bucket as the environment and AWS's files say where it is and who asks. Loaded by who needs a store, and by nobody else. */
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { CredentialsUnusable } from "./credentials.ts"
import * as Credentials from "./credentials.ts"
import { ObjectStore } from "./ObjectStore.ts"
import * as S3 from "./s3ObjectStore.ts"

/** A redirection is not followed: it would take what is signed for one host to another. */
const http = Layer.provideMerge(
  FetchHttpClient.layer,
  Layer.succeed(FetchHttpClient.RequestInit, { redirect: "manual" })
)

/** The store of a bucket. Fails when it cannot be known where that is; credentials are looked for when they are needed. */
export const layer = (bucket: string): Layer.Layer<ObjectStore, CredentialsUnusable, FileSystem.FileSystem> =>
  Layer.effect(
    ObjectStore,
    Effect.gen(function*() {
      const files = yield* FileSystem.FileSystem
      const place = yield* Credentials.place
      const credentials = Effect.provideService(Credentials.credentials, FileSystem.FileSystem, files)
      return yield* S3.make({ ...place, bucket, credentials })
    })
  ).pipe(Layer.provide(http))
