/** What the platform's own client does with answers that only a real connection can give. */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { ObjectStore } from "../../src/remote/ObjectStore.ts"
import { layer } from "../../src/remote/s3Client.ts"

/** A server on this machine for the time of a test, and the URLs that it was asked for. */
const serving = (handle: (request: IncomingMessage, response: ServerResponse) => void) =>
  Effect.acquireRelease(
    Effect.async<{ readonly address: string; readonly seen: Array<string>; readonly stop: () => void }>((resume) => {
      const seen: Array<string> = []
      const server = createServer((request, response) => {
        seen.push(`${request.method} ${request.url}`)
        request.resume()
        request.on("end", () => handle(request, response))
      })
      const stop = () => {
        server.closeAllConnections()
        server.close()
      }
      server.listen(0, "127.0.0.1", () => {
        const { port } = server.address() as AddressInfo
        resume(Effect.succeed({ address: `http://127.0.0.1:${port}`, seen, stop }))
      })
    }),
    ({ stop }) => Effect.sync(stop)
  )

const asking = <A, E>(address: string, use: (store: ObjectStore["Type"]) => Effect.Effect<A, E>) => {
  const variables = { AWS_ENDPOINT_URL: address, AWS_ACCESS_KEY_ID: "a", AWS_SECRET_ACCESS_KEY: "hunter2" }
  return Effect.flatMap(ObjectStore, use).pipe(
    Effect.provide(layer("backups")),
    Effect.provide(NodeFileSystem.layer),
    Effect.withConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(variables))))
  )
}

describe("S3 over a real connection", () => {
  it.scopedLive("is not followed to another address", () =>
    Effect.gen(function*() {
      const server = yield* serving((_, response) => response.writeHead(307, { location: "/elsewhere" }).end())
      const error = yield* Effect.flip(asking(server.address, (store) => store.get("a", { limit: 9 })))
      assert.match(error.message, /it answered 307$/)
      assert.deepStrictEqual(server.seen, ["GET /backups/a"])
    }))

  it.scopedLive("is asked again when a body breaks off", () =>
    Effect.gen(function*() {
      let broken = 0
      const server = yield* serving((_, response) => {
        response.writeHead(200, { etag: "\"x\"", "content-length": "7" })
        if (broken++ === 0) response.write("con", () => response.destroy())
        else response.end("content")
      })
      const { content } = yield* asking(server.address, (store) => store.get("a", { limit: 9 }))
      assert.strictEqual(new TextDecoder().decode(content), "content")
      assert.lengthOf(server.seen, 2)
    }))

  it.scopedLive("is asked for bytes as they are", () =>
    Effect.gen(function*() {
      const server = yield* serving((request, response) =>
        response.writeHead(200, { etag: "\"x\"" }).end(String(request.headers["accept-encoding"]))
      )
      const { content } = yield* asking(server.address, (store) => store.get("a", { limit: 99 }))
      assert.strictEqual(new TextDecoder().decode(content), "identity")
    }))
})
