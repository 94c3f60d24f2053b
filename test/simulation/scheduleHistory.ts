/**
 * Plays one random history of the daemon's scheduler and says what went wrong: outages, kills, power losses, clocks that
 * are set, configs that are edited, backups that fail, hang, are busy, slow or lie. The loops, the runner, the state file
 * and the config files are the real ones. A failing history is shrunk and printed, with the command that replays it.
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as StatusFile from "../../src/daemon/StatusFile.ts"
import type { Schedule } from "../../src/domain/JobConfig.ts"
import { counts } from "../../src/domain/Trust.ts"
import { check } from "../../src/operation/check.ts"
import * as World from "../support/ScheduleWorld.ts"
import { DAY, HOUR, MINUTE } from "../support/ScheduleWorld.ts"

const LOOK_EVERY = Duration.hours(2)

/** After the last fault: the longest retry, the first runs' hour, an hour to look, a hung run, and everybody's work. */
const BOUND = (6 + 1 + 2 + 1 + 3) * HOUR

const schedules: ReadonlyArray<Schedule> = [
  { hourly: { interval: Duration.hours(6), keep: 3 } },
  { daily: { interval: Duration.days(1), keep: 2 }, hourly: { interval: Duration.hours(6), keep: 1 } },
  { daily: { interval: Duration.days(1), keep: 3 }, weekly: { interval: Duration.days(2), keep: 1 } },
  { odd: { interval: Duration.hours(11), keep: 2 }, daily: { interval: Duration.days(1), keep: 1 } }
]
const NAMES = ["web01", "web02", "db01", "mail", "x"]

const jobOf = FastCheck.record({
  name: FastCheck.constantFrom(...NAMES),
  schedule: FastCheck.nat(schedules.length - 1)
})
const configOf = FastCheck.record({
  jobs: FastCheck.uniqueArray(jobOf, { minLength: 1, maxLength: 4, selector: ({ name }) => name }),
  workerLimit: FastCheck.integer({ min: 1, max: 3 })
})
const hours = (max: number) => FastCheck.integer({ min: 0, max: max * 60 }).map((minutes) => minutes * MINUTE)

const eventOf = FastCheck.oneof(
  FastCheck.record({ kind: FastCheck.constant("pass" as const), millis: hours(12) }),
  FastCheck.record({
    kind: FastCheck.constant("weather" as const),
    job: FastCheck.constantFrom(...NAMES),
    weather: FastCheck.constantFrom<World.Weather>(
      "fine",
      "fails",
      "hangs",
      "busy",
      "lies",
      "slow",
      "purge-blocked",
      "no-room"
    )
  }),
  FastCheck.record({
    kind: FastCheck.constantFrom("power-loss" as const, "kill" as const, "terminate" as const),
    down: hours(20)
  }),
  FastCheck.record({
    kind: FastCheck.constant("jump" as const),
    millis: FastCheck.oneof(
      FastCheck.integer({ min: -3600_000, max: 3600_000 }),
      FastCheck.integer({ min: -3 * DAY, max: 3 * DAY }),
      FastCheck.constantFrom(-365 * DAY, 365 * DAY)
    )
  }),
  FastCheck.record({ kind: FastCheck.constant("edit" as const), config: configOf }),
  FastCheck.record({ kind: FastCheck.constant("request" as const), job: FastCheck.constantFrom(...NAMES) })
)
type Config = typeof configOf extends FastCheck.Arbitrary<infer A> ? A : never

const toConfig = ({ jobs, workerLimit }: Config) => ({
  jobs: jobs.map(({ name, schedule }) => World.job(name, schedules[schedule] ?? {})),
  workerLimit
})

/** A history: what happens, in order. */
export const historyOf = FastCheck.record({
  seed: FastCheck.nat(),
  config: configOf,
  events: FastCheck.array(eventOf, { maxLength: 8 })
})
export type History = typeof historyOf extends FastCheck.Arbitrary<infer A> ? A : never

