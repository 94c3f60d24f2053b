import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Config from "../../src/config/Config.ts"
import { diff } from "../../src/operation/diff.ts"
import { find } from "../../src/operation/find.ts"
import { init } from "../../src/operation/init.ts"
import { deleteReport, listReports, showReport } from "../../src/operation/reports.ts"
import { status } from "../../src/operation/status.ts"
import { Repository } from "../../src/repository/Repository.ts"
import { backup, CHUNK, REPOSITORY, schedule } from "../support/World.ts"
import * as Scenario from "./scenario.ts"

const { backupOf, blocks, inScene } = Scenario

describe("status", () => {
  it.effect("lists everything, the incomplete and the broken too, and one bad file hides no other", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const first = yield* backupOf(scene, blocks(1))
        const second = yield* backupOf(scene, blocks(2))
        const third = yield* backupOf(scene, blocks(3))
        Scenario.tamper(scene, `${REPOSITORY}/${second.revision.id}.rev`, Scenario.flipBit)
        Scenario.tamper(scene, `${REPOSITORY}/${second.revision.id}.rev`, (bytes) => bytes.slice(0, 40))
        yield* (yield* Repository).publish(Scenario.begun(third.revision))
        const report = yield* status({ revisions: undefined })
        assert.deepStrictEqual(report.revisions.map(({ id }) => id), [first.revision.id, third.revision.id])
        assert.deepStrictEqual(report.broken.map(({ path }) => path), [`${REPOSITORY}/${second.revision.id}.rev`])
        const chosen = yield* status({ revisions: "all" })
        assert.deepStrictEqual(chosen.revisions.map(({ id }) => id), [first.revision.id])
      })
    ))

  it.effect("says that a repository is none", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        scene.disk.unlink(`${REPOSITORY}/config`)
        const error = yield* Scenario.failureOf(status({ revisions: undefined }))
        assert.include(error.message, `there is no backy repository in ${REPOSITORY}`)
      })
    ))
})

describe("find", () => {
  it.effect("gives the paths in the order of the spec", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const first = yield* backupOf(scene, blocks(1))
        const second = yield* backupOf(scene, blocks(2))
        const path = (id: string) => `${REPOSITORY}/${id}`
        assert.deepStrictEqual(yield* find("latest"), [{ id: second.revision.id, path: path(second.revision.id) }])
        assert.deepStrictEqual(
          (yield* find("reverse(all)")).map((found) => found.path),
          [path(second.revision.id), path(first.revision.id)]
        )
      })
    ))
})

describe("diff", () => {
  it.effect("tells the ranges in which two revisions differ, from their maps alone", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const first = yield* backupOf(scene, blocks(1, 2, 0, 4))
        const second = yield* backupOf(scene, Scenario.join(blocks(1, 9, 8, 4), new Uint8Array(10)))
        for (const path of Scenario.chunkFiles(scene)) scene.disk.unlink(`${REPOSITORY}/${path}`)
        assert.deepStrictEqual(yield* diff("first", "latest"), {
          from: first.revision.id,
          to: second.revision.id,
          fromSize: 4 * CHUNK,
          toSize: 4 * CHUNK + 10,
          ranges: [{ offset: CHUNK, length: 2 * CHUNK }, { offset: 4 * CHUNK, length: 10 }],
          bytes: 2 * CHUNK + 10
        })
        assert.deepStrictEqual((yield* diff("0", "0")).ranges, [])
        assert.strictEqual((yield* Scenario.failureOf(diff("all", "0")))._tag, "NotOneRevision")
        scene.disk.unlink(`${REPOSITORY}/${first.revision.id}`)
        assert.strictEqual((yield* Scenario.failureOf(diff("first", "latest")))._tag, "MapUnusable")
      })
    ))
})

