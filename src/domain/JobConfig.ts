/**
 * A job: where the image comes from and when it is backed up, as the user writes it. The repository's own `config` file
 * holds one job.
 */
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import { wholeNumber } from "./field.ts"
import { Interval } from "./Interval.ts"
import type { SourceConfig } from "./SourceConfig.ts"
import * as Tag from "./Tag.ts"

export type { SourceConfig } from "./SourceConfig.ts"

/** How often a tag is made, and how many revisions with it are kept. */
export const Rule = Schema.Struct({ interval: Interval, keep: wholeNumber(1, 100_000) })
export type Rule = typeof Rule.Type

const ScheduleTag = Tag.Tag.pipe(
  Schema.filter((tag) => !Tag.isManual(tag) || `"${Tag.MANUAL}" is for tags made by hand, no schedule can have it`)
)

/** Tags, each with its rule. */
export const Schedule = Schema.Record({ key: ScheduleTag, value: Rule })
export type Schedule = { readonly [tag: string]: Rule }

/** What a job needs to know of itself. */
export interface JobConfig {
  readonly source: SourceConfig
  readonly schedule: Schedule
}

/** What `init` writes: nine days, five weeks, four months. */
export const defaultSchedule: Schedule = {
  daily: { interval: Duration.days(1), keep: 9 },
  weekly: { interval: Duration.days(7), keep: 5 },
  monthly: { interval: Duration.days(30), keep: 4 }
}

/**
 * What keeps the text from being a job's name, if anything does. A job's name is a directory below the base directory,
 * so it has to be one plain path component that is neither hidden nor mistaken for an option.
 */
export const jobNameProblem = (name: string): string | undefined => {
  if (name === "") return "a job needs a name"
  if (name.startsWith("-") || name.startsWith(".")) return "a job's name does not begin with a dash or a dot"
  if (/[/\p{Cc}]/u.test(name)) return "a job's name is one path component: no \"/\" and no control characters"
  return new TextEncoder().encode(name).length > 255 ? "a job's name is at most 255 bytes long" : undefined
}

/** The name of a job. */
export const JobName = Schema.String.pipe(Schema.filter((name) => jobNameProblem(name) ?? true))
