import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { forget } from "../../src/operation/forget.ts"
import { purge as purgeOperation } from "../../src/operation/purge.ts"
import { Repository } from "../../src/repository/Repository.ts"
import { CHUNK, REPOSITORY, restored } from "../support/World.ts"
import * as Scenario from "./scenario.ts"

const { backupOf, blocks, chunkOf, inScene } = Scenario

const purge = (options?: { readonly dryRun?: boolean }) =>
  purgeOperation({ dryRun: options?.dryRun ?? false, wait: Scenario.zero })

const forgetOne = (revisions: string) => forget({ revisions, force: false, wait: Scenario.zero })

/** Two revisions of which the older one is forgotten: block 2 is no longer needed. */
const withGarbage = (scene: Scenario.Scene) =>
  Effect.gen(function*() {
    yield* backupOf(scene, blocks(1, 2, 0))
    yield* backupOf(scene, blocks(1, 3, 0))
    yield* forgetOne("first")
  })

const nothingIsLost = Effect.gen(function*() {
  for (const { id } of (yield* Scenario.history).complete) yield* restored(id)
})

describe("purge", () => {
  it.effect("removes the chunks that no revision names, and no others", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* withGarbage(scene)
        const size = scene.disk.lstat(chunkOf(blocks(2))).size
        const report = yield* purge()
        assert.deepStrictEqual(report, {
          chunks: 1,
          bytes: size,
          leftovers: 0,
          maps: 0,
          kept: 2,
          unknown: 0,
          legacyKept: undefined
        })
        assert.deepStrictEqual(
          Scenario.chunkFiles(scene).map((path) => `${REPOSITORY}/${path}`).sort(),
          [chunkOf(blocks(1)), chunkOf(blocks(3))].sort()
        )
        assert.deepStrictEqual(yield* restored("latest"), blocks(1, 3, 0))
      })
    ))

  it.effect("says what it would do and changes nothing when run dry", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* withGarbage(scene)
        scene.memory.plantFile(`${REPOSITORY}/.x.rev.000000000000.tmp`, blocks(1))
        const before = scene.memory.describe()
        const report = yield* purge({ dryRun: true })
        assert.deepStrictEqual([report.chunks, report.leftovers], [1, 1])
        assert.deepStrictEqual(scene.memory.describe(), before)
        const real = yield* purge()
        assert.deepStrictEqual(real, report)
      })
    ))

  it.effect("keeps what distrusted revisions and those with a broken .rev name", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const first = yield* backupOf(scene, blocks(1, 2))
        const second = yield* backupOf(scene, blocks(1, 3))
        yield* backupOf(scene, blocks(4))
        yield* Scenario.distrustAs(first.revision.id, "source-mismatch")
        Scenario.tamper(scene, `${REPOSITORY}/${second.revision.id}.rev`, () => new TextEncoder().encode("{"))
        const report = yield* purge()
        assert.deepStrictEqual([report.chunks, report.kept], [0, 4])
      })
    ))

  it.effect("removes what an incomplete revision's chunks were, once that revision is gone", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const { revision } = yield* backupOf(scene, blocks(1))
        yield* (yield* Repository).publish(Scenario.begun(revision))
        assert.strictEqual((yield* purge()).chunks, 0, "its map is there")
        yield* forgetOne(revision.id)
        assert.strictEqual((yield* purge()).chunks, 1)
        assert.deepStrictEqual(Scenario.published(scene), [])
      })
    ))

  it.effect("collects temporary files and orphaned maps, and leaves unknown files alone", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const { revision } = yield* backupOf(scene, blocks(1))
        const folder = chunkOf(blocks(1)).split("/").slice(0, -1).join("/")
        const orphan = "KDYVkEfuhFx5cpRJDZbZGm"
        scene.memory.plantFile(`${folder}/.${Scenario.hexOf(blocks(9))}.chunk.zst.abcdef012345.tmp`, blocks(9))
        scene.memory.plantFile(`${REPOSITORY}/.${orphan}.rev.abcdef012345.tmp`, blocks(9))
        scene.memory.plantFile(`${REPOSITORY}/${orphan}`, scene.memory.bytesAt(`${REPOSITORY}/${revision.id}`))
        scene.memory.plantFile(`${folder}/notes.txt`, blocks(9))
        scene.memory.plantFile(`${REPOSITORY}/notes.txt`, blocks(9))
        const report = yield* purge()
        assert.deepStrictEqual(
          [report.chunks, report.leftovers, report.maps, report.unknown],
          [0, 2, 1, 1]
        )
        assert.deepStrictEqual(Scenario.temporaryFiles(scene), [])
        assert.deepStrictEqual(Scenario.published(scene), [revision.id, `${revision.id}.rev`].sort())
        assert.include(Scenario.filesBelow(scene), "notes.txt")
        yield* nothingIsLost
      })
    ))

  it.effect("works on a disk without a free byte", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* withGarbage(scene)
        scene.memory.capacity = scene.memory.used
        assert.strictEqual((yield* purge()).chunks, 1)
        assert.isBelow(scene.memory.used, scene.memory.capacity)
      })
    ))

  it.effect("makes the vanishing of revisions durable before the first chunk goes", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* withGarbage(scene)
        // somebody removed the revision without a sync, and the power fails while chunks are removed
        const { revision } = yield* backupOf(scene, blocks(1, 7))
        yield* backupOf(scene, blocks(1, 8))
        scene.memory.syncAll()
        scene.disk.unlink(`${REPOSITORY}/${revision.id}.rev`)
        scene.disk.unlink(`${REPOSITORY}/${revision.id}`)
        let seen = false
        scene.memory.onOperation = (_, name, path) => {
          if (name !== "unlink" || !path.endsWith(".chunk.zst")) return
          seen = true
          const after = scene.memory.crash(() => 0)
          assert.isFalse(after.disk.list(REPOSITORY).includes(`${revision.id}.rev`))
        }
        yield* purge()
        assert.isTrue(seen)
      })
    ))

  it.effect("fails when a chunk cannot be removed, having harmed nothing, and goes on next time", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* withGarbage(scene)
        Scenario.failWhere(scene, (name, path) => name === "unlink" && path.endsWith(".zst") ? "EIO" : undefined)
        const error = yield* Scenario.failureOf(purge())
        assert.strictEqual(error._tag, "IoError")
        assert.include(error.message, chunkOf(blocks(2)))
        Scenario.heal(scene)
        yield* nothingIsLost
        assert.strictEqual((yield* purge()).chunks, 1)
      })
    ))
})

