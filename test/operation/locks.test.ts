import { assert, describe, it } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Predicate from "effect/Predicate"
import * as TestClock from "effect/TestClock"
import { distrust } from "../../src/operation/distrust.ts"
import { expire } from "../../src/operation/expire.ts"
import { find } from "../../src/operation/find.ts"
import { forget } from "../../src/operation/forget.ts"
import * as Output from "../../src/operation/Output.ts"
import { purge } from "../../src/operation/purge.ts"
import { deleteReport, listReports } from "../../src/operation/reports.ts"
import { restore } from "../../src/operation/restore.ts"
import { status } from "../../src/operation/status.ts"
import { tags } from "../../src/operation/tags.ts"
import { ResultNotRecorded, verify } from "../../src/operation/verify.ts"
import * as FileLock from "../../src/platform/FileLock.ts"
import { backup, REPOSITORY, restored, schedule } from "../support/World.ts"
import * as World from "../support/World.ts"
import * as Scenario from "./scenario.ts"

const { backupOf, blocks, inScene } = Scenario

const wait = Scenario.zero

type Operation = Effect.Effect<
  unknown,
  { readonly _tag: string; readonly message: string },
  Effect.Effect.Context<ReturnType<typeof backup> | ReturnType<typeof restored>>
>

/** Every operation, as one that may meet another. */
const operations = {
  backup: backup(),
  purge: purge({ dryRun: false, wait }),
  forget: forget({ revisions: "first", force: true, wait }),
  expire: expire({ schedule, dryRun: false, unknownTags: false, wait }),
  tags: tags({ revisions: "latest", change: "add", tags: ["weekly"], schedule, wait }),
  distrust: distrust({ revisions: "first", from: undefined, until: undefined, wait }),
  deleteReport: deleteReport({ id: "KDYVkEfuhFx5cpRJDZbZGm", wait }),
  verify: verify({ revisions: "all", wait }),
  restore: restored("latest")
} satisfies Record<string, Operation>
const quiet = {
  status: status({ revisions: undefined }),
  find: find("latest"),
  reports: listReports(),
  "expire -n": expire({ schedule, dryRun: true, unknownTags: false, wait }),
  "purge -n": purge({ dryRun: true, wait })
} satisfies Record<string, Operation>

const entriesOf = <A>(of: Record<string, A>): ReadonlyArray<readonly [string, A]> => Object.entries(of)
const entries = (of: Record<string, Operation>) => entriesOf(of)

const hold = (name: ".backup" | ".purge", mode: FileLock.LockMode) =>
  Effect.flatMap(FileLock.FileLock, (locks) => locks.acquire(`${REPOSITORY}/${name}`, mode))

/** What went wrong; where a lock keeps a verification from recording what it found, it is the lock. */
const tagOf = (error: unknown): unknown =>
  error instanceof ResultNotRecorded ? error.because._tag : Predicate.isRecord(error) ? error["_tag"] : undefined

/** What another process holds while it does this, and who then finds the repository locked. */
const pairs: ReadonlyArray<{
  readonly holder: string
  readonly locks: ReadonlyArray<readonly [".backup" | ".purge", FileLock.LockMode]>
  readonly held: ReadonlyArray<keyof typeof operations>
}> = [
  {
    holder: "a backup runs",
    locks: [[".backup", "exclusive"], [".purge", "shared"]],
    held: ["backup", "purge", "forget", "expire", "tags", "distrust", "deleteReport", "verify"]
  },
  {
    holder: "a purge runs",
    locks: [[".backup", "exclusive"], [".purge", "exclusive"]],
    held: ["backup", "purge", "forget", "expire", "tags", "distrust", "deleteReport", "verify", "restore"]
  },
  {
    holder: "revisions are edited",
    locks: [[".backup", "exclusive"]],
    held: ["backup", "purge", "forget", "expire", "tags", "distrust", "deleteReport", "verify"]
  },
  { holder: "a restore runs", locks: [[".purge", "shared"]], held: ["purge"] }
]

