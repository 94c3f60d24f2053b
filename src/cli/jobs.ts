import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as HelpDoc from "@effect/cli/HelpDoc"
import * as Clock from "effect/Clock"
import type * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { counted } from "../domain/counted.ts"
import type { JobStatus } from "../domain/JobStatus.ts"
import * as Humanise from "./humanise.ts"
import { load } from "./load.ts"
import * as option from "./options.ts"
import * as Output from "./output.ts"

const time = (instant: DateTime.Utc | null): string => instant === null ? "" : Humanise.localTime(instant)

const columns = (): ReadonlyArray<Output.Column<JobStatus>> => [
  { title: "Job", cell: ({ job }) => job },
  { title: "SLA", cell: ({ sla }) => sla },
  { title: "Overdue", cell: (job) => job.sla_overdue > 0 ? Humanise.duration(job.sla_overdue) : "" },
  {
    title: "Status",
    cell: ({ progress, status }) => progress === null ? status : `${status} ${progress}`
  },
  { title: `Last backup (${Humanise.zoneName()})`, cell: (job) => time(job.last_time) },
  { title: "Tags", cell: (job) => job.last_tags ?? "" },
  {
    title: "Took",
    align: "right",
    cell: (job) => job.last_duration === null ? "" : Humanise.duration(job.last_duration)
  },
  { title: "Next backup", cell: (job) => time(job.next_time) },
  { title: "Next tags", cell: (job) => job.next_tags ?? "" },
  { title: "Problem", cell: (job) => job.problem ?? "" }
]

const filter = Args.text({ name: "FILTER" }).pipe(
  Args.withDescription("Only jobs whose name matches this regular expression."),
  Args.mapEffect((pattern) =>
    Effect.try({
      try: () => new RegExp(pattern),
      catch: (cause) => HelpDoc.p(cause instanceof Error ? cause.message : String(cause))
    })
  ),
  Args.optional
)

/** `backy jobs`: the daemon's jobs, as its status file has them. */
export const command = Command.make(
  "jobs",
  { config: option.config, json: option.json, filter },
  ({ config: file, filter, json }) =>
    Effect.gen(function*() {
      const Config = yield* load(() => import("../config/Config.ts"))
      const StatusFile = yield* load(() => import("../daemon/StatusFile.ts"))
      const { JobStatuses } = yield* load(() => import("../domain/JobStatus.ts"))
      const config = yield* Config.loadDaemon(file)
      const status = yield* StatusFile.read(config.statusFile)
      const shown = status.jobs.filter(({ job }) => Option.isNone(filter) || filter.value.test(job))
      if (json) return yield* Output.json(Schema.encodeSync(JobStatuses)(shown))
      const age = ((yield* Clock.currentTimeMillis) - status.writtenAt) / 1000
      yield* Output.lines([
        ...shown.length === 0 ? [] : Output.table(columns(), shown),
        `${counted(shown.length, "job")}, as of ${Humanise.duration(age)} ago` +
        (age > 300 ? ": the scheduler does not run, or hangs" : "")
      ])
    })
).pipe(Command.withDescription("List the scheduler's jobs: what they do, their last and next backup."))
