/** What alphas of 3.0 wrote, version 3 of the format: upgrade converts it, everything else refuses it. */
import { assert, describe, it } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as ChunkMap from "../../src/domain/ChunkMap.ts"
import * as Revision from "../../src/domain/Revision.ts"
import { START } from "../../src/library/Simulation.ts"
import { distrust } from "../../src/operation/distrust.ts"
import { expire } from "../../src/operation/expire.ts"
import { find } from "../../src/operation/find.ts"
import { tags } from "../../src/operation/tags.ts"
import { upgrade } from "../../src/operation/upgrade.ts"
import { upgradeAlpha } from "../../src/operation/upgradeAlpha.ts"
import { portable, toHex } from "../../src/platform/hash.ts"
import { loseAll } from "../../src/platform/MemoryCrash.ts"
import type { MemoryDisk } from "../../src/platform/MemoryDisk.ts"
import * as MapFile from "../../src/repository/mapFile.ts"
import { Repository } from "../../src/repository/Repository.ts"
import * as RevisionFile from "../../src/repository/revisionFile.ts"
import { breathe } from "../support/breathe.ts"
import { addSmallHistory } from "../support/legacyRevision.ts"
import * as Machine from "../support/Machine.ts"
import * as Scenarios from "../support/scenarios.ts"
import * as Survey from "../support/Survey.ts"
import { REPOSITORY, schedule } from "../support/World.ts"

const machine = Machine.make()
const { wait } = Scenarios

let seed = 0
const run = <A, E>(disk: MemoryDisk, operation: Effect.Effect<A, E, Machine.Services>): Exit.Exit<A, E> =>
  machine.run(disk, operation, { seed: ++seed, start: START + seed * 3_600_000 })

const upgradeAs = (backend: "chunked" | "cowfile", dryRun = false) => upgrade({ dryRun, force: false, backend, wait })

/** Writes the metadata of a revision, and its map, as an alpha did. */
const toAlpha = (disk: MemoryDisk, id: string): void => {
  const path = `${REPOSITORY}/${id}.rev`
  const revision = Either.getOrThrow(RevisionFile.decode(disk.bytesAt(path)))
  let { mapDigest } = revision
  if (mapDigest !== undefined) {
    const place = `${REPOSITORY}/${id}${revision.isImage ? ".map" : ""}`
    const map = ChunkMap.encode(Either.getOrThrow(MapFile.decode(disk.bytesAt(place))), 3)
    mapDigest = toHex(portable(map))
    disk.plantFile(place, map, 0o440)
  }
  const text = Revision.encodeYaml(Revision.update(revision, { mapDigest }))
    .replace("chunked-v4", "chunked-v3").replace("cowfile-v4", "cowfile")
  disk.plantFile(path, new TextEncoder().encode(text), 0o440)
}

/** A repository with chunks, an image, one that was never completed, and one of 2.5 that an alpha had distrusted. */
const prepared = (() => {
  const { memory } = Scenarios.prepare(machine, {
    name: "alpha",
    prepare: (bench) => {
      addSmallHistory(bench.memory.disk, Machine.BLOCK)
      bench.image("aab.")
      bench.run(Scenarios.backup)
      bench.image("acb.d")
      bench.run(Scenarios.cow)
      bench.image("ceb.d")
      bench.run(Scenarios.backup)
      bench.run(distrust({ revisions: "KDYVkEfuhFx5cpRJDZbZGm", from: undefined, until: undefined, wait }))
    },
    operation: Effect.void
  })
  const begun = Revision.make({
    id: Revision.fromRandom(new Uint8Array(16).fill(9)),
    backendType: "chunked-v4",
    timestamp: DateTime.unsafeMake(START),
    parent: null,
    tags: ["daily"],
    trust: "trusted",
    stats: {}
  })
  assert.isTrue(Exit.isSuccess(run(memory, Effect.flatMap(Repository, ({ publish }) => publish(begun)))))
  memory.syncAll()
  const before = Survey.take(memory)
  const alphas = [...before.complete.values()].filter(({ revision }) =>
    !revision.isLegacy || revision.distrust !== undefined
  ).map(({ revision }) => revision.id)
  for (const id of [...alphas, begun.id]) toAlpha(memory, id)
  memory.syncAll()
  return { memory, before, alphas, begun: begun.id }
})()

const { alphas, before, begun, memory } = prepared

/** Everything is there as it was before there were alphas. */
const isConverted = (disk: MemoryDisk, where: string): void => {
  const after = Survey.take(disk)
  assert.deepStrictEqual([...after.complete.keys()].sort(), [...before.complete.keys()].sort(), where)
  assert.deepStrictEqual([...after.broken, ...after.orphans, ...after.temporary], [], where)
  for (const [id, was] of before.complete) {
    const is = after.complete.get(id)
    assert.isTrue(is?.image !== undefined && was.image !== undefined, `${where}: ${id}`)
    assert.deepStrictEqual(is?.image, was.image, `${where}: ${id}`)
    assert.deepStrictEqual(is?.revision, was.revision, `${where}: ${id}`)
  }
}

