/**
 * What the daemon says of a job in its status file: the ancestor's keys, and ours. `check` and `jobs` read it; both
 * take keys that they do not know.
 */
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import * as Timestamp from "./Timestamp.ts"

const Instant = Schema.transformOrFail(Schema.String, Schema.DateTimeUtcFromSelf, {
  strict: true,
  decode: (text, _, ast) => {
    const instant = Timestamp.parse(text)
    return instant === undefined
      ? ParseResult.fail(new ParseResult.Type(ast, text, `expected an instant, got "${text.slice(0, 40)}"`))
      : ParseResult.succeed(instant.at)
  },
  encode: (at) => ParseResult.succeed(Timestamp.format(at).text)
})

const orNull = <A, I>(schema: Schema.Schema<A, I>) =>
  Schema.optionalWith(Schema.NullOr(schema), { default: () => null })
const Seconds = Schema.Number.pipe(Schema.finite())
const Count = Schema.Number.pipe(Schema.int(), Schema.nonNegative())

/** One job. What is not known, or does not apply, is null. */
export const JobStatus = Schema.Struct({
  job: Schema.String,
  /** `OK` or `TOO OLD`. */
  sla: Schema.String,
  /** Seconds since the newest backup (or since it was configured), while overdue; else 0. */
  sla_overdue: Seconds,
  /** For people: `waiting for deadline`, `running (slow)`, … */
  status: Schema.String,
  /** The newest revision that counts: complete, trusted, not of the future. */
  last_time: orNull(Instant),
  last_tags: orNull(Schema.String),
  last_duration: orNull(Seconds),
  next_time: orNull(Instant),
  next_tags: orNull(Schema.String),
  manual_tags: orNull(Schema.String),
  quarantine_reports: Schema.optionalWith(Count, { default: () => 0 }),
  configured_since: orNull(Instant),
  running_since: orNull(Instant),
  /** How far the run is: step, phase and percent. */
  progress: orNull(Schema.String),
  /** Failures in a row. */
  failures: Schema.optionalWith(Count, { default: () => 0 }),
  /** What went wrong at last, in one sentence. */
  problem: orNull(Schema.String),
  /** Another process has had the repository since then. */
  busy_since: orNull(Instant),
  /** When the last run was ended because nothing moved. */
  stalled: orNull(Instant),
  /** Why purge removes nothing. */
  purge_blocked: orNull(Schema.String),
  /** Since when that is another process, which has the lock; null when purge fails by itself. */
  purge_blocked_since: orNull(Instant),
  /** Broken revisions: `.rev` files that cannot be read, or that the rest contradicts. */
  broken_revisions: Schema.optionalWith(Count, { default: () => 0 }),
  /** Of the daemon, with each job: why it runs by an older config than the file. */
  reload_refused: orNull(Schema.String),
  /** Of the daemon, with each job: why its own state cannot be read or written. */
  state_trouble: orNull(Schema.String)
})
export type JobStatus = typeof JobStatus.Type

/** All jobs of a daemon. */
export const JobStatuses = Schema.Array(JobStatus)
