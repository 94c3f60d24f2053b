import { assert, describe, it } from "@effect/vitest"
import { randomUUID } from "node:crypto"
import { join } from "node:path"
import { setTimeout as pass } from "node:timers/promises"
import * as Backy from "./backy.ts"
import * as Cluster from "./cluster.ts"
import { LIMITED_TOKEN } from "./start.ts"

const MiB = 1024 * 1024

const consul = async (method: string, path: string, body?: string): Promise<string> => {
  const response = await fetch(`http://${process.env["CONSUL_HTTP_ADDR"]}/v1/kv/${path}`, {
    method,
    headers: { "X-Consul-Token": process.env["CONSUL_HTTP_TOKEN"] ?? "" },
    ...body === undefined ? {} : { body }
  })
  return response.status === 404 ? "[]" : response.text()
}

/** All requests that lie in Consul. */
const requests = async (): Promise<ReadonlyArray<{ readonly vm?: string; readonly snapshot?: string }>> =>
  JSON.parse(await consul("GET", "snapshot/?recurse")).flatMap(({ Value }: { readonly Value: string | null }) => {
    try {
      return [JSON.parse(Buffer.from(Value ?? "", "base64").toString())]
    } catch {
      return []
    }
  })

const setUp = async (directory: string) => {
  const image = Cluster.fresh()
  const vm = `vm-${randomUUID().slice(0, 8)}`
  await Cluster.create(image, 8 * MiB)
  const repository = join(directory, "vm")
  await Backy.done(repository, ["init", "flyingcircus", `rbd/${image},${vm}`], { CONSUL_HTTP_TOKEN: LIMITED_TOKEN })
  return { image, vm, repository }
}

describe("a VM of the Flying Circus, with a real Consul and a real cluster", () => {
  it("is asked for its snapshot, which is then backed up", async () => {
    using directory = Backy.temporary()
    const { image, repository, vm } = await setUp(directory.path)
    const { ended } = Backy.start(repository, ["backup", "daily"])
    let request: { readonly snapshot?: string } | undefined
    while (request === undefined) {
      await pass(100)
      request = (await requests()).find((one) => one.vm === vm)
    }
    // what the agent on the VM's host does
    await Cluster.rbd("snap", "create", "--no-progress", `rbd/${image}@${request.snapshot}`)
    const { code, stderr } = await ended
    assert.strictEqual(code, 0, stderr)
    assert.notMatch(stderr, /without its help/)
    assert.deepStrictEqual((await requests()).filter((one) => one.vm === vm), [])
  })

  it("that never answers is backed up all the same, and no request is left", async () => {
    using directory = Backy.temporary()
    const { repository, vm } = await setUp(directory.path)
    await consul("PUT", `snapshot/${randomUUID()}`, JSON.stringify({ vm, snapshot: "backy-of-an-earlier-run" }))
    await consul("PUT", `snapshot/${randomUUID()}`, "{not json")
    const { code, stderr } = await Backy.run(repository, ["backup", "daily"])
    assert.strictEqual(code, 0, stderr)
    assert.match(stderr, new RegExp(`VM ${vm} did not answer within 1m 30s; taking a snapshot without its help`))
    assert.deepStrictEqual((await requests()).filter((one) => one.vm === vm), [])
    assert.notInclude(await consul("GET", "snapshot/?recurse"), Buffer.from("{not json").toString("base64"))
  })

  it("is backed up when Consul is down, or refuses the token", async () => {
    using directory = Backy.temporary()
    const { repository } = await setUp(directory.path)
    const down = await Backy.run(repository, ["backup", "daily"], { CONSUL_HTTP_ADDR: "127.0.0.1:9" })
    assert.strictEqual(down.code, 0, down.stderr)
    assert.match(down.stderr, /cannot write snapshot\/\S+ to Consul: no connection to http:\/\/127\.0\.0\.1:9/)
    assert.notInclude(down.stderr, LIMITED_TOKEN)
  })

  it("whose image is missing is not asked for anything", async () => {
    using directory = Backy.temporary()
    const { image, repository, vm } = await setUp(directory.path)
    await Cluster.rbd("rm", "--no-progress", `rbd/${image}`)
    const { code, stderr } = await Backy.run(repository, ["backup", "daily"])
    assert.strictEqual(code, 1)
    assert.match(stderr, /there is no such image/)
    assert.deepStrictEqual((await requests()).filter((one) => one.vm === vm), [])
  })
})
