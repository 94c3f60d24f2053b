/**
 * Damage to metadata: each bit flipped, each cut, each line missing or doubled, in every `.rev`, map and report of a
 * repository with chunks and images of ours and of backy 2.5 and with revisions that were never completed; then each
 * command. Nothing is removed that the same command would keep with the file intact, no wrong byte comes out with
 * success, and all is right again once the file is put back.
 *
 * Sampled, with a seed that is printed; `BACKY_METADATA=all` tries everything, `BACKY_METADATA=<n>` so many cases.
 */
import { assert, describe, it } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Revision from "../../src/domain/Revision.ts"
import { START } from "../../src/library/Simulation.ts"
import { distrust } from "../../src/operation/distrust.ts"
import { find } from "../../src/operation/find.ts"
import { forget } from "../../src/operation/forget.ts"
import { deleteReport, listReports } from "../../src/operation/reports.ts"
import { status } from "../../src/operation/status.ts"
import { tags } from "../../src/operation/tags.ts"
import { upgrade } from "../../src/operation/upgrade.ts"
import { randomNumbers } from "../../src/platform/MemoryChoices.ts"
import type { MemoryDisk } from "../../src/platform/MemoryDisk.ts"
import { isTemporary } from "../../src/platform/temporaryName.ts"
import { Repository } from "../../src/repository/Repository.ts"
import * as RevisionFile from "../../src/repository/revisionFile.ts"
import * as LegacyMap from "../../src/store/legacy/LegacyMap.ts"
import { breathe } from "../support/breathe.ts"
import { addSmallHistory } from "../support/legacyRevision.ts"
import * as Machine from "../support/Machine.ts"
import { type Damage, damages } from "../support/metadataDamage.ts"
import * as Scenarios from "../support/scenarios.ts"
import * as Survey from "../support/Survey.ts"
import { REPOSITORY, schedule, setFile } from "../support/World.ts"

Error.stackTraceLimit = 0

const { wait } = Scenarios
const machine = Machine.make()
const SEED = Number(process.env["BACKY_SEED"] ?? Date.now() % 1_000_000)
const WANTED = process.env["BACKY_METADATA"] ?? "300"
const DAY = 86_400_000

type Operation = Effect.Effect<unknown, unknown, Machine.Services>

/** Runs it long after the repository was made, always with the same chances. */
const run = (disk: MemoryDisk, operation: Operation, day = 30): Exit.Exit<unknown, unknown> =>
  machine.run(disk, operation, { seed: 77, start: START + day * DAY })

const begun = (n: number, backendType: "chunked-v4" | "cowfile-v4"): Revision.Revision =>
  Revision.make({
    id: Revision.fromRandom(new Uint8Array(16).fill(n)),
    backendType,
    timestamp: DateTime.unsafeMake(START + DAY),
    parent: null,
    tags: ["daily"],
    trust: "trusted",
    stats: {}
  })

const textOf = (text: string): Uint8Array => new TextEncoder().encode(text)

/** Revisions of every kind, a report, and chunks that are of no use. */
const memory = (() => {
  const { memory } = Scenarios.prepare(machine, {
    name: "revisions of every kind",
    prepare: (bench) => {
      addSmallHistory(bench.memory.disk, Machine.BLOCK)
      bench.image("zz")
      bench.run(Scenarios.backup)
      bench.run(forget({ revisions: "latest", force: true, wait }))
      bench.image("aab.")
      bench.run(Scenarios.backup)
      const chunk = bench.chunkAt(0)
      const good = bench.memory.bytesAt(chunk)
      bench.memory.plantFile(chunk, new Uint8Array(20).fill(1), 0o440)
      bench.attempt(Scenarios.verifyAll)
      bench.memory.plantFile(chunk, good, 0o440)
      bench.run(Scenarios.verifyAll)
      bench.image("acb.d")
      bench.run(Scenarios.cow)
      bench.image("acf.d", 100)
      bench.run(Scenarios.cow)
      bench.image("acb.d")
      bench.run(Scenarios.backup)
      for (const revision of [begun(7, "chunked-v4"), begun(8, "cowfile-v4")]) {
        bench.run(Effect.flatMap(Repository, ({ publish }) => publish(revision)))
      }
      setFile(
        bench.memory.disk,
        `${REPOSITORY}/${Revision.fromRandom(new Uint8Array(16).fill(9))}.rev`,
        textOf(
          "backend_type: chunked\nparent: ''\nstats:\n  bytes_written: 0\ntags:\n- daily\n" +
            "timestamp: 2025-03-09 02:10:00+00:00\ntrust: trusted\n" +
            `uuid: ${Revision.fromRandom(new Uint8Array(16).fill(9))}\n`
        )
      )
    },
    operation: Effect.void
  })
  memory.syncAll()
  return memory
})()