describe("while", () => {
  for (const { held, holder, locks } of pairs) {
    for (const [name, operation] of entries(operations)) {
      const isHeld = held.some((one) => one === name)
      it.effect(`${holder}, ${name} ${isHeld ? "fails with LockHeld and changes nothing" : "is not kept from its work"}`, () =>
        inScene((scene) =>
          Effect.gen(function*() {
            yield* backupOf(scene, blocks(1))
            yield* backupOf(scene, blocks(2))
            for (const [file, mode] of locks) yield* hold(file, mode)
            const before = scene.memory.describe()
            const exit = yield* Effect.exit(Effect.either(operation))
            if (exit._tag === "Failure") return assert.fail(String(exit.cause))
            const error = exit.value._tag === "Left" ? tagOf(exit.value.left) : undefined
            if (!isHeld) return assert.notStrictEqual(error, "LockHeld")
            assert.strictEqual(error, "LockHeld")
            assert.deepStrictEqual(scene.memory.describe(), before)
          }).pipe(Effect.scoped)
        ))
    }
    for (const [name, operation] of entries(quiet)) {
      it.effect(`${holder}, ${name} answers`, () =>
        inScene((scene) =>
          Effect.gen(function*() {
            yield* backupOf(scene, blocks(1))
            for (const [file, mode] of locks) yield* hold(file, mode)
            const before = scene.memory.describe()
            yield* operation
            assert.deepStrictEqual(scene.memory.describe(), before)
          }).pipe(Effect.scoped)
        ))
    }
  }
})

describe("locks", () => {
  it.effect("are let go when an operation ends, however it ends", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, blocks(1))
        for (const operation of Object.values<Operation>(operations)) {
          yield* Effect.exit(operation)
          yield* Effect.scoped(Effect.zipRight(hold(".backup", "exclusive"), hold(".purge", "exclusive")))
        }
      })
    ))

  it.effect("let a backup wait for a purge that ends within five minutes", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, blocks(1))
        const holder = yield* Effect.fork(Effect.scoped(
          Effect.zipRight(hold(".purge", "exclusive"), Effect.sleep(Duration.minutes(4)))
        ))
        yield* Effect.yieldNow()
        const waiting = yield* Effect.fork(backup())
        yield* TestClock.adjust(Duration.minutes(5))
        yield* Fiber.join(waiting)
        yield* Fiber.join(holder)
        assert.strictEqual((yield* Scenario.history).complete.length, 2)
      })
    ))

  it.effect("do not let a backup wait longer than that", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, blocks(1))
        yield* hold(".purge", "exclusive")
        const waiting = yield* Effect.fork(Effect.flip(backup()))
        yield* TestClock.adjust(Duration.minutes(6))
        const error = yield* Fiber.join(waiting)
        assert.strictEqual(error._tag, "LockHeld")
        assert.include(error.message, `${REPOSITORY}/.purge is locked by `)
      }).pipe(Effect.scoped)
    ))

  it.effect("are waited for as long as was asked", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, blocks(1))
        const at = yield* DateTime.now
        yield* Effect.fork(Effect.scoped(Effect.zipRight(hold(".backup", "exclusive"), Effect.sleep("10 minutes"))))
        yield* Effect.yieldNow()
        const short = yield* Effect.fork(Effect.flip(purge({ dryRun: false, wait: Duration.minutes(9) })))
        const long = yield* Effect.fork(purge({ dryRun: false, wait: Duration.minutes(11) }))
        yield* TestClock.adjust(Duration.minutes(12))
        assert.strictEqual((yield* Fiber.join(short))._tag, "LockHeld")
        yield* Fiber.join(long)
        assert.isTrue(DateTime.greaterThan(yield* DateTime.now, at))
      })
    ))

  it.effect("are let go by verify between reading and recording, so that nobody waits for .backup with .purge held", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, blocks(1))
        const taken: Array<string> = []
        const real = yield* FileLock.FileLock
        const step = (what: string) => Effect.sync(() => void taken.push(what))
        const told = (path: string, mode: FileLock.LockMode) =>
          Effect.acquireRelease(step(`+${path.split("/").at(-1)} ${mode}`), () => step(`-${path.split("/").at(-1)}`))
        const watched = FileLock.FileLock.of({
          acquireOpen: real.acquireOpen,
          acquire: (path, mode) => Effect.zipRight(real.acquire(path, mode), told(path, mode)),
          acquireIfPossible: (path, mode, options) =>
            Effect.zipLeft(real.acquireIfPossible(path, mode, options), told(path, mode))
        })
        yield* Effect.provideService(operations.verify, FileLock.FileLock, watched)
        assert.deepStrictEqual(taken, [
          "+.purge shared",
          "-.purge",
          "+.backup exclusive",
          "+.purge shared",
          "-.purge",
          "-.backup"
        ])
      })
    ))

  it.effect("that a verification cannot get do not hide what it found", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, blocks(1, 2))
        scene.disk.unlink(Scenario.chunkOf(blocks(2)))
        yield* hold(".backup", "exclusive")
        const before = scene.memory.describe()
        const error = yield* Scenario.failureOf(operations.verify)
        if (error._tag !== "DamageFound") return assert.fail(error._tag)
        assert.deepStrictEqual(error.report.verdicts.map(({ lost, state }) => [state, lost.map(({ why }) => why)]), [
          ["damaged", ["is missing"]]
        ])
        assert.isTrue(
          scene.log.some((line) =>
            line.startsWith("WARN") && line.includes("not recorded") && line.includes(".backup is locked")
          )
        )
        assert.deepStrictEqual(scene.memory.describe(), before)
      }).pipe(Effect.scoped)
    ))

  it.effect("are not made in a directory that is no repository", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        scene.disk.unlink(`${REPOSITORY}/config`)
        let asked = 0
        const locks = FileLock.FileLock.of({
          acquireOpen: () => Effect.void,
          acquire: () => Effect.sync(() => void asked++),
          acquireIfPossible: () => Effect.sync(() => ++asked > 0)
        })
        const { backup: _, ...others } = operations
        for (const [name, operation] of entries({ ...others, ...quiet })) {
          if (name === "reports") continue
          const error = yield* Scenario.failureOf(Effect.provideService(operation, FileLock.FileLock, locks))
          assert.strictEqual(error._tag, "RepositoryMissing", name)
        }
        assert.strictEqual(asked, 0)
        assert.deepStrictEqual(Scenario.filesBelow(scene), [])
      })
    ))

  it.effect("are done without when a read-only copy has no lock files", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, blocks(1))
        const none = FileLock.FileLock.of({
          acquireOpen: () => Effect.void,
          acquire: () => Effect.die("a restore takes .purge only if possible"),
          acquireIfPossible: () => Effect.succeed(false)
        })
        const written: Array<Uint8Array> = []
        yield* restore({ revision: "latest", target: { _tag: "Output" }, force: false, salvage: false, wait }).pipe(
          Effect.provideService(FileLock.FileLock, none),
          Effect.provide(Output.layerMemory(written))
        )
        assert.deepStrictEqual(Scenario.join(...written), blocks(1))
      })
    ))
})

