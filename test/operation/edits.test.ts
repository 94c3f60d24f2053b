import { assert, describe, it } from "@effect/vitest"
import type * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/TestClock"
import { distrust as distrustOperation } from "../../src/operation/distrust.ts"
import { expire as expireOperation } from "../../src/operation/expire.ts"
import { forget as forgetOperation } from "../../src/operation/forget.ts"
import { tags as tagsOperation } from "../../src/operation/tags.ts"
import * as DigestLine from "../../src/platform/digestLine.ts"
import { Repository } from "../../src/repository/Repository.ts"
import { REPOSITORY, restored, schedule } from "../support/World.ts"
import * as Scenario from "./scenario.ts"

const { backupOf, blocks, inScene } = Scenario

const wait = Scenario.zero

const ids = Effect.map(Scenario.history, ({ complete }) => complete.map(({ id }) => id))

/** Three revisions, oldest first. */
const three = (scene: Scenario.Scene) =>
  Effect.forEach([1, 2, 3], (byte) => Effect.map(backupOf(scene, blocks(byte)), ({ revision }) => revision.id))

describe("forget", () => {
  const forget = (revisions: string, force = false) => forgetOperation({ revisions, force, wait })

  it.effect("removes revisions with their maps and leaves chunks to purge", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const [first, second, third] = yield* three(scene)
        const chunks = Scenario.chunkFiles(scene)
        assert.deepStrictEqual<ReadonlyArray<unknown>>(yield* forget("first, 1"), [first, second])
        assert.deepStrictEqual(Scenario.published(scene), [`${third}`, `${third}.rev`])
        assert.deepStrictEqual(Scenario.chunkFiles(scene), chunks)
      })
    ))

  it.effect("keeps the newest trusted revision, and with it all others, unless forced", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const [, second, third] = yield* three(scene)
        yield* Scenario.distrustAs(third ?? "", "manual")
        const error = yield* Scenario.failureOf(forget("all"))
        assert.strictEqual(error._tag, "NewestTrusted")
        assert.include(error.message, second ?? "")
        assert.strictEqual((yield* ids).length, 3)
        yield* forget("latest")
        yield* forget("all", true)
        assert.deepStrictEqual(Scenario.published(scene), [])
      })
    ))

  it.effect("removes a revision with a broken .rev by its id, and only by that", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const [first, second, third] = yield* three(scene)
        Scenario.tamper(scene, `${REPOSITORY}/${second}.rev`, () => new TextEncoder().encode("uuid: 1\n"))
        // whoever counts could mean another one
        for (const spec of ["first", "1", "first(all)", "not(latest)", "latest..", "daily"]) {
          const error = yield* Scenario.failureOf(forget(spec))
          assert.strictEqual(error._tag, "SpecFailed", spec)
          assert.include(error.message, `${second}.rev is not readable`, spec)
        }
        assert.strictEqual(Scenario.published(scene).length, 6)
        yield* forget(second ?? "")
        assert.isTrue(scene.log.some((line) => line.includes(`revision ${second} is given up`)))
        yield* forget(`${first}`)
        assert.deepStrictEqual(Scenario.published(scene), [`${third}`, `${third}.rev`])
      })
    ))

  it.effect("gives up what cannot be read only by force where no trusted revision would remain", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const [first, second, third] = yield* three(scene)
        for (const id of [first, second, third]) {
          Scenario.tamper(scene, `${REPOSITORY}/${id}.rev`, Scenario.flipBit)
        }
        const before = Scenario.filesBelow(scene)
        const error = yield* Scenario.failureOf(forget(first ?? ""))
        assert.strictEqual(error._tag, "NoTrustedLeft")
        assert.include(error.message, first ?? "")
        assert.deepStrictEqual(Scenario.filesBelow(scene), before)
        yield* forget(first ?? "", true)
        assert.deepStrictEqual(
          Scenario.published(scene),
          [`${second}`, `${second}.rev`, `${third}`, `${third}.rev`].sort()
        )
      })
    ))

  it.effect("removes an incomplete revision by its id", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const [, , third] = yield* three(scene)
        const revision = yield* Scenario.revisionOf(third ?? "")
        yield* (yield* Repository).publish(Scenario.begun(revision))
        yield* forget(third ?? "")
        assert.strictEqual(Scenario.published(scene).length, 4)
      })
    ))

  it.effect("makes the vanishing of the metadata durable before the map goes", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const [first] = yield* three(scene)
        scene.memory.syncAll()
        let seen = false
        scene.memory.onOperation = (_, name, path) => {
          if (name !== "unlink" || path !== `${REPOSITORY}/${first}`) return
          seen = true
          assert.notInclude(scene.memory.crash(() => 0).disk.list(REPOSITORY), `${first}.rev`)
        }
        yield* forget("first")
        assert.isTrue(seen)
      })
    ))
})