const filesOf = (disk: MemoryDisk, directory = REPOSITORY): Map<string, Uint8Array> =>
  new Map(
    disk.disk.list(directory).flatMap((name): ReadonlyArray<readonly [string, Uint8Array]> => {
      const path = `${directory}/${name}`
      if (disk.disk.lstat(path).kind === "directory") return [...filesOf(disk, path)]
      return isTemporary(name) || name.startsWith(".") ? [] : [[path, disk.bytesAt(path)]]
    })
  )

const before = Survey.take(memory)
const files = filesOf(memory)
const ids = [...before.complete.keys()]
const latest = Survey.newestTrusted(before)?.revision.id ?? ""
const [reportPath = ""] = [...files.keys()].filter((path) => path.endsWith(".report"))
const report = reportPath.slice(reportPath.lastIndexOf("/") + 1, -".report".length)

/** The commands; those whose second word is true count revisions by their dates, tags or trust. */
const commands: ReadonlyArray<readonly [name: string, operation: Operation, counts: boolean]> = [
  ["backup", Scenarios.backup, false],
  ["backup as an image", Scenarios.cow, false],
  ["purge", Scenarios.purge, false],
  ["verify", Scenarios.verifyAll, false],
  ["upgrade", upgrade({ dryRun: false, force: false, backend: "chunked", wait }), false],
  ["a night", Effect.zipRight(Scenarios.backup, Scenarios.purge), false],
  ["expire", Scenarios.expireAll, true],
  ["expire and purge", Effect.zipRight(Scenarios.expireAll, Scenarios.purge), true],
  ["forget -r first", forget({ revisions: "first", force: false, wait }), true],
  [
    "forget -r 'not(latest)' and purge",
    Effect.zipRight(forget({ revisions: "not(latest)", force: false, wait }), Scenarios.purge),
    true
  ],
  ["forget -f -r latest", forget({ revisions: "latest", force: true, wait }), true],
  ["forget -r tag:daily", forget({ revisions: "tag:daily", force: true, wait }), true],
  ["tags set -r latest", tags({ revisions: "latest", change: "set", tags: ["weekly"], schedule, wait }), true],
  ["distrust -r all", distrust({ revisions: "all", from: undefined, until: undefined, wait }), true],
  [
    "status and reports",
    Effect.all([status({ revisions: undefined }), Effect.ignore(find("latest")), listReports()]),
    true
  ],
  ["reports delete", deleteReport({ id: report, wait }), false]
]

/** What each command leaves when nothing is damaged. */
const intact = new Map(commands.map(([name, operation]) => {
  const disk = memory.clone()
  const exit = run(disk, operation)
  return [name, { files: filesOf(disk), exit }] as const
}))

const same = (a: Uint8Array, b: Uint8Array | undefined): boolean => b !== undefined && Buffer.compare(a, b) === 0

/** What nobody can tell of a file of backy 2.5: it reads well, and says something else. */
const isUndetectable = (path: string, { content }: Damage): boolean => {
  const whole = files.get(path)
  if (whole === undefined) return false
  if (path.endsWith(".rev")) {
    return !RevisionFile.isSealed(whole) && Either.isRight(RevisionFile.decode(content))
  }
  return whole[0] === 0x7b && Either.isRight(LegacyMap.decode(content))
}

const restoredTo = "/restore/out.img"

/** A restore that succeeds gives the bytes of the revision that was asked for. */
const isNoWrongByte = (damaged: MemoryDisk, asked: string, id: string, what: string): void => {
  const disk = damaged.clone()
  const exit = run(disk, Scenarios.restoreTo(restoredTo, { revision: asked }))
  if (Exit.isFailure(exit)) return assert.strictEqual(exit.cause._tag, "Fail", `${what}: ${String(exit.cause)}`)
  assert.isTrue(same(disk.bytesAt(restoredTo), before.complete.get(id)?.image), `${what}: restore -r ${asked} is wrong`)
}

/** One damage, one command. */
const attempt = (path: string, damage: Damage, [name, operation, counts]: (typeof commands)[number]): void => {
  const what = `${path.slice(REPOSITORY.length + 1)}, ${damage.what}, then ${name}`
  const undetectable = isUndetectable(path, damage)
  // 2.5's dates, tags and trust have nothing that would speak against them
  if (undetectable && counts) return
  // an upgrade has then brought it into our format, of which the old file is no part any more
  if (undetectable && name === "upgrade" && path.endsWith(".rev")) return
  const disk = memory.clone()
  disk.plantFile(path, damage.content, 0o440)
  const exit = run(disk, operation)
  if (Exit.isFailure(exit)) assert.strictEqual(exit.cause._tag, "Fail", `${what}: ${String(exit.cause)}`)
  const expected = intact.get(name)?.files ?? new Map<string, Uint8Array>()
  const after = filesOf(disk)
  for (const [one, bytes] of files) {
    const would = expected.get(one)
    if (would === undefined) continue
    const is = after.get(one)
    assert.isDefined(is, `${what}: ${one} was removed`)
    if (one === path || one.endsWith(".rev") || is === undefined) continue
    assert.isTrue(same(is, bytes) || same(is, would), `${what}: ${one} was changed`)
  }
  isRightAgain(disk, path, expected, what)
}

