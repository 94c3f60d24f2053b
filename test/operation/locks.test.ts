import { assert, describe, it } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Predicate from "effect/Predicate"
import * as TestClock from "effect/TestClock"
import { readFileSync } from "node:fs"
import { basename } from "node:path"
import { diff } from "../../src/operation/diff.ts"
import { distrust } from "../../src/operation/distrust.ts"
import { expire } from "../../src/operation/expire.ts"
import { find } from "../../src/operation/find.ts"
import { forget } from "../../src/operation/forget.ts"
import { serve } from "../../src/operation/nbd/serve.ts"
import * as Output from "../../src/operation/Output.ts"
import { purge } from "../../src/operation/purge.ts"
import { deleteReport, listReports } from "../../src/operation/reports.ts"
import { restore } from "../../src/operation/restore.ts"
import { status } from "../../src/operation/status.ts"
import { tags } from "../../src/operation/tags.ts"
import { upgrade } from "../../src/operation/upgrade.ts"
import { ResultNotRecorded, verify } from "../../src/operation/verify.ts"
import * as FileLock from "../../src/platform/FileLock.ts"
import { addSmallHistory } from "../support/legacyRevision.ts"
import * as MemoryListener from "../support/memoryListener.ts"
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

/** What of the locks a command takes, as the table of the docs says; `undefined`: not at all. */
interface Row {
  readonly backup: FileLock.LockMode | undefined
  readonly purge: FileLock.LockMode | undefined
}

const modeOf = (cell: string): FileLock.LockMode | undefined => {
  const [, word] = /^(exclusive|shared)/.exec(cell) ?? []
  assert(cell === "" || word !== undefined, cell)
  return word as FileLock.LockMode | undefined
}

/** The table, by the words for the commands. */
const table = new Map(
  readFileSync(new URL("../../docs/reliability.md", import.meta.url), "utf8")
    .split("| | `.backup` | `.purge` |\n| --- | --- | --- |\n")[1]
    ?.split("\n\n")[0]
    ?.split("\n")
    .flatMap((line) => {
      const [, names = "", backup = "", purge = ""] = line.split("|").map((cell) => cell.trim())
      return names.split(", ").map((name) =>
        [name.replace(/ \(.*\)$/, ""), { backup: modeOf(backup), purge: modeOf(purge) }] as const
      )
    })
)

const rowOf = (name: string): Row => table.get(name) ?? assert.fail(`the docs have no lock of "${name}"`)

/** Every command of the table, as one that may meet another. */
const commands: Record<string, { readonly row: Row; readonly operation: Operation }> = {
  backup: { row: rowOf("backup"), operation: operations.backup },
  upgrade: {
    row: rowOf("upgrade"),
    operation: upgrade({ dryRun: false, force: false, backend: "chunked", wait })
  },
  purge: { row: rowOf("purge"), operation: operations.purge },
  forget: { row: rowOf("forget"), operation: operations.forget },
  expire: { row: rowOf("expire"), operation: operations.expire },
  tags: { row: rowOf("tags"), operation: operations.tags },
  distrust: { row: rowOf("distrust"), operation: operations.distrust },
  "reports delete": { row: rowOf("reports delete"), operation: operations.deleteReport },
  verify: { row: rowOf("verify"), operation: operations.verify },
  restore: { row: { ...rowOf("restore"), backup: undefined }, operation: operations.restore },
  "restore to the image itself": {
    row: rowOf("restore"),
    operation: restore({
      revision: "latest",
      target: { _tag: "Path", path: World.IMAGE },
      force: true,
      source: World.IMAGE,
      salvage: false,
      wait
    }).pipe(Effect.provide(Output.layerMemory([])))
  },
  nbd: {
    row: rowOf("nbd"),
    operation: Effect.scoped(
      Effect.flatMap(
        MemoryListener.make,
        ({ layer }) =>
          Effect.provide(serve({ revision: "latest", address: { _tag: "Unix", path: "/run/x.sock" }, wait }), layer)
      )
    )
  },
  status: { row: rowOf("status"), operation: quiet.status },
  find: { row: rowOf("find"), operation: quiet.find },
  diff: { row: rowOf("diff"), operation: diff("first", "latest") },
  "reports list": { row: rowOf("reports list and show"), operation: quiet.reports },
  "expire -n": { row: rowOf("every `-n` but that of restore"), operation: quiet["expire -n"] },
  "purge -n": { row: rowOf("every `-n` but that of restore"), operation: quiet["purge -n"] },
  "upgrade -n": {
    row: rowOf("every `-n` but that of restore"),
    operation: upgrade({ dryRun: true, force: false, backend: "chunked", wait })
  }
}

