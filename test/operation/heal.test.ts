import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { basename, dirname } from "node:path"
import { purge } from "../../src/operation/purge.ts"
import { listReports } from "../../src/operation/reports.ts"
import { verify } from "../../src/operation/verify.ts"
import { loseAll } from "../../src/platform/MemoryCrash.ts"
import * as Survey from "../support/Survey.ts"
import { backup, REPOSITORY, restored, setFile } from "../support/World.ts"
import * as Scenario from "./scenario.ts"

const { backupOf, blocks, chunkOf, inScene } = Scenario

const verifyAll = verify({ revisions: "all", wait: Scenario.zero })

/** All that may happen to a chunk's file; the source has its content still. */
const faults: Record<string, (scene: Scenario.Scene, path: string) => void> = {
  missing: ({ disk }, path) => disk.unlink(path),
  swapped: (scene, path) => Scenario.tamper(scene, path, () => scene.memory.bytesAt(chunkOf(blocks(1))))
}
for (const [name, change] of Object.entries(Scenario.damages)) {
  faults[name] = (scene, path) => Scenario.tamper(scene, path, change)
}

/** What else may lie there: nothing that rename replaces by itself, or that may be read. */
const strangers: Record<string, (scene: Scenario.Scene, path: string) => void> = {
  "an empty directory": ({ memory }, path) => memory.plantDirectory(path),
  "a directory with a file in it": ({ disk, memory }, path) => {
    memory.plantDirectory(path)
    setFile(disk, `${path}/file`, Uint8Array.of(1))
  },
  "a link to nowhere": ({ memory }, path) => memory.plantLink("/nowhere", path),
  "a link to a directory": ({ memory }, path) => memory.plantLink(REPOSITORY, path),
  "a pipe": ({ memory }, path) => memory.plantOther(path),
  "a block device": ({ memory }, path) => memory.plantDevice(path, 4096),
  "a socket": ({ memory }, path) => memory.plantOther(path, "socket")
}
for (const [name, plant] of Object.entries(strangers)) {
  faults[`now ${name}`] = (scene, path) => {
    scene.disk.unlink(path)
    plant(scene, path)
  }
}