/** With the file back, every revision that the command would have kept is whole. */
const isRightAgain = (
  disk: MemoryDisk,
  path: string,
  expected: ReadonlyMap<string, Uint8Array>,
  what: string
): void => {
  const whole = files.get(path)
  if (whole === undefined || !expected.has(path)) return
  disk.plantFile(path, whole, 0o440)
  const survey = Survey.take(disk)
  for (const [id, was] of before.complete) {
    if (!expected.has(`${REPOSITORY}/${id}.rev`)) continue
    const is = survey.complete.get(id)
    assert.isTrue(is !== undefined && Survey.isWhole(is) && was.image !== undefined, `${what}: ${id} is lost`)
    assert.isTrue(same(was.image ?? new Uint8Array(0), is?.image), `${what}: ${id} holds other bytes`)
  }
  assert.isTrue(Exit.isSuccess(run(disk, Scenarios.verifyAll, 31)), `${what}: verify fails with the file put back`)
}

/** All that is metadata here, but for what other tests look at. */
const targets = [...files.keys()].filter((path) => {
  const name = path.slice(REPOSITORY.length + 1)
  const id = name.replace(/\.(rev|map|report)$/, "").replace("quarantine/", "")
  if (!Revision.isRevisionId(id)) return false
  // an image is no metadata
  return name !== id || before.complete.get(id)?.revision.isImage === false
})

/** Every case, or a sample of them, in turns through the files. */
const cases = function*(): Generator<readonly [path: string, damage: Damage, commands: typeof commands]> {
  if (WANTED === "all") {
    for (const path of targets) {
      for (const damage of damages(files.get(path) ?? new Uint8Array(0))) yield [path, damage, commands]
    }
    return
  }
  const next = randomNumbers(SEED)
  const all = new Map(targets.map((path) => [path, [...damages(files.get(path) ?? new Uint8Array(0))]]))
  for (let n = 0; n < Number(WANTED); n++) {
    const path = targets[n % targets.length] ?? ""
    const list = all.get(path) ?? []
    // lines are few, and do most: every other case is one of them or near the end
    const at = n % 2 === 0 ? Math.floor(next() * list.length) : list.length - 1 - Math.floor(next() * 40)
    const damage = list[Math.max(0, at)]
    const command = commands[Math.floor(next() * commands.length)]
    if (damage !== undefined && command !== undefined) yield [path, damage, [command]]
  }
}

describe("metadata that is damaged", () => {
  it("is prepared: revisions of every kind, whole, and every command ends well", () => {
    const kinds = new Set([...before.complete.values()].map(({ revision }) => revision.backendType))
    assert.deepStrictEqual([...kinds].sort(), ["chunked", "chunked-v4", "cowfile", "cowfile-v4"])
    assert.strictEqual(before.incomplete.length, 3)
    assert.isTrue([...before.complete.values()].every(Survey.isWhole))
    assert.isAbove(targets.length, 16)
    for (const [name, { exit }] of intact) assert.isTrue(Exit.isSuccess(exit), `${name}: ${String(exit)}`)
    // purge has something to remove
    assert.isBelow(intact.get("purge")?.files.size ?? 0, files.size)
  })

  it(
    "removes nothing, gives no wrong byte, and is right again when it is put back",
    { timeout: 36_000_000 },
    async () => {
      let done = 0
      for (const [path, damage, which] of cases()) {
        await breathe()
        const where = `seed ${SEED}: ${path}, ${damage.what}`
        for (const command of which) attempt(path, damage, command)
        const disk = memory.clone()
        disk.plantFile(path, damage.content, 0o440)
        if (!isUndetectable(path, damage)) {
          isNoWrongByte(disk, "latest", latest, where)
          const own = ids.find((id) => path.includes(id)) ?? latest
          for (const id of WANTED === "all" ? ids : [own]) isNoWrongByte(disk, id, id, where)
        }
        done++
      }
      assert.isAbove(done, 100)
      process.stdout.write(`metadata: ${done} damages, seed ${SEED}\n`)
    }
  )
})
