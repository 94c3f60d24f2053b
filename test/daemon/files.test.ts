/** What the daemon writes and reads besides the repositories' own files. */
import { assert, describe, it } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/TestClock"
import { JobHistory, layer as historyLayer } from "../../src/daemon/JobHistory.ts"
import * as JobState from "../../src/daemon/JobState.ts"
import * as StatusFile from "../../src/daemon/StatusFile.ts"
import { type Revision, update } from "../../src/domain/Revision.ts"
import * as Yaml from "../../src/domain/Yaml.ts"
import * as BlockFile from "../../src/platform/BlockFile.ts"
import * as DiskFileSystem from "../../src/platform/diskFileSystem.ts"
import { layer as repositoryLayer, Repository } from "../../src/repository/Repository.ts"
import * as RevisionFile from "../../src/repository/revisionFile.ts"
import { history as histories } from "../support/arbitraries.ts"
import { bytesOf as bytesAt } from "../support/diskFiles.ts"
import { status } from "../support/jobStatus.ts"
import { addSmallHistory } from "../support/legacyRevision.ts"
import { makeDisk, REPOSITORY, setFile } from "../support/World.ts"

const instant = FastCheck.integer({ min: 0, max: 4_000_000_000_000 })
const name = FastCheck.oneof(
  FastCheck.constantFrom("web01", "yes", "12", "null", "__proto__", "a b", "ü: x", "#x", "'", "[x]"),
  FastCheck.string({ minLength: 1 }).filter((text) => !/[/\p{Cc}]/u.test(text))
)

describe("the scheduler's state", () => {
  const record = FastCheck.record({
    configuredSince: instant,
    failures: FastCheck.nat(),
    notBefore: FastCheck.option(instant, { nil: undefined }),
    purgeBlocked: FastCheck.option(FastCheck.record({ since: instant, sentence: name }), { nil: undefined })
  })
  it.prop(
    "comes back as it was written, whatever jobs are called",
    [FastCheck.dictionary(name, record)],
    ([records]) => {
      const given: JobState.Records = new Map(Object.entries(records))
      assert.deepStrictEqual(Either.getOrThrow(JobState.decode(JobState.encode(given), "x")), given)
    }
  )

  it("is unusable when it is anything else, and says so", () => {
    for (
      const text of [
        "",
        "[]",
        "version: 2\njobs: []",
        "version: 1\njobs: [{job: a, failures: -1}]",
        "a: &a [*a, *a]",
        "\u0000"
      ]
    ) {
      const decoded = JobState.decode(text, "/x")
      assert.isTrue(
        Either.isLeft(decoded) && decoded.left.message.startsWith("the scheduler's state /x cannot be used: "),
        text
      )
    }
  })
})

describe("the status file", () => {
  it.prop("is YAML that any reader takes, one block a job with the ancestor's keys", [name], ([job]) => {
    const last = DateTime.unsafeMake("2026-11-23T11:52:13.246Z")
    const text = StatusFile.encode([status({ job, last_time: last, sla: "TOO OLD", sla_overdue: 3.5 })])
    const value = Either.getOrThrow(Yaml.parse(text)).value
    assert.isTrue(Array.isArray(value))
    const [first] = Either.getOrThrow(StatusFile.decode(text))
    assert.strictEqual(first?.job, job)
    assert.include(text, "\n  last_time: 2026-11-23 11:52:13.246000+00:00\n")
    assert.include(text, "\n  sla: TOO OLD\n  sla_overdue: 3.5\n")
  })

  it("is an empty list without jobs, and reads what the ancestor wrote", () => {
    assert.deepStrictEqual(Either.getOrThrow(StatusFile.decode(StatusFile.encode([]))), [])
    const old =
      "- job: host1\n  last_duration: null\n  last_tags: daily,weekly\n  last_time: 2026-11-23 11:52:13.246042+00:00\n" +
      "  manual_tags: ''\n  next_tags: null\n  next_time: null\n  quarantine_reports: 0\n  sla: OK\n  sla_overdue: 0\n  status: ''\n"
    assert.strictEqual(Either.getOrThrow(StatusFile.decode(old))[0]?.last_tags, "daily,weekly")
    assert.isTrue(Either.isLeft(StatusFile.decode("- job: 1\n")))
    for (const text of ["jobs: {}\n", "", "null\n"]) {
      assert.deepStrictEqual(
        StatusFile.decode(text),
        Either.left("is none that backy writes: it has no list of jobs")
      )
    }
  })
})

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)

/** The file of a revision, completed in so many seconds. */
const fileOf = (revision: Revision, duration: number): Uint8Array =>
  RevisionFile.encode(
    update(revision, { backendType: "chunked-v4", stats: { duration }, size: 0, mapDigest: "ab".repeat(32) })
  )

