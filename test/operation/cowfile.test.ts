/** `backend: cowfile`: revisions as image files, on the simulated disk, where nothing can be shared. */
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as TestClock from "effect/TestClock"
import { backup } from "../../src/operation/backup.ts"
import { find } from "../../src/operation/find.ts"
import { forget } from "../../src/operation/forget.ts"
import { purge } from "../../src/operation/purge.ts"
import { status } from "../../src/operation/status.ts"
import { upgrade } from "../../src/operation/upgrade.ts"
import { verify } from "../../src/operation/verify.ts"
import type { Disk } from "../../src/platform/Disk.ts"
import * as Reflink from "../../src/platform/Reflink.ts"
import { bytesOf } from "../support/diskFiles.ts"
import { CHUNK, IMAGE, layerOn, makeDisk, REPOSITORY, restored, schedule, setFile } from "../support/World.ts"

const wait = Duration.zero
/** An hour after the one before. */
const cow = () =>
  Effect.zipRight(
    TestClock.adjust(Duration.hours(1)),
    backup({ tags: ["daily"], schedule, force: false, acceptShrink: true, backend: "cowfile", wait })
  )

const image = (length: number, ...changes: ReadonlyArray<readonly [number, number]>) => {
  const bytes = Uint8Array.from({ length }, (_, at) => at < 2 * CHUNK || at >= 3 * CHUNK ? 1 + at % 200 : 0)
  for (const [at, byte] of changes) bytes[at] = byte
  return bytes
}

/** What a VM may have done between backups: changed, zeroed, filled, grown and shrunk, inside of a block and at its end. */
const contents = [
  image(5 * CHUNK + 17),
  image(5 * CHUNK + 17, [CHUNK + 5, 0], [5 * CHUNK + 16, 9]),
  image(5 * CHUNK + 17).fill(0, CHUNK, 2 * CHUNK).fill(8, 2 * CHUNK, 2 * CHUNK + 3),
  image(7 * CHUNK).fill(0, 5 * CHUNK + 17),
  image(4 * CHUNK - 5),
  image(4 * CHUNK),
  new Uint8Array(0),
  image(CHUNK + 1)
]