describe("what an alpha of 3.0 wrote", () => {
  it("is refused by everything but upgrade, which is told, and changed by nothing", () => {
    assert.strictEqual(alphas.length, 4)
    for (const id of alphas) {
      const operations: Record<string, Effect.Effect<unknown, unknown, Machine.Services>> = {
        restore: Scenarios.restoreTo("/restore/x", { revision: id }),
        find: find(id),
        tags: tags({ revisions: "latest", change: "set", tags: ["weekly"], schedule, wait }),
        purge: Scenarios.purge
      }
      for (const [name, operation] of Object.entries(operations)) {
        const disk = memory.clone()
        const exit = run(disk, operation)
        assert.isTrue(Exit.isFailure(exit), name)
        if (name !== "restore" && name !== "find") assert.include(String(exit), "backy upgrade converts it", name)
        assert.deepStrictEqual(
          Survey.take(disk).chunks,
          Survey.take(memory).chunks,
          name
        )
      }
    }
    const disk = memory.clone()
    const others: ReadonlyArray<Effect.Effect<unknown, unknown, Machine.Services>> = [
      Scenarios.verifyAll,
      Scenarios.backup,
      expire({ schedule, dryRun: false, unknownTags: true, wait })
    ]
    for (const operation of others) {
      run(disk, operation)
      for (const id of [...alphas, begun]) {
        assert.deepStrictEqual(disk.bytesAt(`${REPOSITORY}/${id}.rev`), memory.bytesAt(`${REPOSITORY}/${id}.rev`))
      }
    }
    run(disk, upgradeAs("cowfile"))
    const after = Survey.take(disk)
    for (const id of alphas) assert.deepStrictEqual(after.complete.get(id)?.image, before.complete.get(id)?.image, id)
  })

  it("is told by a dry run, and whatever its backend is converted as it was", () => {
    const plan = run(memory.clone(), upgradeAs("cowfile", true))
    assert.isTrue(Exit.isSuccess(plan))
    if (Exit.isFailure(plan)) return
    assert.deepStrictEqual(plan.value.plan.alphas.map(({ id }) => id).sort(), [...alphas, begun].sort())
    const disk = memory.clone()
    assert.isTrue(Exit.isSuccess(run(disk, upgradeAs("chunked"))))
    const after = Survey.take(disk)
    for (const [id, was] of before.complete) {
      assert.strictEqual(after.complete.get(id)?.revision.backendType, "chunked-v4")
      assert.deepStrictEqual(after.complete.get(id)?.image, was.image, id)
    }
    assert.deepStrictEqual(after.incomplete, [begun])
  })

  it("is left as it is, and told, when its map is not the one of which it has the digest", () => {
    const disk = memory.clone()
    const [id = ""] = alphas.filter((one) => before.complete.get(one)?.revision.backendType === "chunked-v4")
    const map = disk.bytesAt(`${REPOSITORY}/${id}`)
    const other = Uint8Array.from(map)
    // a digit of the first chunk
    other[60] = map[60] === 0x30 ? 0x31 : 0x30
    disk.plantFile(`${REPOSITORY}/${id}`, other, 0o440)
    const exit = run(disk, upgradeAs("cowfile"))
    assert.include(String(exit), id)
    assert.isTrue(Exit.isFailure(exit))
    disk.plantFile(`${REPOSITORY}/${id}`, map, 0o440)
    assert.isTrue(Exit.isSuccess(run(disk, upgradeAs("cowfile"))))
  })

  it("is converted by the next upgrade, wherever one was interrupted", { timeout: 300_000 }, async () => {
    // only what an alpha made: what an upgrade does to other revisions has its own test
    const isAlphas = (disk: MemoryDisk) => run(disk, upgradeAlphasOnly)
    const points: Array<MemoryDisk> = []
    const disk = memory.clone()
    disk.onOperation = () => void points.push(disk.clone())
    assert.isTrue(Exit.isSuccess(isAlphas(disk)))
    disk.onOperation = undefined
    assert.isAbove(points.length, 50)
    for (const [n, point] of points.entries()) {
      for (const left of [point, point.crash(loseAll)]) {
        await breathe()
        assert.isTrue(Exit.isSuccess(isAlphas(left)), `before call ${n + 1}`)
        run(left, Scenarios.purge)
        isConverted(left, `before call ${n + 1}`)
      }
    }
    isConverted(disk, "at once")
  })
})

/** With images kept as images and nothing in chunks of 2.5 left to convert. */
const upgradeAlphasOnly = Effect.flatMap(
  Repository,
  ({ history }) =>
    Effect.flatMap(history, ({ broken }) =>
      Effect.forEach(
        broken.flatMap(({ alpha }) => alpha === undefined ? [] : [alpha.id]),
        (id) => upgradeAlpha(id, wait, Effect.void),
        { discard: true }
      ))
)