describe("a job's history", () => {
  const [, second, third] = FastCheck.sample(histories({ minLength: 3 }), { seed: 5, numRuns: 1 })[0] ?? []

  it.effect("is read again when it has changed, and one bad file hides no other", () =>
    Effect.gen(function*() {
      assert.isDefined(second)
      assert.isDefined(third)
      const { disk } = makeDisk()
      const write = (file: string, content: Uint8Array | string) =>
        setFile(disk, `${REPOSITORY}/${file}`, typeof content === "string" ? bytesOf(content) : content)
      yield* Effect.gen(function*() {
        const { isSame, read } = yield* JobHistory
        assert.isFalse(yield* isSame(REPOSITORY))
        assert.deepStrictEqual((yield* read(REPOSITORY)).revisions, [])
        assert.isTrue(yield* isSame(REPOSITORY))
        write(`${second.id}.rev`, fileOf(second, 6))
        assert.deepStrictEqual((yield* read(REPOSITORY)).revisions.map(({ id }) => id), [second.id])
        write(`${third.id}.rev`, "what is this")
        assert.isFalse(yield* isSame(REPOSITORY))
        const facts = yield* read(REPOSITORY)
        assert.deepStrictEqual([facts.revisions.length, facts.broken, facts.reports], [1, 1, 0])
        write(`${third.id}.rev`, fileOf(third, 7))
        disk.makeDirectory(`${REPOSITORY}/quarantine`, 0o750)
        write("quarantine/x.report", "")
        const more = yield* read(REPOSITORY)
        assert.deepStrictEqual([more.revisions.length, more.broken, more.reports], [2, 0, 1])
        assert.strictEqual(more.revisions.find(({ id }) => id === third.id)?.duration, 7)
        assert.strictEqual((yield* read("/srv/backy/nobody")).configAt, undefined)
        // without another directory entry a change is found within the hour
        assert.strictEqual(yield* read(REPOSITORY), more)
        assert.isTrue(yield* isSame(REPOSITORY))
        disk.unlink(`${REPOSITORY}/quarantine/x.report`)
        assert.isFalse(yield* isSame(REPOSITORY))
        assert.strictEqual((yield* read(REPOSITORY)).reports, 0)
        const before = yield* read(REPOSITORY)
        const path = `${REPOSITORY}/${third.id}.rev`
        const open = disk.open(path, { access: "write", truncate: true })
        disk.write(open, fileOf(third, 8), 0)
        disk.close(open)
        assert.strictEqual(yield* read(REPOSITORY), before)
        assert.isTrue(yield* isSame(REPOSITORY))
        yield* TestClock.adjust(Duration.hours(1))
        assert.isFalse(yield* isSame(REPOSITORY))
        assert.strictEqual((yield* read(REPOSITORY)).revisions.find(({ id }) => id === third.id)?.duration, 8)
      }).pipe(
        Effect.provide(Layer.provide(historyLayer, Layer.merge(DiskFileSystem.layer(disk), BlockFile.layerDisk(disk))))
      )
    }))

  it.effect("counts as broken what the commands do: also one of 2.5 without a duration whose map is whole", () =>
    Effect.suspend(() => {
      const { disk } = makeDisk()
      const contents = addSmallHistory(disk, 4096)
      const [id = "", image = "", other = ""] = contents.keys()
      const path = `${REPOSITORY}/${id}.rev`
      const text = new TextDecoder().decode(bytesAt(disk, path))
      const map = bytesAt(disk, `${REPOSITORY}/${id}`)
      const agree = Effect.gen(function*() {
        const { read } = yield* JobHistory
        const { history } = yield* Repository
        // none of the changes is to be missed for having been made in the same moment
        yield* TestClock.adjust(Duration.minutes(1))
        const facts = yield* read(REPOSITORY)
        const { broken, complete, incomplete } = yield* history
        assert.strictEqual(facts.broken, broken.length)
        const ids = (isComplete: boolean) =>
          facts.revisions.filter((one) => one.isComplete === isComplete).map((one) => one.id)
        assert.sameMembers(ids(true), complete.map((one) => one.id))
        assert.sameMembers(ids(false), incomplete.map((one) => one.id))
        return [facts.broken, ids(true), ids(false)]
      })
      const write = (file: string, content: Uint8Array) => {
        disk.unlink(file)
        setFile(disk, file, content)
      }
      return Effect.provide(
        Effect.gen(function*() {
          assert.deepStrictEqual(yield* agree, [0, [id, image, other], []])
          write(path, bytesOf(text.replace("stats: {bytes_written: 1, duration: 0.5}", "stats: {}")))
          assert.deepStrictEqual(yield* agree, [1, [image, other], []])
          // without a map it is what it says: a backup that was interrupted
          disk.unlink(`${REPOSITORY}/${id}`)
          assert.deepStrictEqual(yield* agree, [0, [image, other], [id]])
          setFile(disk, `${REPOSITORY}/${id}`, map.subarray(0, map.length - 9))
          assert.deepStrictEqual(yield* agree, [0, [image, other], [id]])
          write(`${REPOSITORY}/${id}`, map)
          assert.deepStrictEqual(yield* agree, [1, [image, other], []])
          write(path, bytesOf(text))
          assert.deepStrictEqual(yield* agree, [0, [id, image, other], []])
          write(path, bytesOf(text.replace(id, other)))
          assert.deepStrictEqual(yield* agree, [1, [image, other], []])
        }),
        Layer.merge(historyLayer, repositoryLayer(REPOSITORY)).pipe(
          Layer.provide(Layer.merge(DiskFileSystem.layer(disk), BlockFile.layerDisk(disk)))
        )
      )
    }))
})
