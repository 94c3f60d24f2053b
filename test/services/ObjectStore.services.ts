import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { createServer, request } from "node:http"
import type { AddressInfo } from "node:net"
import { ObjectStore } from "../../src/remote/ObjectStore.ts"
import { objectStoreContract } from "../support/contract/ObjectStore.contract.ts"
import * as Bucket from "./bucket.ts"

const plain = await Bucket.fresh()
const versioned = await Bucket.fresh({ versioned: true })

objectStoreContract("a Ceph object gateway", () => ({
  layer: Bucket.storeOf(plain, { page: 5 }),
  prefix: "plain",
  versioned: false,
  atomic: true
}))
objectStoreContract("a Ceph object gateway's bucket with versions", () => ({
  layer: Bucket.storeOf(versioned, { page: 5 }),
  prefix: "versioned",
  versioned: true,
  // release 16 ignores the conditions there
  atomic: false
}))

/** A proxy before the gateway that changes one byte of each body that passes, in one direction. */
const flipping = Effect.acquireRelease(
  Effect.async<{ readonly address: string; direction: "down" | "none" | "up"; close: () => void }>((resume) => {
    const target = new URL(Bucket.endpoint())
    const flip = (on: boolean, bytes: Buffer) => {
      if (on && bytes.length > 0) bytes[bytes.length >> 1]! ^= 1
      return bytes
    }
    const server = createServer((incoming, outgoing) => {
      const onward = request({
        host: target.hostname,
        port: target.port,
        method: incoming.method,
        path: incoming.url,
        headers: incoming.headers
      }, (answer) => {
        outgoing.writeHead(answer.statusCode ?? 500, answer.headers)
        answer.on("data", (bytes: Buffer) => outgoing.write(flip(proxy.direction === "down", bytes)))
        answer.on("end", () => outgoing.end())
      })
      incoming.on("data", (bytes: Buffer) => onward.write(flip(proxy.direction === "up", bytes)))
      incoming.on("end", () => onward.end())
    })
    const proxy = {
      address: "",
      direction: "none" as "down" | "none" | "up",
      close: () => {
        server.closeAllConnections()
        server.close()
      }
    }
    server.listen(0, "127.0.0.1", () => {
      // the host is part of the signature, and the gateway sees the one that the client meant
      resume(Effect.succeed(Object.assign(proxy, {
        address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`
      })))
    })
  }),
  (proxy) => Effect.sync(() => proxy.close())
)

describe("the object gateway", () => {
  it.scopedLive("takes no byte that a proxy has changed, and we neither", () =>
    Effect.gen(function*() {
      const proxy = yield* flipping
      const content = new Uint8Array(100_000).fill(7)
      const attempt = <A, E>(use: (store: ObjectStore["Type"]) => Effect.Effect<A, E>) =>
        Effect.provide(Effect.flatMap(ObjectStore, use), Bucket.storeOf(plain, { endpoint: proxy.address }))
      yield* attempt((store) => store.put("proxy/whole", content))
      proxy.direction = "up"
      const up = yield* Effect.flip(attempt((store) => store.put("proxy/changed", content)))
      assert.strictEqual(up.reason, "corrupt")
      proxy.direction = "down"
      const down = yield* Effect.flip(attempt((store) => store.get("proxy/whole", { limit: 200_000 })))
      assert.strictEqual(down._tag === "ObjectStoreError" && down.reason, "corrupt")
      proxy.direction = "none"
      assert.strictEqual((yield* Effect.flip(attempt((store) => store.head("proxy/changed"))))._tag, "ObjectMissing")
      yield* attempt((store) => store.get("proxy/whole", { limit: 200_000 }))
    }))

  it.live("refuses a wrong secret, and an unknown bucket is said to be one", () =>
    Effect.gen(function*() {
      const put = Effect.flatMap(ObjectStore, (store) => store.putIfAbsent("a", new Uint8Array(1)))
      const wrong = yield* Effect.flip(Effect.provide(put, Bucket.storeOf(plain, { secret: "hunter2" })))
      assert.strictEqual(wrong._tag === "ObjectStoreError" && wrong.reason, "refused")
      assert.notInclude(`${wrong.message} ${JSON.stringify(wrong)}`, "hunter2")
      const gone = yield* Effect.flip(Effect.provide(put, Bucket.storeOf("no-such-bucket")))
      assert.strictEqual(gone._tag === "ObjectStoreError" && gone.reason, "bucket")
      const read = Effect.flatMap(ObjectStore, (store) => store.get("a", { limit: 1 }))
      const unread = yield* Effect.flip(Effect.provide(read, Bucket.storeOf("no-such-bucket")))
      assert.strictEqual(unread._tag === "ObjectStoreError" && unread.reason, "bucket")
    }))
})