for (const [title, reflink] of [["sharing blocks", Reflink.layerDisk], ["with full copies", undefined]] as const) {
  describe(`cowfile, ${title}`, () => {
    const provide = (disk: Disk) => <A, E, R>(effect: Effect.Effect<A, E, R>) =>
      (reflink === undefined ? effect : Effect.provide(effect, reflink(disk))).pipe(
        Effect.provide(layerOn(disk))
      )

    it.effect("keeps each revision as the very image, restores, verifies, expires and becomes chunks by upgrade", () => {
      const { disk } = makeDisk()
      return Effect.gen(function*() {
        const made: Array<readonly [string, Uint8Array]> = []
        for (const content of contents) {
          setFile(disk, IMAGE, content)
          const { base, chunks, compared, revision } = yield* cow()
          assert.strictEqual(base, made.at(-1)?.[0])
          assert.strictEqual(compared.verification.compared, content.length)
          if (reflink !== undefined && made.length === 1) assert.strictEqual(chunks.written, 2)
          made.push([revision.id, content])
          const [found] = yield* find("latest")
          assert.deepStrictEqual(bytesOf(disk, found?.path ?? ""), content)
        }
        const check = Effect.forEach(
          made,
          ([id, content]) => Effect.map(restored(id), (bytes) => assert.deepStrictEqual(bytes, content))
        )
        yield* check
        const { verdicts } = yield* verify({ revisions: "all", wait })
        assert.isTrue(verdicts.every(({ state }) => state === "verified"))
        const [first] = made.splice(0, 1)
        yield* forget({ revisions: first?.[0] ?? "", force: false, wait })
        const { leftovers, maps } = yield* purge({ dryRun: false, wait })
        assert.deepStrictEqual([leftovers, maps], [0, 0])
        yield* check
        assert.deepStrictEqual(
          disk.list(REPOSITORY).filter((name) => name.startsWith(first?.[0] ?? "")),
          []
        )
        yield* upgrade({ dryRun: false, force: false, backend: "chunked", wait })
        yield* check
        const { revisions } = yield* status({ revisions: undefined })
        assert.isTrue(revisions.every(({ backendType, trust }) => backendType === "chunked-v4" && trust === "verified"))
        assert.deepStrictEqual(disk.list(REPOSITORY).filter((name) => name.endsWith(".map")), [])
      }).pipe(provide(disk))
    })

    it.effect("finds a block that changed in an image, distrusts that revision alone, and goes on from older ones", () => {
      const { disk } = makeDisk()
      return Effect.gen(function*() {
        setFile(disk, IMAGE, image(5 * CHUNK))
        const { revision: good } = yield* cow()
        setFile(disk, IMAGE, image(5 * CHUNK, [3, 3]))
        const { revision: bad } = yield* cow()
        const bytes = Uint8Array.from(bytesOf(disk, `${REPOSITORY}/${bad.id}`))
        bytes[4 * CHUNK] = 0
        bytes[2 * CHUNK] = 1
        setFile(disk, `${REPOSITORY}/${bad.id}`, bytes)
        const error = yield* Effect.flip(verify({ revisions: "all", wait }))
        if (error._tag !== "DamageFound") return assert.fail(error.message)
        const lost = Object.fromEntries(error.report.verdicts.map(({ lost, revision }) => [revision, lost]))
        assert.deepStrictEqual(lost[good.id], [])
        assert.deepStrictEqual(lost[bad.id]?.map(({ offset }) => offset), [2 * CHUNK, 4 * CHUNK])
        const { revisions } = yield* status({ revisions: "trust:distrusted" })
        assert.deepStrictEqual(revisions.map(({ id }) => id), [bad.id])
        assert.strictEqual((yield* Effect.flip(restored(bad.id)))._tag, "RestoreIncomplete")
        assert.strictEqual((yield* cow()).base, good.id)
      }).pipe(provide(disk))
    })

    it.effect("fails when what it wrote was lost behind its back", () => {
      const memory = makeDisk()
      return Effect.gen(function*() {
        setFile(memory.disk, IMAGE, image(5 * CHUNK))
        let lost = false
        let written = ""
        memory.onOperation = (_, name, path) => {
          if (name === "write" && /\/\.[^./]+\.\w+\.tmp$/.test(path)) written = path
          // the kernel gives up writing an image back while the next block is read
          if (name === "read" && path === IMAGE && written !== "" && !lost) {
            lost = true
            memory.failWriteBack(written)
          }
        }
        const outcome = yield* Effect.either(cow())
        memory.onOperation = undefined
        assert.isTrue(lost)
        assert.match(Either.isLeft(outcome) ? outcome.left.message : "it succeeded", /^cannot sync .* \(EIO\)$/)
        assert.deepStrictEqual((yield* status({ revisions: undefined })).revisions, [])
        assert.deepStrictEqual(
          bytesOf(memory.disk, (yield* find((yield* cow()).revision.id))[0]?.path ?? ""),
          image(5 * CHUNK)
        )
      }).pipe(provide(memory.disk))
    })

    it.effect("is not fooled by a base that is damaged without anybody knowing", () => {
      const { disk } = makeDisk()
      return Effect.gen(function*() {
        const content = image(5 * CHUNK)
        setFile(disk, IMAGE, content)
        const { revision } = yield* cow()
        const bytes = Uint8Array.from(content)
        bytes[4 * CHUNK] = 0
        setFile(disk, `${REPOSITORY}/${revision.id}`, bytes)
        const { compared, revision: next } = yield* cow()
        assert.strictEqual(compared.healed.length, reflink === undefined ? 0 : 1)
        assert.deepStrictEqual(yield* restored(next.id), content)
      }).pipe(provide(disk))
    })
  })
}
