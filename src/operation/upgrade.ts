import type { FileSystem } from "@effect/platform/FileSystem"
import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as ChunkMap from "../domain/ChunkMap.ts"
import { counted } from "../domain/counted.ts"
import * as Revision from "../domain/Revision.ts"
import type { RevisionId } from "../domain/RevisionId.ts"
import type { Backend } from "../domain/SourceConfig.ts"
import type { BlockFile } from "../platform/BlockFile.ts"
import type { FileLock, LockHeld } from "../platform/FileLock.ts"
import type { IoError } from "../platform/IoError.ts"
import type { History } from "../repository/History.ts"
import type { Image } from "../repository/Image.ts"
import * as locks from "../repository/locks.ts"
import { Repository } from "../repository/Repository.ts"
import type { RepositoryMissing } from "../repository/RepositoryError.ts"
import type { Blocks } from "../store/Blocks.ts"
import type { ChunkStore } from "../store/ChunkStore.ts"
import { convert, type Known } from "./convert.ts"
import * as Finished from "./Finished.ts"
import { purge } from "./purge.ts"
import { requireRoom, type Room, roomFor, type SpaceLacking } from "./room.ts"
import { upgradeAlpha } from "./upgradeAlpha.ts"

/** What is to be upgraded, newest first, and what that takes for the time being. Bytes. */
export interface UpgradePlan extends Room {
  readonly revisions: ReadonlyArray<Revision.Revision>
  /** What an alpha of 3.0 made: only its metadata and map are written anew. */
  readonly alphas: ReadonlyArray<Revision.Revision>
}

/** A revision that was left as it was, and why. */
export interface NotUpgraded {
  readonly revision: RevisionId
  readonly reason: string
}

/** What was done. */
export interface UpgradeReport {
  readonly plan: UpgradePlan
  readonly upgraded: ReadonlyArray<RevisionId>
  readonly failed: ReadonlyArray<NotUpgraded>
}

/** Some revisions could not be upgraded. They are as they were; all others are upgraded. */
export class UpgradeIncomplete extends Data.TaggedError("UpgradeIncomplete")<{ readonly report: UpgradeReport }> {
  override get message() {
    const { failed } = this.report
    return `could not upgrade ${counted(failed.length, "revision")}: ` +
      failed.map(({ reason, revision }) => `${revision} (${reason})`).join(", ")
  }
}

/** Why not all revisions are of the current format. */
export type UpgradeError = SpaceLacking | UpgradeIncomplete | LockHeld | RepositoryMissing | IoError

/**
 * Brings revisions that alphas of 3.0 wrote, then those that backy 2.5 wrote, and images when the config wants chunks,
 * into the current format; newest first,
 * so that the space of what expires soon is not needed. Each is read, stored, synced and compared byte by byte before
 * the one commit that makes it current; ids, times, tags, trust and statistics stay. Interrupted at any point it has
 * harmed nothing, and the next run goes on. Fails with `SpaceLacking`, `UpgradeIncomplete`, `LockHeld`,
 * `RepositoryMissing`, `IoError`.
 */
export const upgrade = Effect.fn("upgrade")(function*(options: {
  /** Only tells what would be done. */
  readonly dryRun: boolean
  /** Begins although there may be too little room. */
  readonly force: boolean
  /** How new revisions are kept: with `cowfile`, images stay images. */
  readonly backend: Backend
  readonly wait: Duration.Duration
}): Effect.fn.Return<
  UpgradeReport,
  UpgradeError,
  BlockFile | Blocks | ChunkStore | FileLock | FileSystem | Repository
> {
  const { broken, ...plan } = yield* makePlan(options.backend)
  const upgraded: Array<RevisionId> = []
  const failed: Array<NotUpgraded> = [...broken]
  const report: UpgradeReport = { plan, upgraded, failed }
  for (const { reason, revision } of broken) {
    yield* Effect.logWarning(`revision ${revision} is left as it is: ${reason}`)
  }
  if (options.dryRun) return report
  // the last revision that is brought up to date is the end of the work; to sweep up after it is not
  const told = Effect.suspend(() => Finished.tell(failed.length === 0 ? "done" : "failed"))
  const last = (plan.revisions.at(-1) ?? plan.alphas.at(-1))?.id
  const done = (id: RevisionId) => id === last ? told : Effect.void
  for (const { id } of plan.alphas) {
    const outcome = yield* Effect.either(
      upgradeAlpha(id, options.wait, plan.revisions.length === 0 ? done(id) : Effect.void)
    )
    if (Either.isRight(outcome)) upgraded.push(id)
    else if (outcome.left._tag !== "MapUnusable") return yield* Effect.fail(outcome.left)
    else failed.push(yield* leave(id, outcome.left))
  }
  yield* requireRoom(plan, options.force)
  let before: Converted | undefined
  for (const { id } of plan.revisions) {
    const outcome = yield* Effect.either(one(id, before, options.wait, done(id)))
    if (outcome._tag === "Right") {
      if (outcome.right === undefined) continue
      if ("reason" in outcome.right) {
        failed.push(outcome.right)
        continue
      }
      before = outcome.right
      if (!upgraded.includes(id)) upgraded.push(id)
      const left = plan.alphas.length + plan.revisions.length - upgraded.length
      yield* Effect.logInfo(`revision ${id} is upgraded, ${left} to go`)
    } else if (outcome.left._tag === "NotConvertible" || outcome.left._tag === "MapUnusable") {
      failed.push(yield* leave(id, outcome.left))
    } else {
      return yield* Effect.fail(outcome.left)
    }
    yield* sweep(options.wait)
  }
  yield* told
  return failed.length === 0 ? report : yield* new UpgradeIncomplete({ report })
})

