import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import type { listReports } from "../operation/reports.ts"
import type { Report } from "../repository/Quarantine.ts"
import { afterwards } from "./afterwards.ts"
import * as Humanise from "./humanise.ts"
import { load } from "./load.ts"
import * as option from "./options.ts"
import * as Output from "./output.ts"

const operations = load(() => import("../operation/reports.ts"))

const id = Args.text({ name: "REPORT" }).pipe(Args.withDescription("The id of a report, as list prints it."))

/** Reports of the ancestor have other forms of dates. */
const localTime = ({ timestamp }: Report): string =>
  Option.match(DateTime.make(timestamp), {
    onNone: () => String(timestamp),
    onSome: (instant) => Humanise.localTime(DateTime.toUtc(instant))
  })

type Listed = Effect.Effect.Success<ReturnType<typeof listReports>>[number]

const field = (of: (report: Report) => string) => ({ report }: Listed): string =>
  Either.match(report, { onLeft: () => "?", onRight: of })

const columns = (): ReadonlyArray<Output.Column<Listed>> => [
  { title: "Report", cell: (listed) => listed.id },
  { title: `Date (${Humanise.zoneName()})`, cell: field(localTime) },
  { title: "Kind", cell: field(({ kind }) => kind) },
  {
    title: "Blocks",
    align: "right",
    cell: field(({ blocks, more_blocks: more }) => String(Math.max(1, blocks.length) + more))
  },
  { title: "Found with revision", cell: field(({ revision }) => revision ?? "") }
]

const list = Command.make("list", {}, () =>
  Effect.gen(function*() {
    const { listReports } = yield* operations
    const reports = yield* listReports()
    for (const { report } of reports) {
      if (Either.isLeft(report)) yield* Effect.logWarning(report.left.message)
    }
    yield* Output.lines(reports.length === 0 ? ["no reports"] : Output.table(columns(), reports))
  })).pipe(Command.withDescription("List the reports, newest last."))

const show = Command.make("show", { id }, (options) =>
  Effect.gen(function*() {
    const { showReport } = yield* operations
    const Yaml = yield* load(() => import("../domain/Yaml.ts"))
    yield* Output.text([Yaml.stringify(yield* showReport(options.id)).trimEnd()])
  })).pipe(Command.withDescription("Print a report as YAML."))

const remove = Command.make("delete", { wait: option.wait, id }, (options) =>
  Effect.gen(function*() {
    const { deleteReport } = yield* operations
    yield* deleteReport(options)
    yield* afterwards(Output.lines([`deleted report ${options.id}`]))
  })).pipe(Command.withDescription("Delete a report and the contents that only it names."))

/** The subcommands of `backy reports`. */
export const subcommands = { list, show, delete: remove }

/** `backy reports`: what verification put in quarantine. */
export const group = Command.make("reports").pipe(
  Command.withDescription("What verification put in quarantine.")
)
