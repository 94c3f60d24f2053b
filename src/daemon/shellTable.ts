/** The shell's tables, as the ancestor drew them. Pure. */
import * as DateTime from "effect/DateTime"
import type { JobStatus } from "../domain/JobStatus.ts"
import { printable } from "../domain/printable.ts"

/** A table with a frame: titles centred, cells left or right. */
const framed = (
  columns: ReadonlyArray<{ readonly title: string; readonly align?: "left" | "right" }>,
  rows: ReadonlyArray<ReadonlyArray<string>>
): ReadonlyArray<string> => {
  const clean = rows.map((row) => row.map(printable))
  const widths = columns.map(({ title }, index) =>
    Math.max(title.length, ...clean.map((row) => row[index]?.length ?? 0))
  )
  const rule = `+${widths.map((width) => "-".repeat(width + 2)).join("+")}+`
  const line = (cells: ReadonlyArray<string>, pad: (text: string, width: number, column: number) => string) =>
    `|${widths.map((width, index) => ` ${pad(cells[index] ?? "", width, index)} `).join("|")}|`
  const centred = (text: string, width: number) =>
    text.padStart(text.length + Math.floor((width - text.length) / 2)).padEnd(width)
  return [
    rule,
    line(columns.map(({ title }) => title), centred),
    rule,
    ...clean.map((row) =>
      line(row, (text, width, column) => columns[column]?.align === "right" ? text.padStart(width) : text.padEnd(width))
    ),
    rule
  ]
}

/** Asked once, when the daemon starts: the first answer takes some 20 ms, and the zone of a process does not change. */
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone

const two = (value: number) => String(value).padStart(2, "0")

/** `2026-11-23 14:21:05`, local. */
const local = (instant: DateTime.Utc | null): string => {
  if (instant === null) return "-"
  // not DateTime's zones: they ask Intl, which takes a hundred times as long
  const date = DateTime.toDate(instant)
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ` +
    `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`
}

/** `a moment`, `12 seconds`, `3 minutes`, `2 hours`, `4 days`: rounded down to one unit. */
const natural = (seconds: number): string => {
  if (seconds < 1) return "a moment"
  const [size, unit] = ([[86_400, "day"], [3600, "hour"], [60, "minute"]] as const).find(([size]) => seconds >= size) ??
    [1, "second"] as const
  const count = Math.floor(seconds / size)
  return `${count} ${unit}${count === 1 ? "" : "s"}`
}

/** What `jobs` prints. */
export const jobsTable = (jobs: ReadonlyArray<JobStatus>): ReadonlyArray<string> => [
  ...framed(
    [
      { title: "Job" },
      { title: "SLA" },
      { title: "SLA overdue" },
      { title: "Status" },
      { title: `Last Backup (${zone})` },
      { title: "Last Tags" },
      { title: "Last Duration", align: "right" },
      { title: `Next Backup (${zone})` },
      { title: "Next Tags" }
    ],
    jobs.map((job) => [
      job.job,
      job.sla,
      job.sla_overdue > 0 ? natural(job.sla_overdue) : "-",
      job.progress === null ? job.status : `${job.status} ${job.progress}`,
      local(job.last_time),
      job.last_tags ?? "-",
      job.last_duration === null ? "-" : natural(job.last_duration),
      local(job.next_time),
      job.next_tags ?? "-"
    ])
  ),
  `${jobs.length} job${jobs.length === 1 ? "" : "s"} shown`
]

/** What `status` prints: how many jobs do what. */
export const statusTable = (jobs: ReadonlyArray<JobStatus>): ReadonlyArray<string> => {
  const counts = new Map<string, number>()
  for (const { status } of jobs) {
    const kind = status.replace(/ \d+ times/, "")
    counts.set(kind, (counts.get(kind) ?? 0) + 1)
  }
  return framed(
    [{ title: "Status" }, { title: "#", align: "right" }],
    [...counts].sort(([a], [b]) => a < b ? -1 : 1).map(([status, count]) => [status, String(count)])
  )
}