describe("a backup heals", () => {
  for (const [name, fault] of Object.entries(faults)) {
    it.effect(`a chunk of its base that is ${name}, while it compares`, () =>
      inScene((scene) =>
        Effect.gen(function*() {
          const first = yield* backupOf(scene, blocks(1, 2, 3))
          fault(scene, chunkOf(blocks(2)))
          const second = yield* backupOf(scene, blocks(1, 2, 4))
          assert.strictEqual(second.base, first.revision.id)
          assert.deepStrictEqual(yield* restored(first.revision.id), blocks(1, 2, 3))
          assert.deepStrictEqual(yield* restored(second.revision.id), blocks(1, 2, 4))
          yield* verifyAll
        })
      ))

    it.effect(`a chunk without a base that is ${name}: a file of that name alone is not believed`, () =>
      inScene((scene) =>
        Effect.gen(function*() {
          const first = yield* backupOf(scene, blocks(1, 2, 3))
          fault(scene, chunkOf(blocks(2)))
          scene.disk.unlink(`${REPOSITORY}/${first.revision.id}.rev`)
          scene.disk.unlink(`${REPOSITORY}/${first.revision.id}`)
          const second = yield* backupOf(scene, blocks(1, 2, 3))
          assert.strictEqual(second.base, undefined)
          assert.deepStrictEqual([second.chunks.written, second.chunks.found], [1, 2])
          assert.deepStrictEqual(yield* restored(second.revision.id), blocks(1, 2, 3))
        })
      ))

    it.effect(`revisions whose chunk was found ${name}: they are verified again, and the next backup is no full one`, () =>
      inScene((scene) =>
        Effect.gen(function*() {
          const first = yield* backupOf(scene, blocks(1, 2, 3))
          const second = yield* backupOf(scene, blocks(1, 2, 4))
          fault(scene, chunkOf(blocks(2)))
          assert.strictEqual((yield* Scenario.failureOf(verifyAll))._tag, "DamageFound")
          assert.deepStrictEqual(yield* Scenario.trusts, ["distrusted", "distrusted"])
          const third = yield* backupOf(scene, blocks(1, 2, 5))
          assert.strictEqual(third.base, second.revision.id)
          assert.strictEqual(third.chunks.written, 1)
          assert.deepStrictEqual(yield* Scenario.trusts, ["verified", "verified", "trusted"])
          assert.deepStrictEqual(yield* restored(first.revision.id), blocks(1, 2, 3))
          yield* verifyAll
        })
      ))
  }

  it.effect("a chunk in whose place is a directory, and keeps what is in it", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, blocks(1, 2, 3))
        const path = chunkOf(blocks(2))
        faults["now a directory with a file in it"]?.(scene, path)
        yield* backupOf(scene, blocks(1, 2, 4))
        assert.strictEqual(scene.disk.lstat(path).kind, "file")
        const folder = dirname(path)
        const aside = scene.disk.list(folder).filter((name) => name.startsWith(`${basename(path)}.set-aside-`))
        assert.strictEqual(aside.length, 1)
        assert.deepStrictEqual([...scene.memory.bytesAt(`${folder}/${aside[0]}/file`)], [1])
        const { chunks, unknown } = yield* purge({ dryRun: false, wait: Scenario.zero })
        assert.deepStrictEqual([chunks, unknown], [0, 1])
        assert.deepStrictEqual([...scene.memory.bytesAt(`${folder}/${aside[0]}/file`)], [1])
      })
    ))

  it.effect("no trust that a power loss would belie: a killed run put the chunk back, but not its name on the medium", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const { disk, memory } = scene
        const { revision } = yield* backupOf(scene, blocks(1, 2, 3))
        const path = chunkOf(blocks(2))
        const good = memory.bytesAt(path)
        disk.unlink(path)
        yield* Effect.exit(verifyAll)
        assert.deepStrictEqual(yield* Scenario.trusts, ["distrusted"])
        setFile(disk, `${path}.new`, good)
        memory.syncAll()
        disk.rename(`${path}.new`, path)
        // the source cannot help any more
        yield* backupOf(scene, blocks(1, 9, 3))
        assert.deepStrictEqual(yield* Scenario.trusts, ["verified", "trusted"])
        const left = Survey.take(memory.crash(loseAll)).complete.get(revision.id)
        assert.isTrue(left !== undefined && Survey.isWhole(left))
      })
    ))

  it.effect("evidence of what it replaced goes to quarantine", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const first = yield* backupOf(scene, blocks(1, 2, 3))
        Scenario.tamper(scene, chunkOf(blocks(2)), Scenario.flipBit)
        const bad = scene.memory.bytesAt(chunkOf(blocks(2)))
        const { revision } = yield* backupOf(scene, blocks(1, 2, 3))
        assert.notStrictEqual(revision.id, first.revision.id)
        const [found] = yield* listReports()
        if (found?.report._tag !== "Right") return assert.fail("no report")
        const { blocks: reported, kind } = found.report.right
        assert.strictEqual(kind, "damaged")
        assert.deepStrictEqual(reported.map(({ chunk }) => chunk), [Scenario.hexOf(blocks(2))])
        const kept = scene.memory.bytesAt(`${REPOSITORY}/quarantine/chunks/${Scenario.hexOf(bad)}`)
        assert.deepStrictEqual(Uint8Array.from(kept), Uint8Array.from(bad))
        assert.isTrue(
          scene.log.some((line) => line.startsWith("WARN") && line.includes("1 stored chunks were damaged"))
        )
      })
    ))

  it.effect("any number of chunks, and keeps the contents of 16 of them", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const image = blocks(...Array.from({ length: 50 }, (_, index) => index + 1))
        yield* backupOf(scene, image)
        for (let byte = 1; byte <= 50; byte++) {
          // each file is another one
          Scenario.tamper(scene, chunkOf(blocks(byte)), (bytes) => Scenario.join(bytes, new Uint8Array([byte])))
        }
        const { compared, revision } = yield* backupOf(scene, image)
        assert.strictEqual(compared.healed.length, 50)
        assert.strictEqual(compared.healed.filter(({ raw }) => raw !== undefined).length, 16)
        assert.strictEqual(scene.disk.list(`${REPOSITORY}/quarantine/chunks`).length, 16)
        assert.deepStrictEqual(yield* restored(revision.id), image)
      })
    ))

  it.effect("a bad sector: a good file is renamed over the one that cannot be read", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, blocks(1, 2))
        const bad = scene.disk.lstat(chunkOf(blocks(2))).ino
        scene.memory.onOperation = (_, name, path) => {
          if (name === "read" && path === chunkOf(blocks(2)) && scene.disk.lstat(path).ino === bad) {
            throw Object.assign(new Error("EIO: i/o error, read"), { code: "EIO", syscall: "read", path })
          }
        }
        const { revision } = yield* backupOf(scene, blocks(1, 2))
        assert.deepStrictEqual(yield* restored(revision.id), blocks(1, 2))
        yield* verifyAll
      })
    ))

  it.effect("a repository that lost all of its chunks", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, blocks(1, 2, 3))
        for (const path of Scenario.chunkFiles(scene)) scene.disk.unlink(`${REPOSITORY}/${path}`)
        for (const folder of scene.disk.list(`${REPOSITORY}/chunks`)) {
          if (folder !== "store") scene.disk.removeDirectory(`${REPOSITORY}/chunks/${folder}`)
        }
        scene.disk.unlink(`${REPOSITORY}/chunks/store`)
        scene.disk.removeDirectory(`${REPOSITORY}/chunks`)
        yield* Scenario.failureOf(verifyAll)
        yield* backupOf(scene, blocks(1, 2, 4))
        assert.deepStrictEqual(yield* Scenario.trusts, ["distrusted", "trusted"], "block 3 is gone for ever")
        assert.deepStrictEqual(yield* restored("latest"), blocks(1, 2, 4))
        yield* backupOf(scene, blocks(1, 2, 3))
        assert.deepStrictEqual(yield* Scenario.trusts, ["verified", "trusted", "trusted"])
        yield* verifyAll
      })
    ))

  it.effect("the last partial chunk of an older, shorter image", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const short = blocks(1, 2).subarray(0, 5000)
        const first = yield* backupOf(scene, short)
        scene.disk.unlink(chunkOf(blocks(2).subarray(0, 5000 - 4096)))
        yield* Scenario.failureOf(verifyAll)
        yield* backupOf(scene, blocks(1, 2, 3))
        assert.deepStrictEqual(yield* Scenario.trusts, ["verified", "trusted"])
        assert.deepStrictEqual(yield* restored(first.revision.id), Uint8Array.from(short))
      })
    ))
})

