import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import * as Consul from "../../src/platform/Consul.ts"
import { RbdError } from "../../src/platform/Rbd.ts"
import { nameOf } from "../../src/source/CephRbdSource.ts"
import { take } from "../../src/source/FlyingCircusSource.ts"
import * as CephWorld from "../support/CephWorld.ts"
import * as World from "../support/World.ts"

const { IMAGE } = CephWorld

interface Behaviour {
  /** Seconds after the request until the VM has its snapshot made; without it never. */
  readonly answersAfter?: number
  /** Whether diffs cannot be had. */
  readonly isBroken?: () => boolean
  /** Wraps what Consul does. */
  readonly wrap?: (consul: Consul.Consul["Type"]) => Consul.Consul["Type"]
}

/** A world in which the image's VM is asked through Consul. */
const make = (behaviour: Behaviour = {}) => {
  const keys = new Map<string, string>()
  const polls: Array<number> = []
  const requests: Array<string> = []
  const memory = Consul.makeMemory(keys)
  const watched = Consul.Consul.of({
    ...memory,
    put: (key, value) =>
      Effect.gen(function*() {
        yield* memory.put(key, value)
        requests.push(value)
        if (behaviour.answersAfter === undefined) return
        const { snapshot }: { readonly snapshot: string } = JSON.parse(value)
        yield* Effect.forkDaemon(Effect.delay(
          Effect.sync(() => {
            if (!world.ceph.snapshotNames(IMAGE).includes(snapshot)) world.ceph.snapshot(IMAGE, snapshot)
          }),
          `${behaviour.answersAfter} seconds`
        ))
      })
  })
  const world = CephWorld.make({
    take: take((behaviour.wrap ?? ((consul) => consul))(watched), "vm1"),
    wrap: (rbd) => ({
      ...rbd,
      diff: (image, request) =>
        behaviour.isBroken?.() === true
          ? Stream.fail(new RbdError({ operation: "read", what: IMAGE, code: "EIO", detail: "connection lost" }))
          : rbd.diff(image, request),
      snapshots: (image) =>
        Effect.zipRight(
          Effect.map(Clock.currentTimeMillis, (now) => void polls.push(now / 1000)),
          rbd.snapshots(image)
        )
    })
  })
  return { ...world, keys, polls, requests }
}

/** Runs a backup while two minutes pass. */
const backup = Effect.gen(function*() {
  const fiber = yield* Effect.fork(World.backup())
  for (let second = 0; second < 120; second++) yield* TestClock.adjust("1 second")
  return yield* Fiber.join(fiber)
})

const down = (operation: string) =>
  new Consul.ConsulError({ operation, reason: "unavailable", detail: "no connection" })

describe("flyingcircus source", () => {
  it.effect("takes the snapshot that the VM has made, and leaves no request behind", () => {
    const world = make({ answersAfter: 20 })
    return world.run(Effect.gen(function*() {
      const { revision } = yield* backup
      assert.deepStrictEqual(world.requests, [JSON.stringify({ vm: "vm1", snapshot: nameOf(revision.id) })])
      assert.deepStrictEqual(world.ceph.snapshotNames(IMAGE), [nameOf(revision.id)])
      assert.strictEqual(world.keys.size, 0)
    }))
  })

  it.effect("takes a plain snapshot when the VM does not answer for 90 seconds, and asks Ceph gently meanwhile", () => {
    const world = make()
    return world.run(Effect.gen(function*() {
      const { revision } = yield* backup
      assert.deepStrictEqual(world.ceph.snapshotNames(IMAGE), [nameOf(revision.id)])
      assert.strictEqual(world.keys.size, 0)
      const waiting = world.polls.filter((at) => at > 0 && at < 90)
      assert.isAtLeast(waiting.length, 5)
      assert.isAtMost(waiting.length, 12)
    }))
  })

  it.effect("removes its own old requests and what nobody can read, and nothing else", () => {
    const world = make({ answersAfter: 4 })
    const other = JSON.stringify({ vm: "vm2", snapshot: "backy-x" })
    world.keys.set("snapshot/1", JSON.stringify({ vm: "vm1", snapshot: "backy-old" }))
    world.keys.set("snapshot/2", other)
    world.keys.set("snapshot/3", "{not json")
    world.keys.set("snapshot/4", "[1, 2]")
    world.keys.set("snapshot/5", "")
    world.keys.set("snapshot/6", "{\"something\": \"else\"}")
    world.keys.set("elsewhere", "{not json")
    return world.run(Effect.gen(function*() {
      yield* backup
      assert.deepStrictEqual(
        [...world.keys],
        [["snapshot/2", other], ["snapshot/6", "{\"something\": \"else\"}"], ["elsewhere", "{not json"]]
      )
    }))
  })

  const troubles: ReadonlyArray<readonly [string, (consul: Consul.Consul["Type"]) => Consul.Consul["Type"]]> = [
    ["Consul is down", () => ({
      get: () => down("read"),
      list: () => down("list"),
      put: () => down("write"),
      remove: () => down("remove")
    })],
    ["requests cannot be put", (consul) => ({ ...consul, put: () => down("write") })],
    ["the answer to a request is lost", (consul) => ({
      ...consul,
      put: (key, value) => Effect.zipRight(consul.put(key, value), down("write"))
    })],
    ["requests cannot be listed", (consul) => ({ ...consul, list: () => down("list") })],
    ["keys vanish while they are listed", (consul) => ({
      ...consul,
      list: (prefix) => Effect.map(consul.list(prefix), (all) => [...all, { key: "snapshot/gone", value: "{not json" }])
    })]
  ]
  for (const [what, wrap] of troubles) {
    it.effect(`makes a backup all the same when ${what}`, () => {
      const world = make({ wrap })
      return world.run(Effect.gen(function*() {
        const { revision } = yield* backup
        assert.deepStrictEqual(world.ceph.snapshotNames(IMAGE), [nameOf(revision.id)])
        assert.strictEqual(world.keys.size, 0)
      }))
    })
  }

  it.effect("takes the late answer of a VM for one", () => {
    const world = make({ answersAfter: 89.5 })
    return world.run(Effect.gen(function*() {
      const { revision } = yield* backup
      assert.deepStrictEqual(world.ceph.snapshotNames(IMAGE), [nameOf(revision.id)])
    }))
  })

  it.effect("removes with the next backup what a VM makes after a backup without its help has failed", () => {
    let broken = true
    const world = make({ answersAfter: 100, isBroken: () => broken })
    return world.run(Effect.gen(function*() {
      assert.match((yield* Effect.flip(backup)).message, /connection/)
      const [late = ""] = world.ceph.snapshotNames(IMAGE)
      assert.include(world.requests[0], late)
      broken = false
      const { revision } = yield* backup
      assert.deepStrictEqual(world.ceph.snapshotNames(IMAGE), [nameOf(revision.id)])
    }))
  })

  it.effect("takes its request back when it is interrupted", () => {
    const world = make()
    return world.run(Effect.gen(function*() {
      const fiber = yield* Effect.fork(World.backup())
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(world.keys.size, 1)
      assert.isTrue(Exit.isInterrupted(yield* Fiber.interrupt(fiber)))
      assert.strictEqual(world.keys.size, 0)
      assert.deepStrictEqual(world.ceph.snapshotNames(IMAGE), [])
    }))
  })

  it.effect("does not ask for an image that is not there", () => {
    const world = make()
    return world.run(Effect.gen(function*() {
      world.ceph.remove(IMAGE)
      assert.match((yield* Effect.flip(World.backup())).message, /there is no such image/)
      assert.deepStrictEqual(world.requests, [])
    }))
  })
})
