/** Revisions as network block devices, over the simulated disk and connections in memory. */
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as ChunkMap from "../../src/domain/ChunkMap.ts"
import * as Client from "../../src/nbd/Client.ts"
import * as Protocol from "../../src/nbd/protocol.ts"
import { backup as backupOperation } from "../../src/operation/backup.ts"
import { serve } from "../../src/operation/nbd/serve.ts"
import { purge } from "../../src/operation/purge.ts"
import * as Repository from "../../src/repository/Repository.ts"
import * as Fixture from "../support/fixture.ts"
import * as MemoryListener from "../support/memoryListener.ts"
import { make } from "../support/nbdClient.ts"
import { CHUNK, layerOn, REPOSITORY, restored, schedule } from "../support/World.ts"
import {
  backupOf,
  blocks,
  chunkOf,
  damages,
  failureOf,
  failWhere,
  heal,
  inScene,
  join,
  setImage,
  tamper
} from "./scenario.ts"

const wait = Duration.zero
const address = { _tag: "Unix", path: "/run/x.sock" } as const

/** Serves a revision until the scope ends. */
const serving = (revision: string) =>
  Effect.gen(function*() {
    const listener = yield* MemoryListener.make
    const served = yield* Effect.provide(serve({ revision, address, wait }), listener.layer)
    return { ...served, stream: listener.connect, connect: Effect.map(listener.connect, make) }
  })

/** All of an export, by our own client. */
const contentOf = (stream: Effect.Effect<MemoryListener.Side>, name: string) =>
  Effect.scoped(Effect.gen(function*() {
    const client = yield* Client.over(yield* stream, { name })
    return client.size === 0 ? new Uint8Array(0) : yield* client.read(0, client.size)
  }))

const tail = Uint8Array.of(1, 2, 3)
const [first, second] = [join(blocks(1, 0, 3, 4), tail), blocks(1, 5, 0, 4, 0, 0)]

