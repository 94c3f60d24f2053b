/** What the daemon reads of a job's repository: its revisions and its quarantine. It writes nothing there. */
import type * as FileSystem from "@effect/platform/FileSystem"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import { CHUNK_SIZE } from "../domain/ChunkMap.ts"
import { isRevisionId, type RevisionId } from "../domain/RevisionId.ts"
import type { Dated } from "../domain/Timetable.ts"
import { BlockFile } from "../platform/BlockFile.ts"
import type { FileStat } from "../platform/Disk.ts"
import * as Files from "../platform/Files.ts"
import type { IoError } from "../platform/IoError.ts"
import * as ReadRevision from "../repository/readRevision.ts"
import type * as RevisionFile from "../repository/revisionFile.ts"

/** One revision, as far as scheduling is concerned. */
export interface Known extends Dated {
  readonly id: string
  /** Upstream made it. */
  readonly isLegacy: boolean
  /** Seconds. */
  readonly duration: number | undefined
}

export interface Facts {
  /** All that can be read, oldest first. */
  readonly revisions: ReadonlyArray<Known>
  /** Broken revisions: `.rev` files that cannot be read, or that the rest contradicts. */
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
  /** Whether `read` would give what it gave last. Takes next to nothing; `false` when that cannot be said so easily. */
  readonly isSame: (directory: string) => Effect.Effect<boolean>
}>() {}

/** One `.rev` file. */
interface Looked {
  readonly stamp: string
  /** Nothing when it is broken. */
  readonly known: Known | undefined
  /** Something else may change what is said of it: it is read with each change of the directory. */
  readonly isDoubtful: boolean
}

type Ports = BlockFile | FileSystem.FileSystem

/** What is remembered of a directory as long as it does not change. */
interface Remembered {
  readonly facts: Facts
  /** Of the directory, and of its quarantine when it has one; none when it may change without looking different. */
  readonly stamps: string | undefined
  readonly hasQuarantine: boolean
  /** By the revision's id. */
  readonly files: ReadonlyMap<string, Looked>
  /** When each file is looked at again, whether the directory has changed or not. Milliseconds since 1970. */
  readonly from: number
  readonly until: number
}

const { SUFFIX } = ReadRevision
const REPORT = ".report"

/** A file that is written in place changes no directory. All are looked at again after a time between these. */
const LOOK_AGAIN = { after: 30 * 60_000, until: 60 * 60_000 }

/** A directory that changed less than this ago may change again without looking different. In milliseconds. */
const SETTLED_AFTER = 2000

/** Joined, because a template's result is a tree of small strings, and tens of thousands are kept. */
const stampOf = ({ ctimeNs, dev, ino, mtimeNs }: FileStat): string => [dev, ino, mtimeNs, ctimeNs].join(":")

/** Of a directory, and of its quarantine when it has one. */
const stampsOf = (directory: FileStat, quarantine: FileStat | undefined): string =>
  quarantine === undefined ? stampOf(directory) : `${stampOf(directory)} ${stampOf(quarantine)}`

const quarantineOf = (directory: string): string => `${directory}/quarantine`

/** Most revisions have the tags of many others: one list will do. */
const sharedTags = () => {
  const lists = new Map<string, ReadonlyArray<string>>()
  return (tags: ReadonlyArray<string>): ReadonlyArray<string> => {
    const key = tags.join()
    const known = lists.get(key)
    if (known !== undefined) return known
    // manual tags come and go
    if (lists.size >= 1000) lists.clear()
    lists.set(key, tags)
    return tags
  }
}

/** What is remembered of a revision. */
const toKnown = (id: string, revision: RevisionFile.Fields): Known => {
  const { backendType, stats: { duration }, tags, timestamp, trust } = revision
  // the id of the name, which does not keep the text alive
  const isLegacy = backendType !== "chunked-v4"
  return {
    id,
    isLegacy,
    timestamp,
    tags,
    isComplete: duration !== undefined,
    isTrusted: trust !== "distrusted",
    duration
  }
}