describe("expire", () => {
  const expire = (options?: { readonly dryRun?: boolean; readonly unknownTags?: boolean }) =>
    expireOperation({
      schedule,
      dryRun: options?.dryRun ?? false,
      unknownTags: options?.unknownTags ?? false,
      wait
    })

  it.effect("takes tags away and removes what has none left, as its dry run said", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const [first, second] = yield* Effect.forEach(
          [["daily"], ["daily", "weekly"], ["daily"], ["daily"], ["daily"], ["daily"]],
          (tags, index) => Effect.map(backupOf(scene, blocks(index + 1), tags), ({ revision }) => revision.id)
        )
        yield* TestClock.adjust(Duration.hours(1))
        const before = scene.memory.describe()
        const plan = yield* expire({ dryRun: true })
        assert.deepStrictEqual(scene.memory.describe(), before)
        assert.deepStrictEqual(plan.decisions.map(({ _tag }) => _tag), [
          "remove",
          "untag",
          "remove",
          "keep",
          "keep",
          "keep"
        ])
        assert.deepStrictEqual(
          (yield* expire()).decisions.map(({ _tag }) => _tag),
          plan.decisions.map(({ _tag }) => _tag)
        )
        const { complete } = yield* Scenario.history
        assert.deepStrictEqual(complete.map(({ tags }) => tags), [["weekly"], ["daily"], ["daily"], ["daily"]])
        assert.strictEqual(complete[0]?.id, second)
        assert.notInclude(Scenario.published(scene), first)
        assert.deepStrictEqual((yield* expire()).decisions.map(({ _tag }) => _tag), ["keep", "keep", "keep", "keep"])
      })
    ))

  it.effect("keeps tags that the schedule does not know until asked, and the newest trusted revision always", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* Effect.forEach([1, 2], (byte) => backupOf(scene, blocks(byte), ["manual:x"]))
        yield* tagsOperation({ revisions: "all", change: "set", tags: ["old-name"], schedule: undefined, wait })
        yield* TestClock.adjust(Duration.days(1000))
        yield* expire()
        assert.strictEqual((yield* ids).length, 2)
        yield* expire({ unknownTags: true })
        assert.strictEqual((yield* ids).length, 1)
        assert.deepStrictEqual(yield* restored("latest"), blocks(2))
      })
    ))
})

describe("tags", () => {
  const tags = (change: "set" | "add" | "remove", list: ReadonlyArray<string>, revisions = "latest") =>
    tagsOperation({ revisions, change, tags: list, schedule, wait })

  it.effect("sets, adds and removes, and tells which revisions are different now", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const { revision } = yield* backupOf(scene, blocks(1), ["daily"])
        const now = Effect.map(Scenario.revisionOf(revision.id), (found) => found.tags)
        assert.deepStrictEqual((yield* tags("add", ["weekly", "daily"])).map(({ id }) => id), [revision.id])
        assert.deepStrictEqual(yield* now, ["daily", "weekly"])
        assert.deepStrictEqual(yield* tags("add", ["weekly"]), [])
        yield* tags("remove", ["daily", "never-there"])
        assert.deepStrictEqual(yield* now, ["weekly"])
        yield* tags("set", ["manual:keep", "daily"])
        assert.deepStrictEqual(yield* now, ["daily", "manual:keep"])
      })
    ))

  it.effect("refuses unknown tags before it changes anything, but removes any", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* backupOf(scene, blocks(1))
        const before = scene.memory.describe()
        assert.strictEqual((yield* Scenario.failureOf(tags("add", ["nightly"])))._tag, "TagsUnknown")
        assert.deepStrictEqual(scene.memory.describe(), before)
        yield* tags("remove", ["nightly"])
      })
    ))

  it.effect("keeps everything else that the metadata says, also keys of a later version", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const { revision } = yield* backupOf(scene, blocks(1))
        const path = `${REPOSITORY}/${revision.id}.rev`
        Scenario.tamper(
          scene,
          path,
          (bytes) => {
            const text = new TextDecoder().decode(bytes).replace(/^# digest .*\n/m, "future_key: {a: [1]}\n")
            return DigestLine.seal("# digest ", new TextEncoder().encode(text))
          }
        )
        yield* tags("add", ["weekly"])
        const text = new TextDecoder().decode(scene.memory.bytesAt(path))
        assert.match(text, /future_key:/)
        assert.deepStrictEqual(yield* restored("latest"), blocks(1))
      })
    ))
})

describe("distrust", () => {
  const distrust = (options: {
    readonly revisions?: string
    readonly from?: DateTime.Utc
    readonly until?: DateTime.Utc
  }) => distrustOperation({ revisions: options.revisions ?? "all", from: options.from, until: options.until, wait })

  it.effect("marks revisions, which are then no base and count as distrusted by hand", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        const [first] = yield* three(scene)
        const changed = yield* distrust({ revisions: "1.." })
        assert.strictEqual(changed.length, 2)
        assert.deepStrictEqual(yield* Scenario.trusts, ["trusted", "distrusted", "distrusted"])
        assert.strictEqual((yield* Scenario.history).complete[1]?.distrust?.reason, "manual")
        assert.deepStrictEqual(yield* distrust({ revisions: "1.." }), [], "they were distrusted before")
        assert.strictEqual((yield* backupOf(scene, blocks(3))).base, first)
      })
    ))

  it.effect("takes a stretch of time: from an instant on, and until before another", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        yield* three(scene)
        const { complete } = yield* Scenario.history
        const from = complete[1]?.timestamp
        const until = complete[2]?.timestamp
        if (from === undefined || until === undefined) return assert.fail("three revisions were made")
        yield* distrust({ from, until })
        assert.deepStrictEqual(yield* Scenario.trusts, ["trusted", "distrusted", "trusted"])
      })
    ))
})