/** Runs one history and says what went wrong. */
export const play = (options: History): ReadonlyArray<string> => {
  const world = World.make({ seed: options.seed, lookEvery: LOOK_EVERY })
  for (const [index, name] of NAMES.entries()) world.minutes.set(name, [2, 5, 12, 20, 25][index] ?? 5)
  const wrong: Array<string> = []
  /** Since when each job is configured, as the reference has it. */
  const since = new Map<string, number>()
  /** When something happened that excuses a job from its backoff. */
  const excused = new Map<string, number>()
  const excuse = (names: ReadonlyArray<string>) => {
    for (const name of names) excused.set(name, world.elapsed())
  }

  const learn = () => {
    if (!world.isUp()) return
    const names = new Set(world.config().jobs.map(({ name }) => name))
    for (const name of since.keys()) if (!names.has(name)) since.delete(name)
    for (const name of names) if (!since.has(name)) since.set(name, world.simulation.now)
  }
  const start = () => {
    world.start()
    learn()
  }
  /** What `check` says of the status that was written and read, and what a reference says that knows everything. */
  const compare = (when: string) => {
    if (!world.isUp()) return
    const now = world.simulation.now
    // through the file's text now and then: reading YAML takes longer than all else
    const written = world.statuses()
    const statuses = when === "edit" ? Either.getOrThrow(StatusFile.decode(StatusFile.encode(written))) : written
    const report = check({ config: world.config(), status: statuses, writtenAt: now, now })
    const said = report.remarks.filter(({ level }) => level === "CRITICAL").map(({ job }) => job).sort().join()
    const meant = world.config().jobs.filter((job) => {
      const status = statuses.find((one) => one.job === job.name)
      const configured = status?.configured_since?.epochMillis ?? 0
      // older than that is right, too: what is taken out and put back during a run was never away
      const limit = when === "afterwards" ? (since.get(job.name) ?? 0) + HOUR : Infinity
      if (configured > limit) wrong.push(`${when}: ${job.name} is younger than it is`)
      return isLate(job.schedule, world.revisionsOf(job.name), configured, now)
    }).map(({ name }) => name).sort().join()
    if (said !== meant) wrong.push(`${when}: check says "${said}" is late, but it is "${meant}"`)
    if ((report.level === "CRITICAL") !== (meant !== "")) wrong.push(`${when}: check says ${report.level}`)
  }

  world.configure(toConfig(options.config))
  start()
  for (const event of options.events) {
    switch (event.kind) {
      case "pass":
        world.pass(event.millis)
        break
      case "weather":
        world.weather.set(event.job, event.weather)
        break
      case "terminate":
        world.terminate()
        world.pass(event.down)
        start()
        break
      case "kill":
      case "power-loss":
        world.kill(event.kind)
        world.pass(event.down)
        start()
        break
      case "jump":
        world.jump(event.millis)
        excuse(NAMES)
        break
      case "edit":
        world.configure(toConfig(event.config))
        learn()
        excuse(NAMES)
        break
      case "request":
        world.request(event.job)
        excuse([event.job])
    }
    compare(event.kind)
  }
  // the last fault is over
  for (const name of NAMES) world.weather.set(name, "fine")
  for (let passed = 0; passed < BOUND; passed += 4 * HOUR) {
    world.pass(4 * HOUR)
    compare("afterwards")
  }
  const late = () =>
    world.config().jobs.filter((job) =>
      isLate(job.schedule, world.revisionsOf(job.name), since.get(job.name) ?? 0, world.simulation.now)
    ).map(({ name }) => name)
  if (late().length > 0) wrong.push(`still late after the bound: ${late().join()}`)
  const longest = Math.max(
    ...schedules.flatMap((one) => Object.values(one).map(({ interval }) => Duration.toMillis(interval)))
  )
  for (let passed = 0; passed < longest; passed += 12 * HOUR) {
    world.pass(12 * HOUR)
    if (late().length > 0) wrong.push(`late again without a fault: ${late().join()}`)
  }
  for (const job of world.config().jobs) {
    const now = DateTime.unsafeMake(world.simulation.now)
    for (const [tag, { interval }] of Object.entries(job.schedule)) {
      const newest = world.revisionsOf(job.name).filter((one) => counts(one, now) && one.tags.includes(tag)).at(-1)
      const age = newest === undefined ? Infinity : DateTime.distance(newest.timestamp, now)
      if (age > Duration.toMillis(interval) + 6 * HOUR) wrong.push(`${job.name} has no ${tag} of the last interval`)
    }
  }
  return [...wrong, ...world.violations, ...backoffs(world.attempts, excused)]
}

/** The rule of lateness, once more and independently of the code. */
const isLate = (
  schedule: Schedule,
  revisions: ReadonlyArray<{ isComplete: boolean; isTrusted: boolean; timestamp: DateTime.Utc }>,
  since: number,
  now: number
): boolean => {
  const times = revisions.filter(({ isComplete, isTrusted }) => isComplete && isTrusted)
    .map(({ timestamp }) => timestamp.epochMillis).filter((at) => at <= now)
  const last = times.length === 0 ? since : Math.max(...times)
  return now - last > 1.5 * Math.min(...Object.values(schedule).map(({ interval }) => Duration.toMillis(interval)))
}

/** After n failures in a row nobody tries again before min(2^n, 360) minutes; who found the lock held then, before one. */
const backoffs = (
  attempts: ReadonlyArray<World.Attempt>,
  excused: ReadonlyMap<string, number>
): ReadonlyArray<string> => {
  const wrong: Array<string> = []
  for (const name of NAMES) {
    let failures = 0
    let before: World.Attempt | undefined
    for (const attempt of attempts.filter(({ job }) => job === name)) {
      if (before !== undefined && failures > 0 && (excused.get(name) ?? -1) < before.from) {
        // who found the lock held has waited for that long already, and tries again soon
        const least = before.result === "busy" ? MINUTE : Math.min(2 ** failures, 360) * MINUTE
        if (attempt.from - before.to < least - 1000) {
          wrong.push(`${name} tried again ${(attempt.from - before.to) / MINUTE} minutes after ${failures} failures`)
        }
      }
      if (attempt.result === "made") failures = 0
      if (attempt.result === "failed" || attempt.result === "ended") failures++
      // what was excused may have reset it
      if ((excused.get(name) ?? -1) >= attempt.from) failures = 0
      before = attempt
    }
  }
  return wrong
}
