/**
 * An RBD image in Ceph: a snapshot for each revision, of which the newest is kept as the start of the next increment.
 */
import type * as FileSystem from "@effect/platform/FileSystem"
import * as Chunk from "effect/Chunk"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { RevisionId } from "../domain/RevisionId.ts"
import type { BlockFile } from "../platform/BlockFile.ts"
import { inOwnFiber } from "../platform/inOwnFiber.ts"
import * as Rbd from "../platform/Rbd.ts"
import type * as RbdDiff from "../platform/RbdDiff.ts"
import * as Notes from "./snapshotNotes.ts"
import { type Change, type Changes, type Snapshot, type SnapshotRequest, Source, SourceNotReady } from "./Source.ts"

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

/** The source for an image. `take` is how snapshots of it are taken; otherwise `rbd snap create`. */
export const make = (settings: Settings, take: Take = plain): Effect.Effect<Source["Type"], never, Services> =>
  Effect.gen(function*() {
    const context = yield* Effect.context<Services>()
    const rbd = yield* Rbd.Rbd
    const image: Rbd.ImageName = { pool: settings.pool, image: settings.image }
    const source = Rbd.format(image)
    const provided = Effect.provide(context)
    const notReady = (error: { readonly message: string }) => new SourceNotReady({ source, reason: error.message })
    const refined = <A, R>(effect: Effect.Effect<A, Rbd.RbdError, R>) => Effect.mapError(effect, notReady)

    const check = Effect.gen(function*() {
      yield* Effect.mapError(
        rbd.info(image),
        (error) =>
          error.code === "ENOENT" ? new SourceNotReady({ source, reason: "there is no such image" }) : notReady(error)
      )
      yield* refined(rbd.checkReadable(image))
    })

    /** A snapshot that is not found: it is gone, or its image has no longer the name that it had. */
    const removeElsewhere = (id: string, name: string, error: Rbd.RbdError) =>
      Effect.gen(function*() {
        const found = yield* Effect.either(rbd.info(image))
        if (Either.isRight(found) && (found.right.id === id || id === "")) return
        if (id === "") return yield* error
        yield* rbd.removeSnapshotById(image.pool, id, name).pipe(
          Effect.catchIf(({ code }) => code === "ENOENT", () => Effect.void)
        )
      })

    /** Removes snapshots of ours, as many as can be: one that is protected or busy does not stop the others. */
    const removeAll = (directory: string, id: string, names: Iterable<string>) =>
      Effect.forEach(names, (name) =>
        rbd.removeSnapshot(image, name).pipe(
          Effect.catchIf(({ code }) => code === "ENOENT", (error) => removeElsewhere(id, name, error)),
          Effect.zipRight(Notes.remove(directory, Rbd.format(image, name))),
          Effect.catchAll((error) => Effect.logWarning(`left snapshot ${Rbd.format(image, name)}: ${error.message}`))
        ), { discard: true })

    /** After a revision was published: only its own snapshot is still of use, and notes only of what there is. */
    const settle = (directory: string, id: string, ours: ReadonlySet<string>, kept: string | undefined) =>
      Effect.gen(function*() {
        const present = new Set((yield* rbd.snapshots(image)).map(({ name }) => name))
        yield* removeAll(directory, id, [...present].filter((name) => ours.has(name) && name !== kept))
        for (const name of ours) if (!present.has(name)) yield* Notes.remove(directory, Rbd.format(image, name))
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
      const noted = yield* Effect.mapError(Notes.read(directory), notReady)
      const ours = new Set([
        ...noted.flatMap((line) => line.startsWith(`${source}@`) ? [line.slice(source.length + 1)] : []),
        ...[...request.complete, ...request.incomplete].map(nameOf)
      ])
      const isOurs = (one: string) => ours.has(one)
      yield* rbd.closeStale(image, isOurs)
      const { id } = yield* refined(rbd.info(image))

      // of runs that never became a revision
      const ofRevisions = new Set(request.complete.map(nameOf))
      const before = yield* refined(rbd.snapshots(image))
      yield* removeAll(
        directory,
        id,
        before.map((one) => one.name).filter((one) => isOurs(one) && !ofRevisions.has(one))
      )
      let isPublished = false
      const keepsNone = settings.fullAlways === true
      // before the snapshot is made, so that nothing can come between making it and this
      yield* Effect.addFinalizer(() =>
        provided(inOwnFiber(
          isPublished
            ? settle(directory, id, new Set([...ours, name]), keepsNone ? undefined : name)
            : Effect.asVoid(Effect.timeoutOption(removeAll(directory, id, [name]), TIDY_LIMIT))
        ))
      )
      yield* Effect.mapError(Notes.add(directory, Rbd.format(image, name)), notReady)
      yield* refined(take(image, name))

      const all = yield* refined(rbd.snapshots(image))
      const to = all.find((one) => one.name === name)
      if (to === undefined) {
        return yield* new SourceNotReady({ source, reason: `snapshot ${name} is gone right after it was made` })
      }

      const scope = yield* Effect.scope
      const told = <A, R>(effect: Effect.Effect<A, Rbd.RbdError, R>) => Effect.catchAll(effect, explained(id, [name]))
      const reader = yield* Effect.cached(Scope.extend(told(rbd.open(image, name)), scope))
      const content: Changes = {
        _tag: "Changes",
        since: (bases) => provided(since(id, to, keepsNone ? [] : bases)),
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
    const since = Effect.fnUntraced(function*(id: string, to: Rbd.SnapshotInfo, bases: ReadonlyArray<RevisionId>) {
      const all = yield* refined(rbd.snapshots(image))
      for (const base of bases) {
        const from = all.find((one) => one.name === nameOf(base) && one.id < to.id)
        if (from === undefined) continue
        const wholeObject = mayAskWholeObjects(all, from, to) &&
          !(yield* refined(rbd.info(image))).indexInvalid &&
          (yield* refined(rbd.hasWholeObject))
        return { base, changes: changes(id, { from: from.name, to: to.name, wholeObject }, to.size) }
      }
      return { base: undefined, changes: changes(id, { from: undefined, to: to.name, wholeObject: false }, to.size) }
    })

    const changes = (id: string, request: Rbd.DiffRequest, size: number): Stream.Stream<Change, SourceNotReady> => {
      const names = [request.to, ...request.from === undefined ? [] : [request.from]]
      // a snapshot that is removed while the diff is made lets Ceph leave out changes, in silence
      const undisturbed = Effect.flatMap(
        disturbed(id, names),
        (reason) => reason === undefined ? Effect.void : new SourceNotReady({ source, reason })
      )
      return rbd.diff(image, request).pipe(
        Stream.catchAll((error) => Stream.fromEffect(explained(id, names)(error))),
        Stream.mapChunksEffect((events) => {
          const header = Chunk.findFirst(events, (event) => event._tag === "Header")
          return Option.isSome(header) && header.value.size !== size
            ? new SourceNotReady({
              source,
              reason: `the diff is of an image of ${header.value.size} bytes, snapshot ${request.to} has ${size}`
            })
            : Effect.succeed(Chunk.filter(events, (event) => event._tag !== "Header"))
        }),
        Stream.concat(Stream.drain(Stream.fromEffect(undisturbed)))
      )
    }

    return Source.of({ name: source, check, snapshot })
  })
