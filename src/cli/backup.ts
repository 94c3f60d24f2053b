import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { counted } from "../domain/counted.ts"
import type { Schedule } from "../domain/JobConfig.ts"
import type { BackupReport } from "../operation/backup.ts"
import { afterwards } from "./afterwards.ts"
import * as Humanise from "./humanise.ts"
import { load } from "./load.ts"
import * as option from "./options.ts"
import * as Output from "./output.ts"
import * as TagList from "./tagList.ts"

/** A revision without a tag would be gone with the next `expire`. */
export class NoTags extends Data.TaggedError("NoTags")<{ readonly known: ReadonlyArray<string> }> {
  override get message() {
    return `name the tags of the new revision; the schedule has ${this.known.join(", ") || "none"}, ` +
      "and manual:… marks one made by hand (backy backup daily)"
  }
}

/** The most frequent first. */
const byInterval = (schedule: Schedule): ReadonlyArray<string> =>
  Object.entries(schedule)
    .sort(([, a], [, b]) => Duration.toMillis(a.interval) - Duration.toMillis(b.interval))
    .map(([tag]) => tag)

const describe = ({ chunks, compared, revision }: BackupReport, source: string): ReadonlyArray<string> => {
  const { found, storedBytes, unchanged, written } = chunks
  const { verification } = compared
  const parts = [
    `${counted(written, "chunk")} stored (${Humanise.bytes(storedBytes)})`,
    `${unchanged} unchanged`,
    ...found === 0 ? [] : [`${found} already there`]
  ]
  return [
    `made revision ${revision.id} (${revision.tags.join(",")}) of ${source}: ` +
    `${Humanise.bytes(verification.of)} in ${Humanise.duration(revision.stats.duration ?? 0)}`,
    `${parts.join(", ")}; ` + (verification.compared === verification.of
      ? "all of it compared with the source"
      : `${Humanise.bytes(verification.compared)} of it compared with the source`)
  ]
}

/** `backy backup`: makes a revision. */
export const command = Command.make(
  "backup",
  {
    force: option.force("Take tags that the schedule does not know."),
    acceptShrink: Options.boolean("accept-shrink").pipe(
      Options.withDescription(
        "Take a source that has lost its content: empty, less than half of what it was, or wiped."
      )
    ),
    wait: option.wait,
    tags: Args.optional(TagList.fresh)
  },
  ({ acceptShrink, force, tags, wait }) =>
    Effect.gen(function*() {
      const { jobWithSource } = yield* load(() => import("./job.ts"))
      const { backup } = yield* load(() => import("../operation/backup.ts"))
      const { Source } = yield* load(() => import("../source/Source.ts"))
      const Registry = yield* load(() => import("../source/registry.ts"))
      const { providers, schedule, settings, source } = yield* jobWithSource
      if (Option.isNone(tags)) return yield* new NoTags({ known: byInterval(schedule) })
      const { freeSpaceFloor, verifyRotation } = settings
      yield* Effect.gen(function*() {
        const report = yield* backup({
          tags: tags.value,
          schedule,
          force,
          acceptShrink,
          backend: source.backend ?? "chunked",
          wait,
          ...verifyRotation === undefined ? {} : { verifyRotation },
          ...freeSpaceFloor === undefined ? {} : { freeSpaceFloor }
        })
        yield* afterwards(Output.lines(describe(report, (yield* Source).name)))
      }).pipe(
        Effect.provide(Registry.layer(source)),
        Effect.provideService(Registry.Registry, providers)
      )
    })
).pipe(Command.withDescription("Make a new revision, and compare it with the source."))
