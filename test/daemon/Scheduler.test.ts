/** What the scheduler does with a job from one run to the next, over the real runner, state file and config files. */
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import type { Schedule } from "../../src/domain/JobConfig.ts"
import { check } from "../../src/operation/check.ts"
import * as World from "../support/ScheduleWorld.ts"
import { DAY, HOUR, job, MINUTE } from "../support/ScheduleWorld.ts"

const daily: Schedule = { daily: { interval: Duration.days(1), keep: 3 } }
const names = ["db01", "mail", "web01", "web02", "web03"]

/** A daemon that has run for a moment, with so many of the jobs. */
const started = (count: number, workerLimit = 1, schedule = daily) => {
  const world = World.make({ seed: 1, lookEvery: Duration.minutes(10) })
  world.configure({ jobs: names.slice(0, count).map((name) => job(name, schedule)), workerLimit })
  world.start()
  return world
}

/** What the status file says of a job. */
const statusOf = (world: World.World, name = "db01") => {
  const status = world.statuses().find((one) => one.job === name)
  assert.isDefined(status)
  return status
}

const running = (world: World.World) =>
  world.statuses().filter(({ running_since: since }) => since !== null).map(({ job }) => job)

const ran = (world: World.World, command: string, name = "db01") =>
  world.commands.filter((one) => one === `${name} ${command}`).length

describe("a job that is new", () => {
  for (const [workerLimit, most] of [[1, 1], [2, 1], [3, 1], [4, 2], [5, 2]] as const) {
    it(`has ${most} of ${workerLimit} slots with others like it`, () => {
      const world = started(5, workerLimit)
      assert.strictEqual(running(world).length, most)
      world.pass(2 * HOUR)
      assert.strictEqual(world.attempts.filter(({ result }) => result === "made").length, 5)
    })
  }
})

describe("a job that became slow", () => {
  it("waits in the other pool from then on, and comes back when it is fast again", () => {
    const world = started(1)
    const pool = () => statusOf(world).status
    const next = (minutes: number) => {
      world.minutes.set("db01", minutes)
      const before = world.attempts.length
      while (world.attempts.length === before) world.pass(MINUTE)
      const seen = pool()
      world.pass(HOUR)
      return seen
    }
    world.pass(HOUR)
    assert.deepStrictEqual([next(5), next(30), next(30), next(5), next(5)], [
      "running (fast)",
      "running (fast)",
      "running (slow)",
      "running (slow)",
      "running (fast)"
    ])
  })
})

describe("a repository that another process has", () => {
  it("is tried again within five minutes, is no failure, and is shown since the first time", () => {
    const world = started(1)
    world.weather.set("db01", "busy")
    const first = world.attempts.length
    while (world.attempts.length === first) world.pass(10 * MINUTE)
    world.pass(5 * HOUR)
    const [since, second] = world.attempts.slice(first)
    assert.isDefined(since)
    assert.isDefined(second)
    assert.isAtLeast(second.from - since.to, MINUTE)
    assert.isAtMost(second.from - since.to, 5 * MINUTE)
    assert.isAbove(world.attempts.filter(({ result }) => result === "busy").length, 60)
    const status = statusOf(world)
    const began = world.simulation.now - world.elapsed()
    assert.strictEqual(status.busy_since?.epochMillis, began + since.to)
    assert.deepStrictEqual([status.failures, status.status, status.problem], [0, "waiting for another process", null])
    world.weather.set("db01", "fine")
    world.pass(HOUR)
    assert.deepStrictEqual([statusOf(world).busy_since, statusOf(world).status], [null, "waiting for deadline"])
  })
})

describe("a purge that fails", () => {
  it("is tried again with the next run, whatever expire removed, and shown until it went well", () => {
    const world = started(1)
    world.weather.set("db01", "purge-fails")
    world.pass(HOUR)
    const purges = () => ran(world, "purge")
    // nobody knows how the run before the first one ended
    assert.strictEqual(purges(), 1)
    assert.strictEqual(statusOf(world).purge_blocked, "a map cannot be read (exit code 1)")
    world.pass(DAY)
    assert.strictEqual(purges(), 2)
    world.weather.set("db01", "fine")
    world.pass(DAY)
    assert.strictEqual(purges(), 3)
    assert.isNull(statusOf(world).purge_blocked)
    // with four revisions the next expire has something to remove again, so the config keeps more
    world.configure({ jobs: [job("db01", { daily: { interval: Duration.days(1), keep: 30 } })], workerLimit: 1 })
    const runs = ran(world, "backup")
    world.pass(DAY)
    assert.deepStrictEqual([ran(world, "backup"), purges()], [runs + 1, 3])
  })

  it("is tried again after a backup that failed, too", () => {
    const world = started(1)
    world.pass(HOUR)
    const before = ran(world, "purge")
    world.weather.set("db01", "fails")
    world.pass(DAY)
    assert.strictEqual(ran(world, "purge"), before)
    world.weather.set("db01", "fine")
    world.pass(DAY)
    assert.strictEqual(ran(world, "purge"), before + 1)
  })
})

