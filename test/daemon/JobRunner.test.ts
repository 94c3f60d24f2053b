/** What one run of a job starts, and as what. */
import { assert, describe, it } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/TestClock"
import type { Settings } from "../../src/config/Settings.ts"
import * as JobHistory from "../../src/daemon/JobHistory.ts"
import * as JobRunner from "../../src/daemon/JobRunner.ts"
import * as NoRoom from "../../src/domain/noRoom.ts"
import * as BlockFile from "../../src/platform/BlockFile.ts"
import * as DiskFileSystem from "../../src/platform/diskFileSystem.ts"
import * as MemoryDisk from "../../src/platform/MemoryDisk.ts"
import * as Process from "../../src/platform/Process.ts"
import { job as jobOf } from "../support/ScheduleWorld.ts"

const BASE = "/srv/backy"
const job = jobOf("web01", { daily: { interval: Duration.days(1), keep: 3 } })

interface Options {
  readonly expires?: boolean
  readonly purge?: boolean
  /** Steps that do not end with 0. */
  readonly ends?: Partial<Record<JobRunner.Step, Process.ProgramResult>>
  /** Steps that take their time. */
  readonly takes?: Partial<Record<JobRunner.Step, Duration.DurationInput>>
  /** What the backup leaves, when it is not a new revision. */
  /** What the backup reports of itself. */
  readonly reports?: string
  readonly leaves?: "nothing" | "an incomplete revision"
}

/** One run with these settings: how it ended, the command lines, and `DIR/config`. */
const runWith = (settings: Settings, options: Options = {}) =>
  Effect.gen(function*() {
    const { disk } = MemoryDisk.make()
    for (const directory of ["/srv", BASE]) disk.makeDirectory(directory, 0o750)
    const facts = new Map<string, JobHistory.Facts>()
    const calls: Array<string> = []
    const plugins = new Set<string | undefined>()
    const add = (...ids: ReadonlyArray<string>) => {
      const revisions = ids.map((id) => ({
        id,
        isLegacy: false,
        timestamp: DateTime.unsafeMake(0),
        tags: ["daily"],
        isComplete: id === "old" || options.leaves === undefined,
        isTrusted: true,
        duration: 1
      }))
      facts.set(`${BASE}/web01`, { ...JobHistory.nothing, revisions })
    }
    add("old")
    const program = (name: string): Process.Program => (args, _, { env, report }) => {
      calls.push([name, ...args].join(" "))
      if (name !== "done") plugins.add(env["BACKY_PLUGINS"])
      const last = args.slice(args.indexOf("/opt/backy") + 1)[4]
      if (last === "backup" && options.reports !== undefined) report(options.reports)
      if (last === "backup" && options.leaves !== "nothing") add("old", "new")
      if (last === "expire" && options.expires === true) add("new")
      const step = steps.find((one) => one === last) ?? "callback"
      const result = { stdout: last === "status" ? "- uuid: new" : "", ...options.ends?.[step] }
      const length = options.takes?.[step]
      return length === undefined ? result : Effect.delay(Effect.succeed(result), length)
    }
    const outcome = yield* Effect.flatMap(JobRunner.JobRunner, ({ run }) =>
      run({
        job,
        config: { baseDir: BASE, backupCompletedCallback: "done", settings },
        tags: ["daily"],
        purge: options.purge ?? false,
        onProgress: () => {}
      })).pipe(
        Effect.provide(JobRunner.layer.pipe(
          Layer.provide(Layer.mergeAll(
            JobHistory.layerMemory(facts),
            Process.layerMemory({
              node: program("node"),
              nice: program("nice"),
              ionice: program("ionice"),
              done: program("done")
            }),
            Layer.succeed(JobRunner.Program, { command: "node", args: ["/opt/backy"] }),
            DiskFileSystem.layer(disk),
            BlockFile.layerDisk(disk)
          ))
        ))
      )
    const descriptor = disk.open(`${BASE}/web01/config`, { access: "read" })
    const bytes = new Uint8Array(10_000)
    const config = new TextDecoder().decode(bytes.subarray(0, disk.read(descriptor, bytes, 0)))
    return { outcome, calls, config, plugins: [...plugins] }
  })

