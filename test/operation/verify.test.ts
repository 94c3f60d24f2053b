import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { listReports } from "../../src/operation/reports.ts"
import { verify as verifyOperation } from "../../src/operation/verify.ts"
import { Repository } from "../../src/repository/Repository.ts"
import { backup, CHUNK, REPOSITORY, restored } from "../support/World.ts"
import * as Scenario from "./scenario.ts"

const { backupOf, blocks, chunkOf, inScene } = Scenario

const verify = (revisions = "all") => verifyOperation({ revisions, wait: Scenario.zero })

/** The report of a verification that must find damage. */
const damage = (revisions = "all") =>
  Effect.flatMap(
    Scenario.failureOf(verify(revisions)),
    (error) =>
      error._tag === "DamageFound" ? Effect.succeed({ ...error.report, message: error.message }) : Effect.die(error)
  )

describe("verify", () => {
  it.effect("reads every distinct chunk once and makes whole revisions verified", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, blocks(1, 2, 1, 0))
        yield* backupOf(scene, blocks(1, 3, 1, 0))
        const reads = new Map<string, number>()
        scene.memory.onOperation = (_, name, path) => {
          if (name === "open" && path.endsWith(".chunk.zst")) reads.set(path, (reads.get(path) ?? 0) + 1)
        }
        const report = yield* verify()
        assert.deepStrictEqual([report.chunks, report.bytes], [3, 3 * CHUNK])
        assert.deepStrictEqual(report.verdicts.map(({ state }) => state), ["verified", "verified"])
        assert.deepStrictEqual([...reads.values()], [1, 1, 1])
        assert.deepStrictEqual(yield* Scenario.trusts, ["verified", "verified"])
        assert.isDefined((yield* Scenario.history).complete[0]?.verifiedAt)
      })
    ))

  it.effect("verifies only the revisions that were asked for", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, blocks(1))
        yield* backupOf(scene, blocks(2))
        const { chunks, verdicts } = yield* verify("latest")
        assert.deepStrictEqual([chunks, verdicts.length], [1, 1])
        assert.deepStrictEqual(yield* Scenario.trusts, ["trusted", "verified"])
      })
    ))

  it.effect("is content with an image of zeros and with one of no bytes", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, blocks(0, 0))
        yield* backupOf(scene, new Uint8Array(0))
        const { chunks } = yield* verify()
        assert.strictEqual(chunks, 0)
        assert.deepStrictEqual(yield* Scenario.trusts, ["verified", "verified"])
      })
    ))

  const faults: Record<string, (scene: Scenario.Scene, path: string) => void> = {
    missing: ({ disk }, path) => disk.unlink(path),
    swapped: (scene, path) => Scenario.tamper(scene, path, () => scene.memory.bytesAt(chunkOf(blocks(1)))),
    "of another length": (scene, path) =>
      Scenario.tamper(scene, path, () => scene.memory.bytesAt(chunkOf(blocks(4).subarray(0, 9)))),
    "a directory": ({ disk }, path) => {
      disk.unlink(path)
      disk.makeDirectory(path, 0o750)
    }
  }
  for (const [name, change] of Object.entries(Scenario.damages)) {
    faults[name] = (scene, path) => Scenario.tamper(scene, path, change)
  }
  for (const [name, fault] of Object.entries(faults)) {
    it.effect(`finds a chunk that is ${name}, distrusts all revisions that name it, and destroys nothing`, () =>
      inScene((scene) =>
        Effect.gen(function*() {
          const first = yield* backupOf(scene, blocks(1, 2))
          const second = yield* backupOf(scene, Scenario.join(blocks(2, 3), blocks(4).subarray(0, 9)))
          const third = yield* backupOf(scene, blocks(5))
          fault(scene, chunkOf(blocks(2)))
          const before = Scenario.filesBelow(scene).filter((path) => !path.startsWith("quarantine"))
          const report = yield* damage(second.revision.id)
          assert.deepStrictEqual(report.verdicts.map(({ lost, revision, state }) => ({ lost, revision, state })), [{
            revision: second.revision.id,
            state: "damaged",
            lost: report.verdicts[0]?.lost ?? []
          }])
          assert.deepStrictEqual(report.verdicts[0]?.lost.map(({ length, offset }) => [offset, length]), [[0, CHUNK]])
          assert.include(report.message, second.revision.id)
          assert.deepStrictEqual(yield* Scenario.trusts, ["distrusted", "distrusted", "trusted"])
          assert.deepStrictEqual(Scenario.filesBelow(scene).filter((path) => !path.startsWith("quarantine")), before)
          const distrust = (yield* Scenario.revisionOf(first.revision.id)).distrust
          assert.deepStrictEqual(
            [distrust?.reason, distrust?.chunks],
            ["damaged", [Scenario.hexOf(blocks(2))]]
          )
          assert.deepStrictEqual(yield* restored(third.revision.id), blocks(5))
        })
      ))
  }

  it.effect("keeps a copy of a bad file and leaves it in its place", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, blocks(1, 2))
        Scenario.tamper(scene, chunkOf(blocks(2)), Scenario.flipBit)
        const bad = scene.memory.bytesAt(chunkOf(blocks(2)))
        yield* damage()
        assert.deepStrictEqual(scene.memory.bytesAt(chunkOf(blocks(2))), bad)
        assert.deepStrictEqual(scene.memory.bytesAt(`${REPOSITORY}/quarantine/chunks/${Scenario.hexOf(bad)}`), bad)
        const [found] = yield* listReports()
        assert.strictEqual(found?.report._tag === "Right" ? found.report.right.kind : undefined, "damaged")
      })
    ))

  it.effect("makes a damaged revision verified again when its chunk is back", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, blocks(1, 2))
        const good = scene.memory.bytesAt(chunkOf(blocks(2)))
        Scenario.tamper(scene, chunkOf(blocks(2)), Scenario.flipBit)
        yield* damage()
        assert.deepStrictEqual(yield* Scenario.trusts, ["distrusted"])
        Scenario.tamper(scene, chunkOf(blocks(2)), () => good)
        yield* verify()
        assert.deepStrictEqual(yield* Scenario.trusts, ["verified"])
        assert.isUndefined((yield* Scenario.history).complete[0]?.distrust)
      })
    ))

  it.effect("lifts distrust by hand, but never a mismatch with the source", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const first = yield* backupOf(scene, blocks(1))
        const second = yield* backupOf(scene, blocks(2))
        yield* Scenario.distrustAs(first.revision.id, "manual")
        yield* Scenario.distrustAs(second.revision.id, "source-mismatch")
        const { verdicts } = yield* verify()
        assert.deepStrictEqual(verdicts.map(({ state }) => state), ["verified", "source-mismatch"])
        assert.deepStrictEqual(yield* Scenario.trusts, ["verified", "distrusted"])
      })
    ))
})

