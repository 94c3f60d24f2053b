/**
 * The built program, many times at once on one repository: whatever meets, no revision loses a byte, nothing is left
 * behind, and who has to give way says so and names who is in its way.
 *
 * `BACKY_ROUNDS` says how often (default 6), `BACKY_SEED` who is started, and in which order. All are started together
 * and waited for. The system decides who comes first, so the rounds of a seed are alike, not equal; the history is
 * printed when something is wrong.
 */
import { assert, describe, it } from "@effect/vitest"
import { createHash } from "node:crypto"
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { randomNumbers } from "../../src/platform/MemoryChoices.ts"
import { nodeDisk } from "../../src/platform/nodeDisk.ts"
import * as Survey from "../support/Survey.ts"
import { chunkFiles, noise, ok, start, workshop } from "./program.ts"

const ROUNDS = Number(process.env["BACKY_ROUNDS"] ?? 6)
const SEED = Number(process.env["BACKY_SEED"] ?? 1)

const CHUNK = 4 * 1024 ** 2
const CHUNKS = 4

const disk: Survey.Readable = { disk: nodeDisk, bytesAt: (path) => readFileSync(path) }

const digest = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex")

/**
 * Who holds a lock alone has signed it with its host, unless it is taking or leaving it at this very moment; others, and
 * those who share it, are known by the kernel's word.
 */
const LOSS =
  /^(?:warning: this result was not recorded: trust is as it was\n)?backy: \S+\/\.(?:backup|purge) is locked by (?:backy .*, process (\d+)(?: on \S+)?, since \d{4}-\d\d-\d\d [\d:]+ UTC(?:, and \d more)?|another process); .*--wait\n$/
/** What else may come of it that others were quicker. */
const LATE = /^backy: (?:revision \S+ is the newest trusted one and was kept|-r \S+: no revision fits)/

describe(`several programs at once on one repository (seed ${SEED})`, () => {
  it(`harm nothing in ${ROUNDS} rounds, and losers say who is in their way`, { timeout: 3_600_000 }, async () => {
    const next = randomNumbers(SEED)
    const pick = (options: number): number => Math.floor(next() * options)
    const image = noise(CHUNKS * CHUNK)
    const shop = await workshop(image)
    const truth = new Map<string, string>()
    const history: Array<string> = []
    const counts = { succeeded: 0, locked: 0, named: 0, late: 0 }
    const succeeded = new Set<string>()
    const told = (): string => `\n${history.slice(-24).join("\n")}\nBACKY_SEED=${SEED}`

    /** Everything that is there now is whole, and is what it was. */
    const look = (): Survey.Survey => {
      const survey = Survey.take(disk, shop.repository)
      for (const [id, one] of survey.complete) {
        assert.deepStrictEqual(one.bad, [], `revision ${id} lacks chunks${told()}`)
        const is = digest(one.image ?? new Uint8Array(0))
        assert.strictEqual(is, truth.get(id) ?? digest(image), `revision ${id} holds other bytes${told()}`)
        truth.set(id, is)
        assert.isTrue(one.revision.isTrusted, `revision ${id} lost its trust${told()}`)
      }
      assert.deepStrictEqual(
        [survey.broken, survey.incomplete, survey.temporary, survey.orphans],
        [[], [], [], []],
        told()
      )
      return survey
    }

    const seeded = (): ReadonlyArray<string> => {
      const names = ["backup", "backup", "purge", "verify", "restore", "expire", "forget", "tags"]
      return names.map((name) => [next(), name] as const).sort(([a], [b]) => a - b).map(([_, name]) => name)
    }

    for (let count = 0; count < 3; count++) {
      image.fill(count + 1, 0, 4096)
      writeFileSync(shop.image, image)
      await ok(...shop.args("backup", "daily"))
      look()
    }
    for (let round = 1; round <= ROUNDS; round++) {
      const changed = pick(CHUNKS) * CHUNK
      image.fill(100 + round, changed, changed + 65_536)
      writeFileSync(shop.image, image)
      const before = look()
      const newest = Survey.newestTrusted(before)?.revision.id ?? ""
      const target = join(shop.folder, `restored-${round}`)
      const rest: Record<string, ReadonlyArray<string>> = {
        backup: ["daily"],
        verify: ["-r", "all"],
        restore: [target],
        // there are never fewer than three, so that it does not take what is being restored
        forget: ["-r", before.complete.size > 3 ? "first" : "latest"],
        tags: ["add", "-r", "first", `manual:${round}`]
      }
      const started = seeded().map((name) => {
        const argv = [name, ...rest[name] ?? [], ...pick(2) === 0 ? ["--wait", "10m"] : []]
        return { name, argv, process: start(shop.args(...argv)) }
      })
      const ends = await Promise.all(
        started.map(async ({ argv, name, process }) => ({ argv, name, ...await process.ended }))
      )
      for (const { argv, code, err } of ends) history.push(`round ${round}: ${argv.join(" ")}: ${code} ${err.trim()}`)
      for (const { argv, code, err, name } of ends) {
        if (code === 0) {
          counts.succeeded++
          succeeded.add(name)
          continue
        }
        if (code === 75) {
          const [found, holder] = LOSS.exec(err) ?? []
          assert.isDefined(found, `${argv.join(" ")} does not say why it lost: ${err}${told()}`)
          assert.notInclude(argv, "--wait", told())
          counts.locked++
          if (holder !== undefined) {
            counts.named++
            assert.isTrue(started.some(({ process }) => process.child.pid === Number(holder)), `${err}${told()}`)
          }
          continue
        }
        assert.strictEqual(code, 1, told())
        assert.match(err, LATE, told())
        counts.late++
      }
      const after = look()
      const gone = [...before.complete.keys()].filter((id) => !after.complete.has(id))
      const forgot = ends.filter(({ code, name }) => name === "forget" && code === 0).length
      assert.isAtMost(gone.length, forgot, `${gone.join(" ")} are gone${told()}`)
      assert.notInclude(gone, newest, told())
      const made = [...after.complete.keys()].filter((id) => !before.complete.has(id))
      const backups = ends.filter(({ code, name }) => name === "backup" && code === 0).length
      // the newest of two new revisions may have been forgotten at once
      assert.isAtMost(made.length, backups, told())
      assert.isAtLeast(made.length + forgot, backups, told())
      const restored = ends.some(({ code, name }) => name === "restore" && code === 0)
      assert.strictEqual(existsSync(target), restored, told())
      if (restored) assert.include([...truth.values()], digest(readFileSync(target)), `half an image${told()}`)
      rmSync(target, { force: true })
      for (const id of truth.keys()) if (!after.complete.has(id)) truth.delete(id)
    }
    await ok(...shop.args("purge"))
    const named = new Set([...look().complete.values()].flatMap(({ names }) => names))
    assert.strictEqual(chunkFiles(shop.repository).length, named.size)
    await ok(...shop.args("verify", "-r", "all"))
    assert.isAbove(counts.locked, 0)
    assert.isAbove(counts.named, 0)
    assert.strictEqual(succeeded.size, 7)
    shop.remove()
    process.stdout.write(
      `programs at once: ${ROUNDS} rounds of 8 (seed ${SEED}); ${counts.succeeded} succeeded, ${counts.locked} found a ` +
        `lock held, of which ${counts.named} could name the holder, ${counts.late} came too late\n`
    )
  })
})
