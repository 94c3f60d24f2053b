import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Effect from "effect/Effect"
import { counted } from "../domain/counted.ts"
import * as Coverage from "../domain/Coverage.ts"
import type { Revision } from "../domain/Revision.ts"
import { Repository } from "../repository/Repository.ts"
import * as Humanise from "./humanise.ts"
import { load } from "./load.ts"
import * as option from "./options.ts"
import * as Output from "./output.ts"

const trust = ({ accepted, distrust, isComplete, trust }: Revision): string => {
  if (!isComplete) return "incomplete"
  const remarks = [distrust?.reason, accepted && `accepted: ${accepted}`].filter((remark) => remark !== undefined)
  return remarks.length === 0 ? trust : `${trust} (${remarks.join("; ")})`
}

const stored = (revision: Revision): number | undefined => {
  const { bytes_stored: bytes } = revision.stats
  return typeof bytes === "number" ? bytes : undefined
}

const size = (bytes: number | undefined): string => bytes === undefined ? "" : Humanise.bytes(bytes)

const columns = (): ReadonlyArray<Output.Column<Revision>> => [
  { title: `Date (${Humanise.zoneName()})`, cell: ({ timestamp }) => Humanise.localTime(timestamp) },
  { title: "Revision", cell: ({ id }) => id },
  { title: "Image", align: "right", cell: (revision) => size(revision.size ?? revision.stats.bytes_written) },
  { title: "New", align: "right", cell: (revision) => size(stored(revision)) },
  {
    title: "Took",
    align: "right",
    cell: ({ stats }) => stats.duration === undefined ? "" : Humanise.duration(stats.duration)
  },
  { title: "Tags", cell: ({ tags }) => tags.join(",") },
  { title: "Trust", cell: trust }
]

const summary = (revisions: ReadonlyArray<Revision>): string => {
  const sizes = revisions.map(stored)
  const known = sizes.every((bytes) => bytes !== undefined)
  const total = sizes.reduce<number>((sum, bytes) => sum + (bytes ?? 0), 0)
  return `${counted(revisions.length, "revision")}` +
    (known && revisions.length > 0 ? `, which added ${Humanise.bytes(total)}` : "")
}

/** Since when all of the image has been compared with its source, by the newest revision that can be relied on. */
const compared = (revisions: ReadonlyArray<Revision>, chunkSize: number): ReadonlyArray<string> => {
  const newest = revisions.findLast(({ isComplete, isTrusted }) => isComplete && isTrusted)
  const coverage = newest && Coverage.of(newest, chunkSize)
  switch (coverage?._tag) {
    case "Whole":
      return [`fully compared with the source at ${Humanise.localTime(coverage.at)}`]
    case "InTurn":
      return [`fully compared with the source since ${Humanise.localTime(coverage.since)}, a part in each backup`]
    case "Begun":
      return [
        `compared with the source since ${Humanise.localTime(coverage.since)}: ` +
        `${Math.floor(coverage.share * 100)} %, a part in each backup`
      ]
    case undefined:
      return []
  }
}

/** `backy status`: the revisions, newest last. */
export const command = Command.make(
  "status",
  {
    revisions: option.revisionsOptional,
    json: option.json,
    yaml: Options.boolean("yaml").pipe(Options.withDescription("Print YAML, as the ancestor did for callbacks."))
  },
  ({ json, revisions, yaml }) =>
    Effect.gen(function*() {
      const { status } = yield* load(() => import("../operation/status.ts"))
      const Metadata = yield* load(() => import("./metadata.ts"))
      const report = yield* status({ revisions })
      yield* Effect.forEach(report.broken, ({ path, reason }) => Effect.logWarning(`ignoring ${path}: ${reason}`))
      // scripts take the last entry for the newest backup, so what is not complete is only for people to see
      const listed = revisions === undefined
        ? report.revisions.filter(({ isComplete }) => isComplete)
        : report.revisions
      if (yaml) return yield* Output.text([Metadata.toYaml(listed)])
      if (json) return yield* Effect.flatMap(Metadata.toJson(listed), Output.json)
      const { chunkSize } = yield* Repository
      yield* Output.lines([
        ...Output.table(columns(), report.revisions),
        summary(listed),
        ...compared(listed, chunkSize)
      ])
    })
).pipe(Command.withDescription("List the revisions, newest last."))
