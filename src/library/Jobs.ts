/** The jobs of a scheduler that runs on this machine, as its status file tells of them: a value, and a stream of changes. */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import type * as FileSystem from "@effect/platform/FileSystem"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Config from "../config/Config.ts"
import type { ConfigInvalid, ConfigMissing } from "../config/ConfigError.ts"
import * as StatusFile from "../daemon/StatusFile.ts"
import { JobStatus } from "../domain/JobStatus.ts"
import type { BlockFile as BlockFileTag } from "../platform/BlockFile.ts"
import type { IoError } from "../platform/IoError.ts"
import * as BlockFile from "../platform/nodeBlockFile.ts"

/** Why nothing is known of the jobs: the status file is not there, or is none. */
export type JobsError = StatusFile.StatusUnusable | IoError

/** All jobs as the scheduler last told of them. */
export interface Snapshot {
  /** In the order of the status file. */
  readonly jobs: ReadonlyArray<JobStatus>
  /**
   * When the scheduler wrote it, in milliseconds since 1970. It writes every 30 seconds: what is older than five minutes
   * tells that it does not run, or hangs.
   */
  readonly writtenAt: number
}

/** What became of one job. */
export type JobChange =
  | { readonly _tag: "Appeared"; readonly job: string; readonly after: JobStatus }
  | { readonly _tag: "Changed"; readonly job: string; readonly before: JobStatus; readonly after: JobStatus }
  | { readonly _tag: "Gone"; readonly job: string; readonly before: JobStatus }

const isSame: (a: JobStatus, b: JobStatus) => boolean = Schema.equivalence(JobStatus)

/** What differs between two looks, by job; in the order of the later one, those that have gone last. */
export const changesBetween = (
  before: ReadonlyArray<JobStatus>,
  after: ReadonlyArray<JobStatus>
): ReadonlyArray<JobChange> => {
  const known = new Map(before.map((status) => [status.job, status]))
  const changes = after.flatMap((status): ReadonlyArray<JobChange> => {
    const old = known.get(status.job)
    known.delete(status.job)
    if (old === undefined) return [{ _tag: "Appeared", job: status.job, after: status }]
    return isSame(old, status) ? [] : [{ _tag: "Changed", job: status.job, before: old, after: status }]
  })
  return [...changes, ...Array.from(known.values(), (old): JobChange => ({ _tag: "Gone", job: old.job, before: old }))]
}

/** How to follow the jobs. */
export interface Following {
  /** How often to look. The scheduler writes every 30 seconds unless told otherwise. Default: every 5 seconds. */
  readonly every?: Duration.DurationInput
}

/** What a scheduler tells of its jobs. */
export class Jobs extends Context.Tag("backy/Jobs")<Jobs, {
  /** All jobs now. Fails with `StatusUnusable`, `IoError`. */
  readonly status: Effect.Effect<Snapshot, JobsError>
  /**
   * Every change of a job; at first every job appears. Looks at the file's jobs, so what came and went between two looks
   * is not told. Fails with `StatusUnusable`, `IoError` as soon as the status cannot be read: `Stream.retry` goes on
   * from there, with every job appearing anew.
   */
  readonly changes: (options?: Following) => Stream.Stream<JobChange, JobsError>
}>() {
  /** By the scheduler's status file; a missing one is told when it is asked for. */
  static layer({ statusFile }: { readonly statusFile: string }): Layer.Layer<Jobs> {
    return Layer.effect(this, make(statusFile)).pipe(Layer.provide(machine))
  }

  /**
   * By the scheduler's config, which names the status file; read once. Fails with `ConfigMissing`, `ConfigInvalid`,
   * `IoError`.
   */
  static layerConfig(
    { config = "/etc/backy.conf" }: { readonly config?: string } = {}
  ): Layer.Layer<Jobs, ConfigMissing | ConfigInvalid | IoError> {
    return Layer.effect(this, Effect.flatMap(Config.loadDaemon(config), ({ statusFile }) => make(statusFile))).pipe(
      Layer.provide(machine)
    )
  }
}

const machine: Layer.Layer<BlockFileTag | FileSystem.FileSystem> = Layer.merge(NodeFileSystem.layer, BlockFile.layer)

const make = (statusFile: string): Effect.Effect<Jobs["Type"], never, BlockFileTag> =>
  Effect.map(Effect.context<BlockFileTag>(), (context) => {
    const status = Effect.provide(StatusFile.read(statusFile), context)
    return {
      status,
      changes: (options) =>
        Stream.repeatEffectWithSchedule(status, Schedule.spaced(options?.every ?? "5 seconds")).pipe(
          Stream.changesWith((a, b) => a.writtenAt === b.writtenAt),
          Stream.mapAccum([] as ReadonlyArray<JobStatus>, (before, { jobs }) => [jobs, changesBetween(before, jobs)]),
          Stream.flattenIterables
        )
    }
  })