describe("verify and read errors", () => {
  it.effect("calls a chunk that cannot be read unreadable, not damaged, and distrusts nothing", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, blocks(1, 2))
        const before = Scenario.filesBelow(scene)
        Scenario.failWhere(scene, (name, path) => name === "read" && path === chunkOf(blocks(2)) ? "EIO" : undefined)
        const report = yield* damage()
        assert.deepStrictEqual(report.verdicts.map(({ state }) => state), ["unreadable"])
        assert.include(report.verdicts[0]?.lost[0]?.why, "EIO")
        assert.deepStrictEqual(yield* Scenario.trusts, ["trusted"])
        assert.deepStrictEqual(Scenario.filesBelow(scene), before)
        Scenario.heal(scene)
        yield* verify()
        assert.deepStrictEqual(yield* Scenario.trusts, ["verified"])
      })
    ))

  it.effect("believes in damage only when two readings agree", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, blocks(1, 2))
        const good = scene.memory.bytesAt(chunkOf(blocks(2)))
        Scenario.tamper(scene, chunkOf(blocks(2)), Scenario.flipBit)
        let opened = 0
        scene.memory.onOperation = (_, name, path) => {
          if (name !== "open" || path !== chunkOf(blocks(2)) || ++opened !== 2) return
          Scenario.tamper(scene, path, () => good)
        }
        yield* verify()
        assert.deepStrictEqual(yield* Scenario.trusts, ["verified"])
      })
    ))

  it.effect("reads a bad chunk again when it holds the locks: a backup may have healed it", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, blocks(1, 2))
        const good = scene.memory.bytesAt(chunkOf(blocks(2)))
        Scenario.tamper(scene, chunkOf(blocks(2)), Scenario.flipBit)
        let opened = 0
        scene.memory.onOperation = (_, name, path) => {
          if (name !== "open" || path !== chunkOf(blocks(2)) || ++opened !== 3) return
          Scenario.tamper(scene, path, () => good)
        }
        yield* verify()
        assert.strictEqual(opened, 3)
        assert.deepStrictEqual(yield* Scenario.trusts, ["verified"])
        assert.deepStrictEqual(yield* listReports(), [])
      })
    ))

  it.effect("distrusts a revision whose map is damaged or missing, and no other", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const first = yield* backupOf(scene, blocks(1))
        const second = yield* backupOf(scene, blocks(2))
        yield* backupOf(scene, blocks(3))
        Scenario.tamper(scene, `${REPOSITORY}/${first.revision.id}`, Scenario.flipBit)
        scene.disk.unlink(`${REPOSITORY}/${second.revision.id}`)
        const { verdicts } = yield* damage()
        assert.deepStrictEqual(verdicts.map(({ state }) => state), ["map-unusable", "map-unusable", "verified"])
        assert.include(verdicts[1]?.reason, "it is missing")
        assert.deepStrictEqual(yield* Scenario.trusts, ["distrusted", "distrusted", "verified"])
      })
    ))

  it.effect("does not distrust a revision whose map could not be read for an I/O error", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const { revision } = yield* backupOf(scene, blocks(1))
        Scenario.failWhere(scene, (name, path) =>
          name === "read" && path === `${REPOSITORY}/${revision.id}` ? "EIO" : undefined)
        const { verdicts } = yield* damage()
        assert.deepStrictEqual(
          verdicts.map(({ state }) =>
            state
          ),
          ["unreadable"]
        )
        assert.include(verdicts[0]?.reason, "EIO")
        assert.deepStrictEqual(yield* Scenario.trusts, ["trusted"])
      })
    ))

  it.effect("reads a revision in the ancestor's format", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const id = "KDYVkEfuhFx5cpRJDZbZGm"
        const write = (name: string, text: string) =>
          scene.memory.plantFile(`${REPOSITORY}/${name}`, new TextEncoder().encode(text), 0o440)
        write(
          `${id}.rev`,
          `backend_type: chunked\nparent: ''\nstats: {bytes_written: 1, duration: 1.5}\ntags: [daily]\n` +
            `timestamp: 2025-01-01 00:00:00+00:00\ntrust: trusted\nuuid: ${id}\n`
        )
        write(id, "{\"mapping\": {}, \"size\": 0}")
        yield* Effect.exit(verify())
        assert.deepStrictEqual(yield* Scenario.trusts, ["verified"])
      })
    ))

  it.effect("leaves a revision alone that was forgotten while it read", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const { revision } = yield* backupOf(scene, blocks(1))
        yield* backupOf(scene, blocks(2))
        scene.memory.onOperation = (_, name, path) => {
          if (name !== "open" || path !== chunkOf(blocks(1))) return
          scene.memory.onOperation = undefined
          scene.disk.unlink(`${REPOSITORY}/${revision.id}.rev`)
          scene.disk.unlink(`${REPOSITORY}/${revision.id}`)
        }
        const { verdicts } = yield* verify()
        assert.deepStrictEqual(verdicts.map(({ state }) => state), ["verified"])
        assert.notInclude(Scenario.published(scene), `${revision.id}.rev`)
      })
    ))

  it.effect("fails for revisions that it cannot look at, since their metadata is broken", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const { revision } = yield* backupOf(scene, blocks(1))
        const { revision: other } = yield* backupOf(scene, blocks(2))
        const path = `${REPOSITORY}/${revision.id}.rev`
        Scenario.tamper(scene, path, () => new Uint8Array(0))
        const error = yield* Scenario.failureOf(verify())
        assert(error._tag === "DamageFound")
        assert.deepStrictEqual(error.report.verdicts.map(({ revision, state }) => [revision, state]), [
          [other.id, "verified"],
          [revision.id, "metadata-unusable"]
        ])
        assert.include(error.report.verdicts[1]?.reason, path)
        assert.include(error.message, "put its .rev back from a copy of the repository, or give the revision up")
        // what was whole is recorded all the same
        assert.strictEqual((yield* Scenario.revisionOf(other.id)).trust, "verified")
        // who asks for another one is told, and no more
        assert.strictEqual((yield* verify(other.id)).verdicts.length, 1)
        assert.isTrue(scene.log.some((line) => line.startsWith("WARN") && line.includes(`not verified: ${path}`)))
      })
    ))

  it.effect("gives its verdict on a read-only copy, too, and says that it is not written down", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const { revision } = yield* backupOf(scene, blocks(1))
        scene.memory.readOnly = true
        const { verdicts } = yield* verify()
        assert.deepStrictEqual(verdicts.map(({ state }) => state), ["verified"])
        assert.deepStrictEqual(yield* Scenario.trusts, ["trusted"])
        assert.isTrue(scene.log.some((line) => line.includes(revision.id) && line.includes("not recorded")))
      })
    ))

  it.effect("tells what it found on a full disk, and that it could not be recorded", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const { revision } = yield* backupOf(scene, blocks(1, 2))
        const full = (name: string) => name === "open" || name === "write" || name === "truncate"
        const isFull = (name: string, path: string) => full(name) && path.endsWith(".tmp") ? "ENOSPC" : undefined
        Scenario.failWhere(scene, isFull)
        const error = yield* Scenario.failureOf(verify())
        if (error._tag !== "ResultNotRecorded") return assert.fail(error._tag)
        assert.deepStrictEqual(error.report.verdicts.map(({ state }) => state), ["verified"])
        assert.match(error.message, /^the result was not recorded: .*ENOSPC/)
        scene.disk.unlink(chunkOf(blocks(2)))
        const { verdicts } = yield* damage()
        assert.deepStrictEqual(verdicts.map(({ state }) => state), ["damaged"])
        assert.deepStrictEqual(yield* Scenario.trusts, ["trusted"])
        assert.isTrue(scene.log.some((line) => line.includes(`revision ${revision.id} is not recorded`)))
        assert.isTrue(scene.log.some((line) => line.startsWith("WARN the damage was not recorded: ")))
      })
    ))

  it.effect("promises nothing of a map that cannot be used", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const { revision } = yield* backupOf(scene, blocks(1))
        Scenario.tamper(scene, `${REPOSITORY}/${revision.id}`, Scenario.flipBit)
        const error = yield* Scenario.failureOf(verify())
        assert.notMatch(error.message, /next backup|salvage/)
        assert.match(
          error.message,
          /put it back from a copy of the repository, or give the revision up with backy forget/
        )
      })
    ))

  it.effect("finds a link in the place of a chunk wrong, and the next backup puts the chunk there", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, blocks(1, 2))
        const path = chunkOf(blocks(2))
        scene.memory.disk.unlink(path)
        scene.memory.plantLink("/etc/passwd", path)
        const { verdicts } = yield* damage()
        assert.include(verdicts[0]?.lost[0]?.why, "symbolic link")
        yield* backupOf(scene, blocks(1, 2))
        assert.deepStrictEqual(yield* Scenario.trusts, ["verified", "trusted"])
        assert.strictEqual(scene.memory.disk.lstat(path).kind, "file")
      })
    ))

  it.effect("fails for a revision that was never completed", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, blocks(1))
        const [complete] = (yield* Scenario.history).complete
        assert.isDefined(complete)
        const { publish } = yield* Repository
        yield* publish(Scenario.begun(complete!))
        assert.strictEqual((yield* Scenario.failureOf(verify(complete!.id)))._tag, "RevisionIncomplete")
      })
    ))

  it.effect("fails for a spec that names nothing", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        Scenario.setImage(scene, blocks(1))
        yield* backup()
        assert.strictEqual((yield* Scenario.failureOf(verify("weekly")))._tag, "SpecFailed")
        assert.strictEqual((yield* Scenario.failureOf(verify("first(")))._tag, "SpecInvalid")
      })
    ))
})