describe("a purge that finds the lock held", () => {
  const weekly: Schedule = { weekly: { interval: Duration.days(7), keep: 3 } }
  const blocked = () => {
    const world = started(1, 1, weekly)
    world.weather.set("db01", "purge-blocked")
    world.pass(HOUR)
    return world
  }
  const level = (world: World.World) => {
    const { now } = world.simulation
    const report = check({ config: world.config(), status: world.statuses(), writtenAt: now, now })
    return [report.level, ...report.remarks.map(({ text }) => text)]
  }
  const sentence = ".purge is locked by backy nbd, process 7 (exit code 75)"

  it("is tried again each hour without a backup, is no failure, and warns after a day", () => {
    const world = blocked()
    const since = statusOf(world).purge_blocked_since
    assert.isNotNull(since)
    assert.strictEqual(statusOf(world).purge_blocked, sentence)
    world.pass(22 * HOUR)
    assert.deepStrictEqual(level(world), ["OK"])
    assert.isAtLeast(ran(world, "purge"), 20)
    assert.isAtMost(ran(world, "purge"), 24)
    world.pass(2 * HOUR)
    const day = new Date(since.epochMillis).toISOString().slice(0, 16).replace("T", " ")
    assert.deepStrictEqual(level(world), ["WARNING", `purge has had to wait since ${day} UTC: ${sentence}`])
    assert.deepStrictEqual(statusOf(world).purge_blocked_since, since)
    assert.deepStrictEqual([ran(world, "backup"), statusOf(world).failures], [1, 0])
  })

  it("warns no more within an hour of the lock's release, and is not tried again after that", () => {
    const world = blocked()
    world.pass(30 * HOUR)
    assert.strictEqual(level(world)[0], "WARNING")
    world.weather.set("db01", "fine")
    world.pass(HOUR + 10 * MINUTE)
    assert.deepStrictEqual(level(world), ["OK"])
    const { problem, purge_blocked: text, purge_blocked_since: since } = statusOf(world)
    assert.deepStrictEqual([problem, text, since], [null, null, null])
    const purges = ran(world, "purge")
    world.pass(2 * DAY)
    assert.strictEqual(ran(world, "purge"), purges)
  })

  for (
    const [word, end] of [["terminate", "is ended"], ["kill", "is killed"], ["power-loss", "loses power"]] as const
  ) {
    it(`is remembered since the first time by the daemon after one that ${end}`, () => {
      const world = blocked()
      const since = statusOf(world).purge_blocked_since
      if (word === "terminate") world.terminate()
      else world.kill(word)
      world.pass(25 * HOUR)
      world.start()
      world.pass(MINUTE)
      assert.deepStrictEqual(statusOf(world).purge_blocked_since, since)
      assert.match(level(world).join(), /^WARNING,purge has had to wait since .*process 7/)
      world.weather.set("db01", "fine")
      world.pass(HOUR + 10 * MINUTE)
      assert.deepStrictEqual(level(world), ["OK"])
    })
  }

  it("counts anew after a purge that went well, and warns at once when it fails by itself", () => {
    const world = blocked()
    const first = statusOf(world).purge_blocked_since?.epochMillis ?? Infinity
    world.weather.set("db01", "fine")
    world.pass(2 * HOUR)
    assert.isNull(statusOf(world).purge_blocked_since)
    world.weather.set("db01", "purge-blocked")
    // a daemon that has just begun purges in any case
    world.terminate()
    world.start()
    world.request("db01")
    world.pass(HOUR)
    assert.isAbove(statusOf(world).purge_blocked_since?.epochMillis ?? 0, first)
    world.weather.set("db01", "purge-fails")
    world.pass(2 * HOUR)
    assert.deepStrictEqual(level(world), ["WARNING", "purge: a map cannot be read (exit code 1)"])
    assert.isNull(statusOf(world).purge_blocked_since)
  })
})

describe("a backup that fails for want of room", () => {
  it("is followed by expire and purge, as often as it is tried and no more, and is a failure like others", () => {
    const world = started(1)
    world.pass(4 * DAY)
    // an interrupted run has left something
    world.terminate()
    world.start()
    const counts = () => ["backup", "expire", "purge"].map((command) => ran(world, command))
    const before = counts()
    world.weather.set("db01", "no-room")
    // lowering what is kept is what an operator does then
    world.configure({ jobs: [job("db01", { daily: { interval: Duration.days(1), keep: 1 } })], workerLimit: 1 })
    world.pass(2 * DAY)
    const [backups = 0, expires, purges] = counts().map((count, index) => count - (before[index] ?? 0))
    assert.isAtLeast(backups, 8)
    assert.isAtMost(backups, 16)
    assert.strictEqual(expires, backups)
    // the first one did all that there was to do
    assert.strictEqual(purges, 1)
    assert.strictEqual(world.revisionsOf("db01").length, 1)
    assert.strictEqual(statusOf(world).failures, backups)
    assert.strictEqual(statusOf(world).problem, "backup: no backup was begun (exit code 1)")
    world.weather.set("db01", "fine")
    world.pass(7 * HOUR)
    assert.deepStrictEqual([statusOf(world).failures, statusOf(world).problem], [0, null])
  })
})

