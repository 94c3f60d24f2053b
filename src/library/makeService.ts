/** The service over the ports of a machine: what a method is not told is asked of the repository's config. */
import type * as FileSystem from "@effect/platform/FileSystem"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import * as Config from "../config/Config.ts"
import { defaultSchedule, type JobConfig } from "../domain/JobConfig.ts"
import * as Tag from "../domain/Tag.ts"
import { backup } from "../operation/backup.ts"
import { diff } from "../operation/diff.ts"
import { distrust } from "../operation/distrust.ts"
import { expire } from "../operation/expire.ts"
import { forget } from "../operation/forget.ts"
import { init } from "../operation/init.ts"
import { Output } from "../operation/Output.ts"
import { purge } from "../operation/purge.ts"
import { restore } from "../operation/restore.ts"
import { restoreStream } from "../operation/restoreStream.ts"
import { sourceFile } from "../operation/sourceFile.ts"
import { status } from "../operation/status.ts"
import * as Tags from "../operation/tags.ts"
import { verify } from "../operation/verify.ts"
import type { BlockFile } from "../platform/BlockFile.ts"
import type { Devices } from "../platform/Devices.ts"
import type { FileLock } from "../platform/FileLock.ts"
import { Repository } from "../repository/Repository.ts"
import * as Registry from "../source/registry.ts"
import { Source } from "../source/Source.ts"
import type { Blocks } from "../store/Blocks.ts"
import type { ChunkStore } from "../store/ChunkStore.ts"
import type { Service, Waiting } from "./Service.ts"
import { TagInvalid } from "./TagInvalid.ts"

/** The ports of a machine, and one repository on it. */
export type Services =
  | BlockFile
  | Blocks
  | ChunkStore
  | Devices
  | FileLock
  | FileSystem.FileSystem
  | Registry.Services
  | Repository

const waitOf = (options: Waiting | undefined): Duration.Duration => Duration.decode(options?.wait ?? Duration.zero)

const requireValid = (tags: ReadonlyArray<string>): Effect.Effect<void, TagInvalid> =>
  Effect.forEach(tags, (tag) => {
    const reason = Tag.problem(tag)
    return reason === undefined ? Effect.void : new TagInvalid({ tag, reason })
  }, { discard: true })

/** A restore to a path writes to no output. */
const noOutput: Output["Type"] = {
  write: () => Effect.dieMessage("a restore to a path wrote to the output"),
  finish: Effect.void
}

/** Makes the service. `sources` are kinds of sources that are there beside those that come with backy. */
export const make = (
  sources: ReadonlyArray<Registry.Provider>
): Effect.Effect<Service, never, Services> =>
  Effect.gen(function*() {
    // the span in which the layer was built, which no type tells of, is not the caller's
    const built = (yield* Effect.context<Services>()) as Context.Context<Services | Tracer.ParentSpan>
    const context = Context.omit(Tracer.ParentSpan)(built)
    const provided = Effect.provide(context)
    const { directory } = yield* Repository
    const providers = [...Registry.builtIn, ...sources]
    const types = providers.map(({ type }) => type)

    const config = provided(Config.loadRepository(directory, { sources: types }))
    // who needs no source takes one of a kind that nobody here knows
    const schedule = Effect.map(
      provided(Config.loadRepository(directory, { foreign: true })),
      (config) => config.schedule
    )

    const tag = (change: "set" | "add") =>
    (
      revisions: string,
      tags: ReadonlyArray<string>,
      options?: Waiting & { readonly force?: boolean }
    ) =>
      Effect.gen(function*() {
        yield* requireValid(tags)
        const known = options?.force === true ? undefined : yield* schedule
        return yield* provided(Tags.tags({ revisions, change, tags, schedule: known, wait: waitOf(options) }))
      })

    return {
      directory,
      config,
      init: ({ schedule = defaultSchedule, source }) => {
        const job: JobConfig = { source, schedule }
        return provided(init(job, types))
      },
      backup: (options) =>
        provided(Effect.gen(function*() {
          yield* requireValid(options.tags)
          const { schedule, settings: { freeSpaceFloor, verifyRotation }, source } = yield* config
          const { make } = yield* Registry.find(source.type)
          return yield* Effect.provideServiceEffect(
            backup({
              tags: options.tags,
              schedule,
              force: options.force ?? false,
              acceptShrink: options.acceptShrink ?? false,
              backend: source.backend ?? "chunked",
              wait: waitOf(options),
              ...verifyRotation === undefined ? {} : { verifyRotation },
              ...freeSpaceFloor === undefined ? {} : { freeSpaceFloor }
            }),
            Source,
            make(source)
          )
        })).pipe(Effect.provideService(Registry.Registry, providers)),
      restoreTo: (path, options) =>
        provided(Effect.flatMap(sourceFile, (source) =>
          restore({
            revision: options?.revision ?? "latest",
            target: { _tag: "Path", path },
            force: options?.overwrite ?? false,
            source,
            salvage: options?.salvage ?? false,
            wait: waitOf(options)
          }))).pipe(
            Effect.provideService(Output, noOutput),
            Effect.catchTag("OutputClosed", Effect.die)
          ),
      restoreStream: (options) =>
        Stream.provideContext(
          restoreStream({
            revision: options?.revision ?? "latest",
            salvage: options?.salvage ?? false,
            wait: waitOf(options)
          }),
          context
        ),
      status: (options) => provided(status({ revisions: options?.revisions })),
      verify: (options) => provided(verify({ revisions: options?.revisions ?? "clean", wait: waitOf(options) })),
      expire: (options) =>
        Effect.flatMap(schedule, (schedule) =>
          provided(expire({
            schedule,
            dryRun: options?.dryRun ?? false,
            unknownTags: options?.unknownTags ?? false,
            wait: waitOf(options)
          }))),
      forget: (revisions, options) =>
        provided(forget({ revisions, force: options?.force ?? false, wait: waitOf(options) })),
      purge: (options) => provided(purge({ dryRun: options?.dryRun ?? false, wait: waitOf(options) })),
      tags: {
        set: tag("set"),
        add: tag("add"),
        remove: (revisions, tags, options) =>
          provided(Tags.tags({ revisions, change: "remove", tags, schedule: undefined, wait: waitOf(options) })).pipe(
            // only new tags are looked up in a schedule
            Effect.catchTag("TagsUnknown", Effect.die)
          )
      },
      distrust: (revisions, options) =>
        provided(distrust({ revisions, from: options?.from, until: options?.until, wait: waitOf(options) })),
      diff: (from, to) => provided(diff(from, to))
    } satisfies Service
  })
