/**
 * An RBD image in Ceph: a snapshot for each revision, of which the newest is kept as the start of the next increment.
 */
import type * as FileSystem from "@effect/platform/FileSystem"
import * as Chunk from "effect/Chunk"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { RevisionId } from "../domain/RevisionId.ts"
import type { BlockFile } from "../platform/BlockFile.ts"
import { inOwnFiber } from "../platform/inOwnFiber.ts"
import * as Rbd from "../platform/Rbd.ts"
import type * as RbdDiff from "../platform/RbdDiff.ts"
import * as Notes from "./snapshotNotes.ts"
import {
  type Change,
  type Changes,
  type Difference,
  type Snapshot,
  type SnapshotRequest,
  Source,
  SourceNotReady
} from "./Source.ts"

/** What a job says of its image. */
export interface Settings extends Rbd.ImageName {
  /** Every backup reads everything, and no snapshot is kept in between. */
  readonly fullAlways?: boolean
}

/** Takes the snapshot of that name, in whatever way. */
export type Take = (image: Rbd.ImageName, name: string) => Effect.Effect<void, Rbd.RbdError, Rbd.Rbd>

/** What the source needs. */
export type Services = Rbd.Rbd | BlockFile | FileSystem.FileSystem

/** How long a failed backup tries to take its snapshot away again; what it cannot, the next one does. */
const TIDY_LIMIT = Duration.minutes(2)

const PREFIX = "backy-"

/** The snapshot of a revision. */
export const nameOf = (revision: RevisionId): string => `${PREFIX}${revision}`

const plain: Take = (image, name) => Effect.flatMap(Rbd.Rbd, (rbd) => rbd.createSnapshot(image, name))

/**
 * Whether whole objects may be asked for between two snapshots. Ceph then answers from its index, and that has
 * forgotten whatever a snapshot in between was too small to have: the diff would lack what was dropped there.
 */
export const mayAskWholeObjects = (
  snapshots: ReadonlyArray<Rbd.SnapshotInfo>,
  from: Rbd.SnapshotInfo,
  to: Rbd.SnapshotInfo
): boolean => snapshots.every(({ id, size }) => id <= from.id || id >= to.id || size >= Math.min(from.size, to.size))

/** What a backup knows of its image. */
interface Run {
  /** The repository's, where snapshots are noted. */
  readonly directory: string
  /** The image's. */
  readonly id: string
  readonly indexInvalid: boolean
  /** Snapshots that were made or asked for, with that of this run, by name. */
  readonly noted: ReadonlyArray<string>
  /** Those, and those of all revisions: nothing else is removed. */
  readonly ours: ReadonlySet<string>
  /** All snapshots of the image, as they were listed last. */
  listed: ReadonlyArray<Rbd.SnapshotInfo>
}