describe("serving revisions", () => {
  it.effect("gives the selected one without a name and each complete one by its id, as restore does", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const older = yield* backupOf(scene, first)
        const newer = yield* backupOf(scene, second)
        yield* Effect.scoped(Effect.gen(function*() {
          const { connect, revision, size, stream, uri } = yield* serving("1")
          assert.deepStrictEqual([revision, size], [older.revision.id, first.length])
          assert.strictEqual(uri, "nbd+unix:///?socket=/run/x.sock")
          const [oldId, newId] = [older.revision.id, newer.revision.id]
          assert.deepStrictEqual(yield* contentOf(stream, ""), first)
          assert.deepStrictEqual(yield* contentOf(stream, oldId), first)
          assert.deepStrictEqual(yield* contentOf(stream, newId), second)
          assert.deepStrictEqual(yield* contentOf(stream, newId), yield* restored("latest"))
          const client = yield* connect
          yield* client.greet()
          const names = (yield* client.option(Protocol.OPTION.list)).slice(0, -1)
            .map(({ data }) => data.toString("utf8", 4, 4 + data.readUInt32BE(0)))
          assert.deepStrictEqual(names, ["", oldId, newId])
          const [{ answer } = { answer: 0 }] = yield* client.option(
            Protocol.OPTION.go,
            Buffer.concat([Buffer.of(0, 0, 0, 1), Buffer.from("x\0\0")])
          )
          assert.strictEqual(answer, Protocol.ANSWER.unknown)
        }))
      })
    ))

  it.effect("tells holes as the chunk map has them", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, join(blocks(0, 0, 1, 2, 0), tail))
        yield* Effect.scoped(Effect.gen(function*() {
          const client = yield* (yield* serving("latest")).connect
          const { size } = yield* client.go()
          assert.deepStrictEqual((yield* client.status(0, size)).extents, [[2 * CHUNK, 3], [2 * CHUNK, 0], [CHUNK, 3], [
            3,
            0
          ]])
          assert.deepStrictEqual((yield* client.status(CHUNK + 5, CHUNK)).extents, [[CHUNK - 5, 3], [5, 0]])
          assert.deepStrictEqual((yield* client.read(0, size)).chunks.map(([kind]) => kind), [2, 2, 1, 2, 1])
        }))
      })
    ))

  for (const kinds of [["chunked"], ["cowfile"], ["chunked", "cowfile", "quarantine"]] as const) {
    it.effect(`of backy 2.5.3 (${kinds.join(", ")}) gives what 2.5.3 restored`, () => {
      const { disk } = Fixture.makeDisk(REPOSITORY, ...kinds)
      const layer = Layer.merge(
        layerOn(disk),
        Layer.provide(Repository.layer(REPOSITORY, { chunkSize: ChunkMap.CHUNK_SIZE }), layerOn(disk))
      )
      return Effect.scoped(Effect.gen(function*() {
        const { stream } = yield* serving("latest")
        for (const [name, { sha256 }] of Object.entries(Fixture.revisions(...kinds))) {
          assert.strictEqual(Fixture.sha256(yield* contentOf(stream, name)), sha256, name)
        }
      })).pipe(Effect.provide(layer))
    })
  }

  it.effect("of our own image files gives what they hold, and EIO for what was changed", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        setImage(scene, first)
        const { revision } = yield* backupOperation({
          tags: ["daily"],
          schedule,
          force: false,
          backend: "cowfile",
          wait
        })
        tamper(scene, `${REPOSITORY}/${revision.id}`, (bytes) => {
          bytes[2 * CHUNK + 7] = 99
          return bytes
        })
        yield* Effect.scoped(Effect.gen(function*() {
          const client = yield* (yield* serving("latest")).connect
          yield* client.go()
          assert.deepStrictEqual(
            Uint8Array.from((yield* client.read(0, 2 * CHUNK)).bytes),
            first.subarray(0, 2 * CHUNK)
          )
          assert.strictEqual((yield* client.read(2 * CHUNK, 1)).error, Protocol.ERROR.EIO)
        }))
      })
    ))

  for (const [what, damage] of Object.entries(damages)) {
    it.effect(`answers EIO for what touches a chunk that is ${what}, says so once, and serves the rest`, () =>
      inScene((scene) =>
        Effect.gen(function*() {
          yield* backupOf(scene, first)
          tamper(scene, chunkOf(blocks(3)), damage)
          yield* Effect.scoped(Effect.gen(function*() {
            const client = yield* (yield* serving("latest")).connect
            const { size } = yield* client.go()
            for (const [offset, length] of [[0, size], [2 * CHUNK, 1], [3 * CHUNK - 1, 2]] as const) {
              const { bytes, error, text } = yield* client.read(offset, length)
              assert.strictEqual(error, Protocol.ERROR.EIO)
              assert.match(text, /^chunk [0-9a-f]{64} of revision \w+ /)
              assert.isTrue(bytes.every((byte) => byte === 0))
            }
            const rest = yield* client.read(3 * CHUNK, CHUNK + 3)
            assert.deepStrictEqual(Uint8Array.from(rest.bytes), first.subarray(3 * CHUNK))
          }))
          assert.strictEqual(scene.log.filter((line) => line.startsWith("ERROR")).length, 1, scene.log.join("\n"))
        })
      ))
  }

  it.effect("answers EIO while the disk does, and the content when the disk is well again", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, first)
        yield* Effect.scoped(Effect.gen(function*() {
          const client = yield* (yield* serving("latest")).connect
          yield* client.go()
          failWhere(scene, (name, path) => name === "read" && path === chunkOf(blocks(1)) ? "EIO" : undefined)
          assert.strictEqual((yield* client.read(5, 5)).error, Protocol.ERROR.EIO)
          heal(scene)
          assert.deepStrictEqual(Uint8Array.from((yield* client.read(5, 5)).bytes), Uint8Array.of(1, 1, 1, 1, 1))
        }))
      })
    ))

  it.effect("keeps purge away for as long as it serves", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, first)
        const scope = yield* Scope.make()
        yield* Scope.extend(serving("latest"), scope)
        const error = yield* failureOf(purge({ wait, dryRun: false }))
        assert.strictEqual(error._tag, "LockHeld")
        yield* Scope.close(scope, Exit.void)
        yield* purge({ wait, dryRun: false })
      })
    ))

  it.effect("refuses what it cannot serve before it listens", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const { revision } = yield* backupOf(scene, first)
        const fails = (spec: string) => Effect.map(failureOf(Effect.scoped(serving(spec))), ({ _tag }) => _tag)
        assert.strictEqual(yield* fails("daily..latest & weekly"), "SpecFailed")
        tamper(scene, `${REPOSITORY}/${revision.id}`, (bytes) => bytes.subarray(0, 40))
        assert.strictEqual(yield* fails("latest"), "MapUnusable")
      })
    ))
})