/** Reads directories, and again only what has changed in them. */
export const layer: Layer.Layer<JobHistory, never, BlockFile | FileSystem.FileSystem> = Layer.effect(
  JobHistory,
  Effect.gen(function*() {
    const context = yield* Effect.context<BlockFile | FileSystem.FileSystem>()
    const block = yield* BlockFile
    const memory = new Map<string, Remembered>()
    const share = sharedTags()

    const readFile = (
      directory: string,
      id: RevisionId,
      stamp: string
    ): Effect.Effect<Option.Option<Looked>, never, Ports> =>
      Effect.map(
        ReadRevision.read(directory, CHUNK_SIZE, id),
        Option.map(Either.match({
          onLeft: () => ({ stamp, known: undefined, isDoubtful: true }),
          onRight: ({ fields, isDoubtful }) => {
            const known = toKnown(id, fields)
            return { stamp, known: { ...known, tags: share(known.tags) }, isDoubtful }
          }
        }))
      )

    // never through a link: what it leads to is not ours to list
    const countReports = (directory: string) =>
      Files.find(quarantineOf(directory)).pipe(
        Effect.flatMap((stat) => stat?.kind === "directory" ? Files.list(quarantineOf(directory)) : Effect.succeed([])),
        Effect.map((names) => names.filter((name) => name.endsWith(REPORT)).length),
        Effect.orElseSucceed(() => 0)
      )

    const look = Effect.fnUntraced(function*(directory: string, before: Remembered | undefined) {
      const ids = (yield* Files.list(directory)).flatMap((name) =>
        name.endsWith(SUFFIX) ? [name.slice(0, -SUFFIX.length)] : []
      ).filter(isRevisionId)
      const files = new Map<string, Looked>()
      for (const id of ids) {
        const stat = yield* Files.find(`${directory}/${id}${SUFFIX}`)
        // removed while we look
        if (stat === undefined) continue
        const stamp = stampOf(stat)
        const old = before?.files.get(id)
        const looked = old?.stamp === stamp && !old.isDoubtful
          ? Option.some(old)
          : yield* readFile(directory, id, stamp)
        if (Option.isSome(looked)) files.set(id, looked.value)
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
      return { facts, files }
    })

    /** A thousand directories are looked at each minute, so this is two calls at most, and nothing around them. */
    const isSame = (directory: string): Effect.Effect<boolean> =>
      Clock.currentTimeMillis.pipe(
        Effect.flatMap((now) => {
          const before = memory.get(directory)
          if (before?.stamps === undefined || now < before.from || now >= before.until) return Effect.succeed(false)
          const { hasQuarantine, stamps } = before
          return Effect.flatMap(block.lstat(directory), (stat) =>
            // where there was none, one that is made changes the directory
            hasQuarantine
              ? Effect.map(block.lstat(quarantineOf(directory)), (quarantine) => stamps === stampsOf(stat, quarantine))
              : Effect.succeed(stamps === stampsOf(stat, undefined)))
        }),
        Effect.orElseSucceed(() => false)
      )

    return JobHistory.of({
      isSame,
      read: (directory) =>
        Effect.gen(function*() {
          const before = memory.get(directory)
          if (before !== undefined && (yield* isSame(directory))) return before.facts
          const stat = yield* Files.find(directory)
          if (stat === undefined) {
            memory.delete(directory)
            return nothing
          }
          const now = yield* Clock.currentTimeMillis
          const quarantine = yield* Files.find(quarantineOf(directory))
          const stamps = stampsOf(stat, quarantine)
          const { facts, files } = yield* look(directory, before)
          const newest = Math.max(...[stat, quarantine].map((one) => Number((one?.mtimeNs ?? 0n) / 1_000_000n)))
          const settled = Math.abs((yield* Clock.currentTimeMillis) - newest) > SETTLED_AFTER
          memory.set(directory, {
            facts,
            files,
            stamps: settled ? stamps : undefined,
            hasQuarantine: quarantine !== undefined,
            from: now,
            until: now + (yield* Random.nextRange(LOOK_AGAIN.after, LOOK_AGAIN.until))
          })
          return facts
        }).pipe(Effect.provide(context))
    })
  })
)

/** Facts that somebody else keeps up to date, by directory. */
export const layerMemory = (facts: ReadonlyMap<string, Facts>): Layer.Layer<JobHistory> =>
  Layer.sync(JobHistory, () => {
    const given = new Map<string, Facts>()
    const now = (directory: string): Facts => facts.get(directory) ?? nothing
    return {
      read: (directory) =>
        Effect.sync(() => {
          given.set(directory, now(directory))
          return now(directory)
        }),
      isSame: (directory) => Effect.sync(() => given.get(directory) === now(directory))
    }
  })