const steps: ReadonlyArray<JobRunner.Step> = ["backup", "expire", "purge", "status"]

const backup = "node /opt/backy -b /srv/backy/web01 -l /srv/backy/web01/backy.log backup daily"

describe("a run", () => {
  it.effect("hands plug-ins on by the environment, and never by the repository's config", () =>
    Effect.gen(function*() {
      const { config, plugins } = yield* runWith({ plugins: ["/etc/backy/a.mjs", "/etc/backy/b.mjs"], workers: 2 })
      assert.deepStrictEqual(plugins, ["/etc/backy/a.mjs:/etc/backy/b.mjs"])
      assert.include(config, "workers")
      assert.notInclude(config, "mjs")
      // what the scheduler was started with is not theirs
      assert.deepStrictEqual((yield* runWith({})).plugins, [""])
    }))

  it.effect("gives way to other programs, unless the config says how much; the callback is not ours to slow", () =>
    Effect.gen(function*() {
      const { calls, config, outcome } = yield* runWith({})
      assert.deepStrictEqual(outcome._tag === "Done" && outcome.troubles, [])
      assert.deepStrictEqual(
        calls,
        [
          backup,
          backup.replace("backup daily", "expire"),
          backup.replace("backup daily", "status --yaml")
        ].map((line) => `nice -n 10 ${line}`).concat("done web01")
      )
      assert.notInclude(config, "nice")
      assert.strictEqual((yield* runWith({ nice: 0 })).calls[0], backup)
      assert.strictEqual((yield* runWith({ nice: 19 })).calls[0], `nice -n 19 ${backup}`)
      assert.strictEqual((yield* runWith({ nice: 0, ionice: "idle" })).calls[0], `ionice -c idle ${backup}`)
      const both = yield* runWith({ nice: 5, ionice: "best-effort" })
      assert.strictEqual(both.calls[0], `nice -n 5 ionice -c best-effort ${backup}`)
      assert.notInclude(both.config, "nice")
    }))

  it.effect("purges when expire removed something, or when the last run did not end well", () =>
    Effect.gen(function*() {
      const purges = ({ calls }: { readonly calls: ReadonlyArray<string> }) =>
        calls.filter((line) => line.endsWith(" purge")).length
      assert.strictEqual(purges(yield* runWith({})), 0)
      assert.strictEqual(purges(yield* runWith({}, { expires: true })), 1)
      assert.strictEqual(purges(yield* runWith({}, { purge: true })), 1)
    }))

  const failing = { exitCode: 1, stderr: "backy: the disk is gone\n" }
  const sentence = "the disk is gone (exit code 1)"

  it.effect("has failed when the backup did, whatever revision there is, and does nothing more", () =>
    Effect.gen(function*() {
      const { calls, outcome } = yield* runWith({}, { ends: { backup: failing } })
      assert.deepStrictEqual(outcome, { _tag: "Failed", trouble: { step: "backup", sentence }, isStalled: false })
      assert.strictEqual(calls.length, 1)
    }))

  it.effect("makes room when the backup failed for want of it: it expires, and purges what there is to purge", () =>
    Effect.gen(function*() {
      const full = (begun: boolean, options: Options = {}) =>
        Effect.map(
          runWith({}, { leaves: "nothing", reports: NoRoom.line(begun), ends: { backup: failing }, ...options }),
          ({ calls, outcome }) => {
            assert.strictEqual(outcome._tag, "Failed")
            return { commands: calls.map((line) => line.split(" ").at(9)), outcome }
          }
        )
      const nothing = yield* full(false)
      assert.deepStrictEqual(nothing.commands, ["backup", "expire"])
      assert.deepStrictEqual(nothing.outcome, {
        _tag: "Failed",
        trouble: { step: "backup", sentence },
        isStalled: false,
        madeRoom: []
      })
      // nobody knows what the run before left, expire removed a revision, chunks were written before the disk was full
      assert.deepStrictEqual((yield* full(false, { purge: true })).commands, ["backup", "expire", "purge"])
      assert.deepStrictEqual((yield* full(false, { expires: true })).commands, ["backup", "expire", "purge"])
      assert.deepStrictEqual((yield* full(true)).commands, ["backup", "expire", "purge"])
      const ends = { backup: failing, expire: failing, purge: { exitCode: 75, stderr: "locked" } }
      const { outcome } = yield* full(true, { ends })
      assert.deepStrictEqual(outcome._tag === "Failed" && outcome.madeRoom, [
        { step: "expire", sentence },
        { step: "purge", sentence: "locked (exit code 75)", isBusy: true }
      ])
    }))

  it.effect("has a backup that reports a want of room and goes well all the same do what follows once", () =>
    Effect.gen(function*() {
      const { calls, outcome } = yield* runWith({}, { reports: NoRoom.line(true) })
      assert.strictEqual(outcome._tag, "Done")
      assert.strictEqual(calls.filter((line) => line.endsWith(" expire")).length, 1)
    }))

  for (const leaves of ["nothing", "an incomplete revision"] as const) {
    it.effect(`has failed when the backup ended well and left ${leaves}`, () =>
      Effect.gen(function*() {
        const { outcome } = yield* runWith({}, { leaves })
        assert.match(outcome._tag === "Failed" ? outcome.trouble.sentence : outcome._tag, /there is no new revision/)
      }))
  }

  it.effect("has not failed when somebody else has the repository", () =>
    Effect.gen(function*() {
      const { outcome } = yield* runWith({}, { ends: { backup: { exitCode: 75, stderr: "held by purge" } } })
      assert.deepStrictEqual(outcome, { _tag: "Busy", holder: "held by purge (exit code 75)" })
    }))

  it.effect("tells a purge that found the lock held from one that failed", () =>
    Effect.gen(function*() {
      const held = { exitCode: 75, stderr: "backy: locked by backy nbd, process 7\n" }
      const { outcome } = yield* runWith({}, { ends: { purge: held }, purge: true })
      assert.deepStrictEqual(outcome._tag === "Done" && outcome.troubles, [
        { step: "purge", sentence: "locked by backy nbd, process 7 (exit code 75)", isBusy: true }
      ])
    }))

  it.effect("gives a purge a day, and expire and status as long as a backup may stand still", () =>
    Effect.gen(function*() {
      const troubles = (step: JobRunner.Step, length: Duration.DurationInput, settings: Settings = {}) =>
        Effect.gen(function*() {
          const run = yield* Effect.fork(runWith(settings, { takes: { [step]: length }, purge: true }))
          yield* TestClock.adjust("30 hours")
          const { calls, outcome } = yield* Fiber.join(run)
          // whatever came of it, nothing behind it is left out
          assert.strictEqual(calls.includes("done web01"), step !== "status" || length === "29 minutes")
          return outcome._tag === "Done" ? outcome.troubles : outcome._tag
        })
      const late = (step: JobRunner.Step) => [{ step, sentence: "it did not end in time" }]
      assert.deepStrictEqual(yield* troubles("purge", "2 hours"), [])
      assert.deepStrictEqual(yield* troubles("purge", "23 hours"), [])
      assert.deepStrictEqual(yield* troubles("purge", "25 hours"), late("purge"))
      const minutes = { stallTimeout: Duration.minutes(1) }
      assert.deepStrictEqual(yield* troubles("purge", "47 minutes", minutes), [])
      assert.deepStrictEqual(yield* troubles("purge", "49 minutes", minutes), late("purge"))
      for (const step of ["expire", "status"] as const) {
        assert.deepStrictEqual(yield* troubles(step, "29 minutes"), [])
        assert.deepStrictEqual(yield* troubles(step, "31 minutes"), late(step))
      }
    }))

  it.effect("does not mind a callback that does not read what it is told", () =>
    Effect.gen(function*() {
      const { outcome } = yield* runWith({}, { ends: { callback: { inputLeft: true } } })
      assert.deepStrictEqual(outcome._tag === "Done" && outcome.troubles, [])
    }))

  for (const step of ["expire", "purge", "status", "callback"] as const) {
    it.effect(`tells that ${step} failed, and is done all the same`, () =>
      Effect.gen(function*() {
        const { calls, outcome } = yield* runWith({}, { ends: { [step]: failing }, purge: true })
        assert.deepStrictEqual(outcome._tag === "Done" && outcome.troubles, [{ step, sentence }])
        assert.strictEqual(calls.includes("done web01"), step !== "status", "what status says is not passed on")
      }))
  }
})
