/** What the daemon reads of a job's repository: its revisions and its quarantine. It writes nothing there. */
import type * as FileSystem from "@effect/platform/FileSystem"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Revision from "../domain/Revision.ts"
import { isRevisionId } from "../domain/RevisionId.ts"
import type { Dated } from "../domain/Timetable.ts"
import type { BlockFile } from "../platform/BlockFile.ts"
import type { FileStat } from "../platform/Disk.ts"
import * as Durable from "../platform/Durable.ts"
import * as Files from "../platform/Files.ts"
import type { IoError } from "../platform/IoError.ts"

/** One revision, as far as scheduling is concerned. */
export interface Known extends Dated {
  readonly id: string
  /** Seconds. */
  readonly duration: number | undefined
}

export interface Facts {
  /** All that can be read, oldest first. */
  readonly revisions: ReadonlyArray<Known>
  /** `.rev` files that cannot be read. */
  readonly broken: number
  /** Quarantine reports. */
  readonly reports: number
  /** When its `config` was written, in milliseconds since 1970. */
  readonly configAt: number | undefined
}

/** A job without a repository. */
export const nothing: Facts = { revisions: [], broken: 0, reports: 0, configAt: undefined }

export class JobHistory extends Context.Tag("backy/daemon/JobHistory")<JobHistory, {
  /** The facts of the repository in a directory; `nothing` when there is none. One bad file never hides the others. */
  readonly read: (directory: string) => Effect.Effect<Facts, IoError>
}>() {}

/** What is remembered of a directory as long as it does not change. */
interface Remembered {
  readonly facts: Facts
  readonly stamps: string
  readonly files: ReadonlyMap<string, { readonly stamp: string; readonly known: Known | undefined }>
}

const SUFFIX = ".rev"
const REPORT = ".report"
const MAX_REVISION_BYTES = 1024 * 1024

/** A directory that changed less than this ago may change again without looking different. In milliseconds. */
const SETTLED_AFTER = 2000

const stampOf = (stat: FileStat | undefined): string =>
  stat === undefined ? "-" : `${stat.dev}:${stat.ino}:${stat.mtimeNs}:${stat.ctimeNs}`

const toKnown = (revision: Revision.Revision): Known => ({
  id: revision.id,
  timestamp: revision.timestamp,
  tags: revision.tags,
  isComplete: revision.isComplete,
  isTrusted: revision.isTrusted,
  duration: revision.stats.duration
})

/** Reads directories, and again only what has changed in them. */
export const layer: Layer.Layer<JobHistory, never, BlockFile | FileSystem.FileSystem> = Layer.effect(
  JobHistory,
  Effect.gen(function*() {
    const context = yield* Effect.context<BlockFile | FileSystem.FileSystem>()
    const memory = new Map<string, Remembered>()

    const readRevision = (path: string) =>
      Effect.map(Effect.either(Durable.readSmall(path, MAX_REVISION_BYTES)), (bytes) => {
        if (Either.isLeft(bytes)) return undefined
        const revision = Revision.decodeYaml(new TextDecoder().decode(bytes.right))
        return Either.isRight(revision) && path.endsWith(`/${revision.right.id}${SUFFIX}`)
          ? toKnown(revision.right)
          : undefined
      })

    const countReports = (directory: string) =>
      Files.list(`${directory}/quarantine`).pipe(
        Effect.map((names) => names.filter((name) => name.endsWith(REPORT)).length),
        Effect.orElseSucceed(() => 0)
      )

    const look = Effect.fnUntraced(function*(directory: string, before: Remembered | undefined, stamps: string) {
      const names = (yield* Files.list(directory)).filter((name) =>
        name.endsWith(SUFFIX) && isRevisionId(name.slice(0, -SUFFIX.length))
      )
      const files = new Map<string, { readonly stamp: string; readonly known: Known | undefined }>()
      for (const name of names) {
        const path = `${directory}/${name}`
        const stat = yield* Files.find(path)
        // removed while we look, or a link of an old version
        if (stat === undefined || stat.kind === "symlink") continue
        const stamp = stampOf(stat)
        const old = before?.files.get(name)
        files.set(name, old?.stamp === stamp ? old : { stamp, known: yield* readRevision(path) })
      }
      const revisions = [...files.values()].flatMap(({ known }) => known === undefined ? [] : [known])
        .sort((a, b) => a.timestamp.epochMillis - b.timestamp.epochMillis || (a.id < b.id ? -1 : 1))
      const config = yield* Files.find(`${directory}/config`)
      const facts: Facts = {
        configAt: config === undefined ? undefined : Number(config.mtimeNs / 1_000_000n),
        revisions,
        broken: files.size - revisions.length,
        reports: yield* countReports(directory)
      }
      return { facts, stamps, files } satisfies Remembered
    })

    return JobHistory.of({
      read: (directory) =>
        Effect.gen(function*() {
          const stat = yield* Files.find(directory)
          if (stat === undefined) {
            memory.delete(directory)
            return nothing
          }
          const quarantine = yield* Files.find(`${directory}/quarantine`)
          const stamps = `${stampOf(stat)} ${stampOf(quarantine)}`
          const before = memory.get(directory)
          if (before?.stamps === stamps) return before.facts
          const found = yield* look(directory, before, stamps)
          const newest = Math.max(...[stat, quarantine].map((one) => Number((one?.mtimeNs ?? 0n) / 1_000_000n)))
          const settled = Math.abs((yield* Clock.currentTimeMillis) - newest) > SETTLED_AFTER
          memory.set(directory, settled ? found : { ...found, stamps: "" })
          return found.facts
        }).pipe(Effect.provide(context))
    })
  })
)

/** Facts that somebody else keeps up to date, by directory. */
export const layerMemory = (facts: ReadonlyMap<string, Facts>): Layer.Layer<JobHistory> =>
  Layer.succeed(JobHistory, { read: (directory) => Effect.sync(() => facts.get(directory) ?? nothing) })