const twoRevisions = (scene: Scenario.Scene) =>
  Effect.gen(function*() {
    // what upgrade has to do
    addSmallHistory(scene.disk, World.CHUNK)
    yield* backupOf(scene, blocks(1))
    yield* backupOf(scene, blocks(2))
  })

/** Which locks somebody takes, each with the modes. */
const watching = (taken: Set<string>) =>
  Effect.map(FileLock.FileLock, (real) =>
    FileLock.FileLock.of({
      acquireOpen: real.acquireOpen,
      acquire: (path, mode) =>
        Effect.zipRight(real.acquire(path, mode), Effect.sync(() => taken.add(`${basename(path)} ${mode}`))),
      acquireIfPossible: (path, mode, options) =>
        Effect.tap(real.acquireIfPossible(path, mode, options), () => taken.add(`${basename(path)} ${mode}`))
    }))

const locksOf = ({ backup, purge }: Row): ReadonlyArray<readonly [".backup" | ".purge", FileLock.LockMode]> => [
  ...backup === undefined ? [] : [[".backup", backup] as const],
  ...purge === undefined ? [] : [[".purge", purge] as const]
]

const areAtOdds = (one: FileLock.LockMode | undefined, other: FileLock.LockMode | undefined): boolean =>
  one !== undefined && other !== undefined && (one === "exclusive" || other === "exclusive")

describe("the table of locks", () => {
  it("has a row for each of these, and these are all", () => {
    const without = ["init", "check", "jobs"]
    for (const name of without) assert.deepStrictEqual(rowOf(name), { backup: undefined, purge: undefined })
    const rows = Object.values(commands).map(({ row }) => JSON.stringify(row))
    for (const [name, row] of table) {
      if (!name.startsWith("restore")) assert.include(rows, JSON.stringify(row), name)
    }
    assert.isAbove(table.size, 18)
  })

  for (const [name, { operation, row }] of entriesOf(commands)) {
    it.effect(`says what ${name} takes`, () =>
      inScene((scene) =>
        Effect.gen(function*() {
          yield* twoRevisions(scene)
          const taken = new Set<string>()
          yield* Effect.exit(Effect.provideService(operation, FileLock.FileLock, yield* watching(taken)))
          const expected = locksOf(row).map(([file, mode]) => `${file} ${mode}`)
          // an upgrade sweeps up by a purge of its own, with nothing else held
          if (name === "upgrade") taken.delete(".purge exclusive")
          assert.sameMembers([...taken], expected)
        })
      ))
  }

  /** All ways to hold locks: commands with the same locks are one to the others. */
  const holders = new Map(
    entriesOf(commands).flatMap(([name, { row }]) =>
      locksOf(row).length === 0 ? [] : [[locksOf(row).join(" "), { name, row }] as const]
    )
  )
  for (const holder of holders.values()) {
    for (const [name, { operation, row }] of entriesOf(commands)) {
      const isHeld = areAtOdds(holder.row.backup, row.backup) || areAtOdds(holder.row.purge, row.purge)
      it.effect(`with the locks of ${holder.name} held, ${name} ${isHeld ? "is refused and changes nothing" : "does its work"}`, () =>
        inScene((scene) =>
          Effect.gen(function*() {
            yield* twoRevisions(scene)
            for (const [file, mode] of locksOf(holder.row)) yield* hold(file, mode)
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