describe("for as long as they touch chunks", () => {
  const all: Record<string, readonly [Operation, ReadonlyArray<FileLock.LockMode>]> = {
    "a backup": [backup(), ["exclusive", "shared"]],
    "a verify": [operations.verify, ["shared"]],
    "a restore": [operations.restore, ["shared"]],
    "a purge": [operations.purge, ["exclusive", "exclusive"]]
  }
  for (const [name, [operation, modes]] of entriesOf(all)) {
    it.effect(`${name} holds its locks`, () => {
      const locks = FileLock.makeTable()
      const memory = World.makeDisk()
      return Effect.gen(function*() {
        for (const byte of [1, 2]) {
          World.setFile(memory.disk, World.IMAGE, blocks(byte))
          yield* TestClock.adjust(Duration.days(1))
          yield* backup()
        }
        yield* forget({ revisions: "first", force: false, wait })
        World.setFile(memory.disk, World.IMAGE, blocks(3))
        const held = new Set<string>()
        memory.onOperation = (_, call, path) => {
          if (!/\.chunk\.zst/.test(path) || !["open", "unlink"].includes(call)) return
          held.add(Array.from(locks.held.values(), ({ mode }) => mode).join())
        }
        yield* operation
        memory.onOperation = undefined
        assert.deepStrictEqual([...held], [modes.join()])
        assert.strictEqual(locks.held.size, 0)
      }).pipe(Effect.provide(World.layerOn(memory.disk, locks)))
    })
  }
})