describe("a backup cannot heal", () => {
  it.effect("what the source no longer has, and is good itself all the same", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const first = yield* backupOf(scene, blocks(1, 2, 3))
        Scenario.tamper(scene, chunkOf(blocks(2)), Scenario.flipBit)
        yield* Scenario.failureOf(verifyAll)
        const bad = scene.memory.bytesAt(chunkOf(blocks(2)))
        const second = yield* backupOf(scene, blocks(1, 9, 3))
        assert.deepStrictEqual(yield* Scenario.trusts, ["distrusted", "trusted"])
        assert.strictEqual(second.base, undefined)
        assert.deepStrictEqual([second.chunks.written, second.chunks.found], [1, 2])
        assert.deepStrictEqual(scene.memory.bytesAt(chunkOf(blocks(2))), bad, "the bad file stays in place")
        assert.strictEqual((yield* Scenario.failureOf(restored(first.revision.id)))._tag, "RestoreIncomplete")
      })
    ))

  it.effect("the newest revision's chunk, and builds on an older one that is whole", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const first = yield* backupOf(scene, blocks(1, 2))
        yield* backupOf(scene, blocks(1, 3))
        scene.disk.unlink(chunkOf(blocks(3)))
        yield* Scenario.failureOf(verifyAll)
        assert.deepStrictEqual(yield* Scenario.trusts, ["verified", "distrusted"])
        const third = yield* backupOf(scene, blocks(1, 4))
        assert.strictEqual(third.base, first.revision.id)
      })
    ))

  it.effect("a mismatch with the source: such a revision stays distrusted and is no base", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const first = yield* backupOf(scene, blocks(1, 2))
        const second = yield* backupOf(scene, blocks(1, 3))
        yield* Scenario.distrustAs(second.revision.id, "source-mismatch")
        const third = yield* backupOf(scene, blocks(1, 3))
        assert.strictEqual(third.base, first.revision.id)
        assert.deepStrictEqual(yield* Scenario.trusts, ["trusted", "distrusted", "trusted"])
      })
    ))

  it.effect("by deleting: a revision with lost chunks keeps all that it has", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const first = yield* backupOf(scene, blocks(1, 2, 3))
        scene.disk.unlink(chunkOf(blocks(2)))
        const before = Scenario.filesBelow(scene).filter((path) => path.startsWith("chunks"))
        yield* Scenario.failureOf(verifyAll)
        Scenario.setImage(scene, blocks(7))
        yield* backup(["daily"], { acceptShrink: true })
        for (const path of before) assert.include(Scenario.filesBelow(scene), path)
        assert.include(Scenario.published(scene), `${first.revision.id}.rev`)
      })
    ))

  it.effect("and does not call a failed healing afterwards a failed backup", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const first = yield* backupOf(scene, blocks(1, 2))
        scene.disk.unlink(chunkOf(blocks(2)))
        yield* Scenario.failureOf(verifyAll)
        Scenario.failWhere(scene, (name, path) =>
          name === "open" && path.includes(`.${first.revision.id}.rev.`) ? "EACCES" : undefined)
        // block 2 comes back at another place, so only the reading after the commit finds the old revision whole
        const second = yield* backupOf(scene, blocks(1, 5, 2))
        assert.isTrue(second.revision.isComplete)
        assert.deepStrictEqual(yield* Scenario.trusts, ["distrusted", "trusted"])
        Scenario.heal(scene)
        yield* backupOf(scene, blocks(1, 5, 2))
        assert.deepStrictEqual(yield* Scenario.trusts, ["verified", "trusted", "trusted"])
        assert.strictEqual(
          scene.log.filter((line) =>
            line.includes(`${first.revision.id} is whole again`)
          ).length,
          1
        )
      })
    ))
})