describe("reports", () => {
  const mismatch = (scene: Scenario.Scene, byte: number) =>
    Effect.gen(function*() {
      Scenario.setImage(scene, blocks(1, 2))
      Scenario.betweenReadings(scene, () => Scenario.setImage(scene, blocks(1, byte)))
      const error = yield* Scenario.failureOf(backup())
      return error._tag === "VerificationFailed" ? error.report ?? "" : ""
    })

  it.effect("are listed and shown, and deleted with the contents that only they name", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const first = yield* mismatch(scene, 3)
        const second = yield* mismatch(scene, 4)
        assert.deepStrictEqual((yield* listReports()).map(({ id }) => id).sort(), [first, second].sort())
        assert.strictEqual((yield* showReport(first)).kind, "source-mismatch")
        const contents = () => [...scene.disk.list(`${REPOSITORY}/quarantine/chunks`)].sort()
        const names = (...bytes: ReadonlyArray<number>) => bytes.map((byte) => Scenario.hexOf(blocks(byte))).sort()
        assert.deepStrictEqual(contents(), names(2, 3, 4))
        yield* deleteReport({ id: first, wait: Scenario.zero })
        assert.deepStrictEqual(contents(), names(2, 4))
        yield* deleteReport({ id: second, wait: Scenario.zero })
        assert.deepStrictEqual(contents(), [])
        assert.deepStrictEqual(yield* listReports(), [])
      })
    ))

  it.effect("that cannot be read are listed with the reason, and their contents are kept", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const first = yield* mismatch(scene, 3)
        const second = yield* mismatch(scene, 4)
        Scenario.tamper(scene, `${REPOSITORY}/quarantine/${first}.report`, () => new TextEncoder().encode("[}"))
        const broken = (yield* listReports()).find(({ id }) => id === first)
        assert.strictEqual(broken?.report._tag, "Left")
        yield* deleteReport({ id: second, wait: Scenario.zero })
        assert.strictEqual(scene.disk.list(`${REPOSITORY}/quarantine/chunks`).length, 3)
        yield* deleteReport({ id: first, wait: Scenario.zero })
        assert.deepStrictEqual(scene.disk.list(`${REPOSITORY}/quarantine/chunks`), [])
      })
    ))

  it.effect("that do not exist are named, and no path can be smuggled in", () =>
    inScene(() =>
      Effect.gen(function*() {
        for (const id of ["KDYVkEfuhFx5cpRJDZbZGm", "../config", ""]) {
          for (const effect of [showReport(id), deleteReport({ id, wait: Scenario.zero })]) {
            assert.strictEqual((yield* Scenario.failureOf(effect))._tag, "ReportUnusable")
          }
        }
      })
    ))
})

describe("init", () => {
  const job = { source: { type: "file", filename: "/images/vm.img" }, schedule }

  it.effect("makes the directory and a config that can be read back", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        scene.disk.unlink(`${REPOSITORY}/config`)
        scene.disk.removeDirectory(REPOSITORY)
        scene.memory.syncAll()
        const made = yield* init(job)
        assert.deepStrictEqual(made, { directory: REPOSITORY, config: Config.fileIn(REPOSITORY) })
        assert.isTrue(scene.memory.isDurable)
        assert.strictEqual(scene.disk.lstat(made.config).mode & 0o007, 0, "it may hold a secret")
        assert.deepStrictEqual((yield* status({ revisions: undefined })).revisions, [])
      })
    ))

  it.effect("leaves an existing config as it is", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const before = scene.memory.describe()
        const error = yield* Scenario.failureOf(init(job))
        assert.strictEqual(error._tag, "RepositoryExists")
        assert.include(error.message, `${REPOSITORY}/config`)
        assert.deepStrictEqual(scene.memory.describe(), before)
      })
    ))

  it.effect("does not make the parent directory", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        scene.disk.unlink(`${REPOSITORY}/config`)
        scene.disk.removeDirectory(REPOSITORY)
        scene.disk.removeDirectory("/srv/backy")
        const error = yield* Scenario.failureOf(init(job))
        assert.include(error.message, REPOSITORY)
        assert.include(error.message, "ENOENT")
      })
    ))
})
