/**
 * kill -9 of the built program, before a random call of the file system, again and again on one repository: whatever
 * was under way, every kept revision keeps its bytes and nobody has to help.
 *
 * `BACKY_KILLS` says how many (default 80), `BACKY_SEED` which ones. Threads make the moments of a seed alike, not
 * equal; the history is printed when something is wrong.
 */
import { assert, describe, it } from "@effect/vitest"
import { spawn } from "node:child_process"
import { createHash } from "node:crypto"
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { randomNumbers } from "../../src/platform/MemoryChoices.ts"
import { nodeDisk } from "../../src/platform/nodeDisk.ts"
import * as Survey from "../support/Survey.ts"
import { ok, PROGRAM, workshop } from "./program.ts"

const KILLS = Number(process.env["BACKY_KILLS"] ?? 80)
const SEED = Number(process.env["BACKY_SEED"] ?? 1)
/** After so many kills everything is looked at with the program itself. */
const CHECK_EVERY = 25

const CHUNK = 4 * 1024 ** 2
const preload = fileURLToPath(new URL("../support/killAtCall.mjs", import.meta.url))

const disk: Survey.Readable = { disk: nodeDisk, bytesAt: (path) => readFileSync(path) }

const digest = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex")

/** Runs the program and kills it before its n-th call. */
const killed = (argv: ReadonlyArray<string>, at: number): Promise<{ readonly killed: boolean; readonly err: string }> =>
  new Promise((resolve, reject) => {
    const child = spawn(PROGRAM, argv, {
      env: {
        ...process.env,
        BACKY_WORKERS: "2",
        NODE_OPTIONS: `--import=${preload}`,
        BACKY_TEST_KILL_AT: String(at)
      },
      stdio: ["ignore", "ignore", "pipe"]
    })
    let err = ""
    child.stderr.setEncoding("utf8").on("data", (text: string) => err += text)
    child.once("error", reject)
    child.once("close", (_, signal) => resolve({ killed: signal === "SIGKILL", err }))
  })

describe(`kill -9 before random calls (seed ${SEED})`, () => {
  it(`${KILLS} times harms no revision, and the next run needs no hand`, { timeout: 3_600_000 }, async () => {
    const next = randomNumbers(SEED)
    const pick = (options: number): number => Math.floor(next() * options)
    const image = Buffer.alloc(2 * CHUNK + 16_384)
    const shop = await workshop(image)
    const target = join(shop.folder, "restored.img")
    /** What each revision must hold. */
    const truth = new Map<string, string>()
    const history: Array<string> = []
    /** How many calls an operation makes, as far as is known: kills that come too late are wasted. */
    const lengths = new Map<string, number>()
    const struck = new Set<string>()
    let kills = 0
    let versions = 0

    const write = (): void => {
      const chunk = pick(3)
      image.fill(++versions % 255 + 1, chunk * CHUNK, chunk * CHUNK + 4096 * (1 + pick(3)))
      writeFileSync(shop.image, image)
    }

    const look = (mayGo: boolean): Survey.Survey => {
      const survey = Survey.take(disk, shop.repository)
      const told = () => `\n${history.slice(-12).join("\n")}`
      for (const [id, one] of survey.complete) {
        assert.isDefined(one.image, `revision ${id} has no usable map${told()}`)
        assert.deepStrictEqual(one.bad, [], `revision ${id} lacks chunks${told()}`)
        const is = digest(one.image ?? image)
        assert.strictEqual(is, truth.get(id) ?? digest(image), `revision ${id} holds other bytes${told()}`)
        truth.set(id, is)
        assert.isTrue(one.revision.isTrusted, `revision ${id} lost its trust${told()}`)
      }
      for (const id of truth.keys()) {
        if (survey.complete.has(id)) continue
        assert.isTrue(mayGo, `revision ${id} is gone${told()}`)
        truth.delete(id)
      }
      assert.deepStrictEqual(survey.broken, [], told())
      assert.isAtMost(survey.incomplete.length, 1, told())
      return survey
    }

    const check = async (): Promise<void> => {
      write()
      history.push("backup, purge, verify, not killed")
      await ok(...shop.args("backup", "daily"))
      await ok(...shop.args("purge"))
      const survey = look(false)
      assert.deepStrictEqual([survey.temporary, survey.orphans, survey.incomplete], [[], [], []])
      const named = new Set(Array.from(survey.complete.values()).flatMap(({ names }) => names))
      assert.deepStrictEqual([...survey.chunks].sort(), [...named].sort())
      await ok(...shop.args("verify", "-r", "all"))
      look(false)
      for (const [id, expected] of truth) {
        rmSync(target, { force: true })
        await ok(...shop.args("restore", "-r", id, target))
        assert.strictEqual(digest(readFileSync(target)), expected, `restore of ${id}`)
      }
    }

    const operations = ["backup", "backup", "purge", "verify", "expire", "restore", "forget", "tags"] as const
    await check()
    while (kills < KILLS) {
      const chosen = operations[pick(operations.length)] ?? "backup"
      // a history that does not grow, so that looking at all of it stays quick
      const operation = chosen === "backup" && truth.size > 5 ? "forget" : chosen
      if (operation === "backup") write()
      if (operation === "forget" && truth.size < 4) continue
      if (operation === "restore") rmSync(target, { force: true })
      const argv = {
        backup: ["backup", "daily"],
        purge: ["purge"],
        verify: ["verify", "-r", "all"],
        expire: ["expire"],
        restore: ["restore", target],
        forget: ["forget", "-r", "first"],
        tags: ["tags", "add", "-r", "latest", `manual:${kills}`]
      }[operation]
      const length = lengths.get(operation) ?? 120
      const at = 1 + pick(length)
      history.push(`${argv.join(" ")}, killed before call ${at}`)
      const end = await killed(shop.args(...argv), at)
      if (end.killed) {
        kills++
        struck.add(operation)
      } else {
        history.push(`  (it had ended: ${end.err.trim()})`)
        lengths.set(operation, Math.max(4, Math.min(length, at)))
      }
      look(operation === "forget" || operation === "expire")
      if (operation === "restore" && existsSync(target)) {
        const newest = Survey.newestTrusted(Survey.take(disk, shop.repository))
        assert.strictEqual(digest(readFileSync(target)), truth.get(newest?.revision.id ?? ""), "half a restored image")
      }
      if (end.killed && kills % CHECK_EVERY === 0) await check()
    }
    await check()
    shop.remove()
    process.stdout.write(
      `kill -9 of the built program: ${kills} before calls of ${struck.size} operations (seed ${SEED}), ` +
        `${truth.size} revisions kept, each restored and compared\n`
    )
  })
})