describe("purge is blocked", () => {
  const changes: Record<string, (scene: Scenario.Scene, path: string) => void> = {
    "has no map": ({ disk }, path) => disk.unlink(path),
    "has an empty map": (scene, path) => Scenario.tamper(scene, path, () => new Uint8Array(0)),
    "has a torn map": (scene, path) => Scenario.tamper(scene, path, (bytes) => bytes.slice(0, -30)),
    "has a map that is no map": (scene, path) => Scenario.tamper(scene, path, () => blocks(1)),
    "has a map of which one digit is another": (scene, path) =>
      Scenario.tamper(scene, path, (bytes) => {
        const changed = Uint8Array.from(bytes)
        const last = changed.length - 2
        changed[last] = changed[last] === 0x30 ? 0x31 : 0x30
        return changed
      }),
    "has a map that cannot be read": (scene, path) =>
      Scenario.failWhere(scene, (name, at) => name === "read" && at === path ? "EIO" : undefined)
  }
  for (const [name, change] of Object.entries(changes)) {
    it.effect(`by a complete revision that ${name}; giving that revision up makes way`, () =>
      inScene((scene) =>
        Effect.gen(function*() {
          const { revision } = yield* backupOf(scene, blocks(1, 2))
          yield* backupOf(scene, blocks(1, 3))

          change(scene, `${REPOSITORY}/${revision.id}`)
          const before = Scenario.filesBelow(scene)
          const error = yield* Scenario.failureOf(purge())
          assert.strictEqual(error._tag, "PurgeBlocked", error.message)
          assert.include(error.message, "nothing was purged")
          assert.include(error.message, `backy forget -r ${revision.id}`)
          assert.deepStrictEqual(Scenario.filesBelow(scene), before)
          Scenario.heal(scene)
          yield* forgetOne(revision.id)
          yield* purge()
          assert.notInclude(Scenario.chunkFiles(scene).map((path) => `${REPOSITORY}/${path}`), chunkOf(blocks(9)))
          yield* nothingIsLost
        })
      ))
  }

  it.effect("by an unreadable map whose .rev is broken too", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const { revision } = yield* backupOf(scene, blocks(1, 2))
        yield* backupOf(scene, blocks(1, 3))
        Scenario.tamper(scene, `${REPOSITORY}/${revision.id}`, (bytes) => bytes.slice(0, CHUNK / 100))
        Scenario.tamper(scene, `${REPOSITORY}/${revision.id}.rev`, () => new Uint8Array(0))
        assert.strictEqual((yield* Scenario.failureOf(purge()))._tag, "PurgeBlocked")
        yield* forgetOne(revision.id)
        assert.strictEqual((yield* purge()).chunks, 1)
        yield* nothingIsLost
      })
    ))
})