/** The source for an image. `take` is how snapshots of it are taken; otherwise `rbd snap create`. */
export const make = (settings: Settings, take: Take = plain): Effect.Effect<Source["Type"], never, Services> =>
  Effect.gen(function*() {
    const context = yield* Effect.context<Services>()
    const rbd = yield* Rbd.Rbd
    const { namespace, pool } = settings
    const image: Rbd.ImageName = { pool, ...namespace === undefined ? {} : { namespace }, image: settings.image }
    const source = Rbd.format(image)
    const provided = Effect.provide(context)
    const notReady = (error: { readonly message: string }) => new SourceNotReady({ source, reason: error.message })
    const refined = <A, R>(effect: Effect.Effect<A, Rbd.RbdError, R>) => Effect.mapError(effect, notReady)

    const look = Effect.mapError(
      rbd.info(image),
      (error) =>
        error.code === "ENOENT" ? new SourceNotReady({ source, reason: "there is no such image" }) : notReady(error)
    )
    /** What the last check has seen, until a snapshot makes use of it: each question to Ceph is a program that is started. */
    const seen = yield* Ref.make(Option.none<Rbd.ImageInfo>())

    const check = Effect.gen(function*() {
      yield* Ref.set(seen, Option.some(yield* look))
      yield* refined(rbd.checkReadable(image))
    })

    /** A snapshot that is not found: it is gone, or its image has no longer the name that it had. */
    const removeElsewhere = (id: string, name: string, error: Rbd.RbdError) =>
      Effect.gen(function*() {
        const found = yield* Effect.either(rbd.info(image))
        if (Either.isRight(found) && (found.right.id === id || id === "")) return
        if (id === "") return yield* error
        yield* rbd.removeSnapshotById(image, id, name).pipe(
          Effect.catchIf(({ code }) => code === "ENOENT", () => Effect.void)
        )
      })

    /** Removes a snapshot of ours, and then does what is to follow, unless it is protected or busy. */
    const removeOne = <E extends { readonly message: string }, R>(
      id: string,
      name: string,
      then: Effect.Effect<void, E, R>
    ) =>
      rbd.removeSnapshot(image, name).pipe(
        Effect.catchIf(({ code }) => code === "ENOENT", (error) => removeElsewhere(id, name, error)),
        Effect.zipRight(then),
        Effect.catchAll((error) => Effect.logWarning(`left snapshot ${Rbd.format(image, name)}: ${error.message}`))
      )

    /** Removes snapshots of ours with their notes, as many as can be. */
    const removeAll = (directory: string, id: string, names: Iterable<string>) =>
      Effect.forEach(
        names,
        (name) => removeOne(id, name, Notes.remove(directory, Rbd.format(image, name))),
        { discard: true }
      )

    /**
     * Forgets what was noted and is not there, but for the newest: a VM that was asked for a snapshot, or a cluster that
     * did not answer in time, may still make it when the run that wanted it has failed.
     */
    const forgetMissing = (directory: string, names: ReadonlyArray<string>) =>
      Effect.catchAll(
        Effect.forEach(names.slice(0, -1), (name) => Notes.remove(directory, Rbd.format(image, name)), {
          discard: true
        }),
        (error) => Effect.logWarning(`snapshots that are gone are still noted: ${error.message}`)
      )

    /** After a revision was published: only its own snapshot is still of use, and notes only of what there is. */
    const settle = (run: Run, kept: string | undefined) =>
      Effect.gen(function*() {
        const { directory, id, noted, ours } = run
        const has = (name: string) => run.listed.some((one) => one.name === name)
        // a snapshot that was asked for, and was not there when the diff had ended, may have come since
        const all = noted.every(has) ? run.listed : yield* rbd.snapshots(image)
        const present = new Set(all.map(({ name }) => name))
        yield* removeAll(directory, id, [...present].filter((name) => ours.has(name) && name !== kept))
        for (const name of noted) if (!present.has(name)) yield* Notes.remove(directory, Rbd.format(image, name))
      }).pipe(Effect.catchAll((error) => Effect.logWarning(`older snapshots are left: ${error.message}`)))

    /** Somebody renames, replaces or deletes what is being read: said as such, since what Ceph then says helps nobody. */
    const disturbed = Effect.fnUntraced(function*(id: string, names: ReadonlyArray<string>) {
      const found = yield* Effect.either(rbd.info(image))
      if (Either.isLeft(found)) {
        if (found.left.code !== "ENOENT") return undefined
        return "the image was renamed, moved to the trash or deleted while it was backed up"
      }
      if (found.right.id !== id) return "the image was replaced by another one while it was backed up"
      const present = yield* Effect.option(rbd.snapshots(image))
      if (Option.isNone(present)) return undefined
      const lost = names.find((name) => !present.value.some((one) => one.name === name))
      return lost === undefined ? undefined : `somebody removed its snapshot ${lost} while it was backed up`
    })

    /** Errors of a snapshot that has been taken. */
    const explained = (id: string, names: ReadonlyArray<string>) => (error: Rbd.RbdError | RbdDiff.RbdDiffInvalid) =>
      error._tag === "RbdError" && error.code === "ETIMEDOUT"
        ? Effect.fail(notReady(error))
        : Effect.flatMap(
          disturbed(id, names),
          (reason) => reason === undefined ? notReady(error) : new SourceNotReady({ source, reason })
        )

    const snapshot = Effect.fnUntraced(function*(request: SnapshotRequest) {
      const { directory } = request
      const name = nameOf(request.revision)
      const noted = (yield* Effect.mapError(Notes.read(directory), notReady))
        .flatMap((line) => line.startsWith(`${source}@`) ? [line.slice(source.length + 1)] : [])
      const ours = new Set([...noted, ...[...request.complete, ...request.incomplete].map(nameOf), name])
      yield* rbd.closeStale(image, (one) => ours.has(one))
      const { id, indexInvalid } = Option.getOrUndefined(yield* Ref.getAndSet(seen, Option.none())) ?? (yield* look)

      // of runs that never became a revision; one that cannot be read now may be the next base when it can
      const ofRevisions = new Set([...request.complete, ...request.broken].map(nameOf))
      const stale = new Set([...ours].filter((one) => one !== name && !ofRevisions.has(one)))
      if (stale.size > 0) {
        const before = new Set((yield* refined(rbd.snapshots(image))).map((one) => one.name))
        yield* removeAll(directory, id, [...before].filter((one) => stale.has(one)))
        yield* forgetMissing(directory, noted.filter((one) => stale.has(one) && !before.has(one)))
      }
      const run: Run = { directory, id, noted: [...noted, name], ours, indexInvalid, listed: [] }
      let isPublished = false
      const keepsNone = settings.fullAlways === true
      // before the snapshot is made, so that nothing can come between making it and this
      yield* Effect.addFinalizer(() =>
        provided(inOwnFiber(
          isPublished
            ? settle(run, keepsNone ? undefined : name)
            // its note stays: it may be made only now
            : Effect.asVoid(Effect.timeoutOption(removeOne(id, name, Effect.void), TIDY_LIMIT))
        ))
      )
      yield* Effect.mapError(Notes.add(directory, Rbd.format(image, name)), notReady)
      yield* refined(take(image, name))

      const told = <A, R>(effect: Effect.Effect<A, Rbd.RbdError, R>) => Effect.catchAll(effect, explained(id, [name]))
      const all = yield* refined(rbd.snapshots(image))
      run.listed = all
      const to = all.find((one) => one.name === name)
      if (to === undefined) {
        return yield* new SourceNotReady({ source, reason: `snapshot ${name} is gone right after it was made` })
      }

      // not before it is needed: one that was open while the image was flattened reads zeros at its end
      const scope = yield* Effect.scope
      const reader = yield* Effect.cached(Scope.extend(told(rbd.open(image, name)), scope))
      const content: Changes = {
        _tag: "Changes",
        since: (bases) => Effect.sync(() => since(run, to, keepsNone ? [] : bases)),
        second: {
          _tag: "Samples",
          read: (offset, length) => Effect.flatMap(reader, ({ read }) => told(read(offset, length))),
          older: (revision) =>
            Effect.map(
              Effect.option(rbd.open(image, nameOf(revision))),
              (opened) =>
                Option.map(opened, ({ read }) => (offset: number, length: number) => refined(read(offset, length)))
            )
        }
      }
      return {
        size: to.size,
        content,
        published: Effect.sync(() => {
          isPublished = true
        })
      } satisfies Snapshot
    }, (effect) => effect.pipe(provided))

    /** From the newest base whose snapshot there still is. */
    const since = (run: Run, to: Rbd.SnapshotInfo, bases: ReadonlyArray<RevisionId>): Difference => {
      for (const base of bases) {
        const from = run.listed.find((one) => one.name === nameOf(base) && one.id < to.id)
        if (from === undefined) continue
        const wholeObject = !run.indexInvalid && mayAskWholeObjects(run.listed, from, to)
        return { base, changes: changes(run, from, to, wholeObject) }
      }
      return { base: undefined, changes: changes(run, undefined, to, false) }
    }

    const changes = (
      run: Run,
      from: Rbd.SnapshotInfo | undefined,
      to: Rbd.SnapshotInfo,
      wholeObject: boolean
    ): Stream.Stream<Change, SourceNotReady> => {
      const between = [to, ...from === undefined ? [] : [from]]
      const names = between.map(({ name }) => name)
      const { id } = run
      /**
       * A snapshot that is removed while the diff is made lets Ceph leave out changes, in silence. Where the snapshots
       * still are, under their ids, which no other image of the pool has, there is the image.
       */
      const undisturbed = Effect.gen(function*() {
        run.listed = yield* Effect.catchAll(rbd.snapshots(image), explained(id, names))
        const lost = between.find((one) => !run.listed.some(({ id, name }) => id === one.id && name === one.name))
        if (lost === undefined) return
        const reason = (yield* disturbed(id, [lost.name])) ?? `somebody replaced its snapshot ${lost.name}`
        return yield* new SourceNotReady({ source, reason })
      })
      const request: Rbd.DiffRequest = { from: from?.name, to: to.name, wholeObject }
      return rbd.diff(image, request).pipe(
        Stream.catchAll((error) => Stream.fromEffect(explained(id, names)(error))),
        Stream.mapChunksEffect((events) => {
          const header = Chunk.findFirst(events, (event) => event._tag === "Header")
          return Option.isSome(header) && header.value.size !== to.size
            ? new SourceNotReady({
              source,
              reason: `the diff is of an image of ${header.value.size} bytes, snapshot ${to.name} has ${to.size}`
            })
            : Effect.succeed(Chunk.filter(events, (event) => event._tag !== "Header"))
        }),
        Stream.concat(Stream.drain(Stream.fromEffect(undisturbed)))
      )
    }

    return Source.of({ name: source, check, snapshot })
  })