const leave = (revision: RevisionId, { message }: { readonly message: string }) =>
  Effect.as(
    Effect.logWarning(`revision ${revision} is left as it is: ${message}`),
    { revision, reason: message } satisfies NotUpgraded
  )

/** A revision that has just been converted: its neighbour has most of its chunks at the same places. */
interface Converted {
  readonly from: Image
  readonly to: ChunkMap.ChunkMap
}

const isOld = (backend: Backend) => (revision: Revision.Revision): boolean =>
  revision.backendType === "chunked" || (revision.isImage && backend === "chunked")

/** Whose metadata cannot be read may be old as well. */
const unreadable = ({ broken }: History): ReadonlyArray<NotUpgraded> =>
  broken.flatMap(({ alpha, id, reason }) => alpha === undefined ? [{ revision: id, reason }] : [])

const makePlan = Effect.fnUntraced(function*(backend: Backend) {
  const repository = yield* Repository
  const history = yield* repository.history
  const alphas = history.broken.flatMap(({ alpha }) => alpha === undefined ? [] : [alpha])
  // what alphas left of backy 2.5, and their images, come next
  const later = alphas.filter(({ isComplete }) => isComplete)
  const revisions = Revision.history([...history.complete, ...later]).filter(isOld(backend)).toReversed()
  return {
    revisions,
    alphas: Revision.history(alphas).toReversed(),
    broken: unreadable(history),
    ...(yield* roomFor(revisions))
  }
})

/**
 * Upgrades one revision, with the locks held, or says why not; `undefined` when it has gone meanwhile. `done` follows its
 * commit, and no interrupt comes in between.
 */
const one = (id: RevisionId, before: Converted | undefined, wait: Duration.Duration, done: Effect.Effect<void>) =>
  Effect.scoped(Effect.gen(function*() {
    yield* locks.forBackup(wait)
    const repository = yield* Repository
    const history = yield* repository.history
    const revision = history.complete.find((found) => found.id === id)
    if (revision === undefined) return unreadable(history).find((found) => found.revision === id)
    if (revision.backendType === "chunked-v4") return undefined
    // leftovers of a run that was interrupted before its commit
    yield* repository.settle(revision)
    const from = yield* repository.readMap(revision)
    const known = before === undefined ? undefined : sameBlocks(before, from)
    const to = yield* convert({ image: from, known, run: `upgrade ${id}` })
    const mapDigest = yield* repository.publishMapBeside(id, to)
    const current = Revision.update(revision, { backendType: "chunked-v4", size: to.size, mapDigest })
    // the metadata is the commit: before it the old content counts, after it the new one
    yield* Effect.uninterruptible(
      Effect.all([repository.publish(current), done, repository.settle(current)], { discard: true })
    )
    return { from, to } satisfies Converted
  }))

/** Which blocks of `next` are the same as before, so that their ids are known. */
const sameBlocks = ({ from, to }: Converted, next: Image): Known | undefined => {
  if (from.path !== undefined || next.path !== undefined || from.chunkSize !== next.chunkSize) return undefined
  const same = new Uint8Array(ChunkMap.count(next))
  for (let index = 0; index < Math.min(ChunkMap.count(from), same.length); index++) {
    if (ChunkMap.chunkLength(from, index) !== ChunkMap.chunkLength(next, index)) continue
    if (Buffer.compare(ChunkMap.idBytesAt(from, index), ChunkMap.idBytesAt(next, index)) === 0) same[index] = 1
  }
  return { map: to, same }
}

/** What nobody names any more goes at once, so that the next revision finds room. */
const sweep = (wait: Duration.Duration) =>
  Effect.catchTags(Finished.silently(purge({ dryRun: false, wait })), {
    PurgeBlocked: (error) => Effect.logWarning(error.message),
    LockHeld: (error) => Effect.logWarning(error.message)
  })