describe("a run that was ended because nothing moved", () => {
  it("makes check yellow at once and red when the backup is too old, and neither once the next went well", () => {
    const world = started(1)
    world.pass(HOUR)
    world.weather.set("db01", "hangs")
    const level = () => {
      const { now } = world.simulation
      const report = check({ config: world.config(), status: world.statuses(), writtenAt: now, now })
      return [report.level, ...report.remarks.map(({ text }) => text)]
    }
    const attempts = world.attempts.length
    while (world.attempts.length === attempts) world.pass(MINUTE)
    world.pass(29 * MINUTE)
    assert.deepStrictEqual(level(), ["OK"])
    world.pass(2 * MINUTE)
    assert.deepStrictEqual(level(), ["WARNING", "the last run was ended because nothing moved"])
    assert.strictEqual(statusOf(world).problem, "backup: it was ended: there was no progress for 30m")
    world.pass(DAY)
    assert.strictEqual(level()[0], "CRITICAL")
    assert.include(level().join("\n"), "there was no progress for 30m")
    world.weather.set("db01", "fine")
    world.pass(12 * HOUR)
    assert.deepStrictEqual(level(), ["OK"])
  })
})

describe("a job that is taken out of the config", () => {
  const only = (...kept: ReadonlyArray<string>) => ({ jobs: kept.map((name) => job(name, daily)), workerLimit: 1 })

  it("ends its run, is not shown meanwhile, and does not run again", () => {
    const world = started(1)
    assert.deepStrictEqual(running(world), ["db01"])
    world.configure(only("web01"))
    assert.deepStrictEqual(world.statuses().map((one) => one.job), ["web01"])
    assert.strictEqual(world.request("db01"), "unknown")
    world.pass(3 * DAY)
    const own = world.attempts.filter(({ job }) => job === "db01")
    assert.deepStrictEqual(own.map(({ result }) => result), ["made"])
    assert.isAtLeast(ran(world, "backup", "web01"), 3)
  })

  it("leaves the queue: it never runs, and the next in the queue does", () => {
    const world = started(3)
    const [first] = running(world)
    const [second, third] = ["db01", "mail", "web01"].filter((name) => name !== first)
    assert.match(statusOf(world, second).status, /^waiting for worker slot/)
    world.configure(only(first ?? "", third ?? ""))
    world.pass(3 * DAY)
    assert.strictEqual(ran(world, "backup", second), 0)
    assert.isAtLeast(ran(world, "backup", third), 3)
  })

  it("is configured anew when it is put back, but not when that is during its run", () => {
    const world = started(1)
    const since = () => statusOf(world).configured_since?.epochMillis
    const began = world.simulation.now
    world.configure(only("web01"))
    world.pass(MINUTE)
    world.configure(only("db01", "web01"))
    assert.strictEqual(since(), began)
    world.pass(HOUR)
    world.configure(only("web01"))
    world.pass(HOUR)
    world.configure(only("db01", "web01"))
    assert.strictEqual(since(), world.simulation.now)
    // and the daemon after this one does not know better
    world.terminate()
    const restarted = world.simulation.now
    world.pass(HOUR)
    world.start()
    assert.strictEqual(since(), restarted)
  })
})

describe("asking for a run", () => {
  it("is refused during a run, and lets a job that waits pass the others", () => {
    const world = started(5)
    const [first] = running(world)
    const waiting = names.filter((name) => name !== first)
    const last = waiting.at(-1) ?? ""
    assert.deepStrictEqual([world.request(first ?? ""), world.request(last), world.request("nobody")], [
      "running",
      "requested",
      "unknown"
    ])
    while (world.attempts.length === 1) world.pass(MINUTE)
    assert.deepStrictEqual(running(world), [last])
  })

  it("runs a job that waits after failures at once, and does not reset their count", () => {
    const world = started(1)
    world.weather.set("db01", "fails")
    world.pass(2 * DAY)
    const failures = statusOf(world).failures
    assert.isAtLeast(failures, 5)
    const attempts = world.attempts.length
    assert.strictEqual(world.request("db01"), "requested")
    assert.strictEqual(world.attempts.length, attempts + 1)
    world.pass(30 * MINUTE)
    assert.strictEqual(statusOf(world).failures, failures + 1)
  })
})
