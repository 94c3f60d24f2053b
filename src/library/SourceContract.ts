/**
 * What every source must do, as cases that the author of one runs in any test runner, with the real clock:
 *
 *     for (const { name, run } of SourceContract.cases({ provider, config, image, machine })) it.live(name, () => run)
 *
 * A case fails with `ContractBroken`, which says what was promised.
 */
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { defaultSchedule } from "../domain/JobConfig.ts"
import { fromRandom } from "../domain/RevisionId.ts"
import type { SourceConfig } from "../domain/SourceConfig.ts"
import * as Files from "../platform/Files.ts"
import { inOwnFiber } from "../platform/inOwnFiber.ts"
import * as Repository from "../repository/Repository.ts"
import type * as Registry from "../source/registry.ts"
import type { Change, Snapshot, Source } from "../source/Source.ts"
import * as ChunkStore from "../store/ChunkStore.ts"
import { make as makeService } from "./makeService.ts"
import type { Service } from "./Service.ts"
import type { Machine } from "./SimulatedMachine.ts"
import * as SnapshotBytes from "./snapshotBytes.ts"

/** The source does not keep a promise. */
export class ContractBroken extends Data.TaggedError("ContractBroken")<{
  readonly promise: string
  readonly reason: string
}> {
  override get message() {
    return `${this.promise}: ${this.reason}`
  }
}

/** A source in one situation. */
export interface Situation<Config extends SourceConfig = SourceConfig> {
  readonly config: Config
  /** Built for each case; what it was given, such as a disk, may be the same: `SimulatedMachine.layer({ programs })`, or `NodeMachine.layerWith({ workers: 1 })`. */
  readonly machine: Layer.Layer<Machine>
}

/** A source, and what a test of it knows. */
export interface Subject<Config extends SourceConfig = SourceConfig> extends Situation<Config> {
  readonly provider: Registry.Provider
  /** What a backup of the source must hold; at least two bytes. */
  readonly image: Uint8Array
  /** The same source, whose content is cut in the middle: a program that is killed, a connection that ends. */
  readonly cut?: Partial<Situation<Config>>
  /** The same source, when there is no image. */
  readonly missing?: Partial<Situation<Config>>
  /**
   * Names of what the source holds outside at this moment: snapshots, temporary files, programs that run. There must be
   * none when a snapshot was let go that no revision was published of.
   */
  readonly held?: Effect.Effect<ReadonlyArray<string>>
  /** A directory for the repositories of the cases, one each; its parent exists. Default: `/repository`. */
  readonly directory?: string
  /** How long a source may take to let go; a whole case may take four times as long. Default: 10 seconds. */
  readonly patience?: Duration.DurationInput
}

export interface Case {
  /** The promise. */
  readonly name: string
  readonly run: Effect.Effect<void, ContractBroken>
}

const CHUNK_SIZE = 4096

/** What is said of whatever went wrong. */
const reasonOf = (error: unknown): string =>
  typeof error === "string" ? error : error instanceof Error ? error.message : JSON.stringify(error)

/** The cases for a source. Those on `cut` and `missing` are left out when the subject has none. */
export const cases = <Config extends SourceConfig>(subject: Subject<Config>): ReadonlyArray<Case> => {
  const { held = Effect.succeed([]), image, provider } = subject
  const parent = subject.directory ?? "/repository"
  let count = 0
  const patience = Duration.decode(subject.patience ?? "10 seconds")

  /** Fails when this does not end by the real clock, also where it cannot be interrupted. */
  const inTime = <A, E, R>(
    work: Effect.Effect<A, E, R>,
    what: string,
    limit = patience
  ): Effect.Effect<A, E | string, R> =>
    Effect.gen(function*() {
      const fiber = yield* Effect.forkDaemon(work)
      const late = Effect.as(Effect.withClock(Effect.sleep(limit), Clock.make()), undefined)
      const exit = yield* inOwnFiber(Effect.raceFirst(Fiber.await(fiber), late))
      return exit === undefined
        ? yield* Effect.fail(`${what} does not end within ${Duration.format(limit)}`)
        : yield* exit
    })

  const promise = (
    name: string,
    test: (source: Source["Type"], service: Service) => Effect.Effect<void, unknown, Scope.Scope | Machine>,
    { config, machine }: Situation = subject
  ): Case => {
    const directory = `${parent}/${++count}`
    const whole = Effect.gen(function*() {
      yield* Files.ensureDirectory(parent, 0o750)
      const source = yield* provider.make(config)
      const service = yield* makeService([provider])
      yield* service.init({ source: config, schedule: defaultSchedule })
      yield* test(source, service)
    }).pipe(
      Effect.scoped,
      Effect.provide(
        Layer.mergeAll(
          Repository.layer(directory, { chunkSize: CHUNK_SIZE }),
          ChunkStore.layerFile(directory)
        ).pipe(Layer.provideMerge(machine))
      )
    )
    return {
      name,
      run: inTime(whole, "it", Duration.times(patience, 4)).pipe(
        Effect.mapError((error) => new ContractBroken({ promise: name, reason: reasonOf(error) })),
        Effect.catchAllDefect((defect) => new ContractBroken({ promise: name, reason: `it dies: ${reasonOf(defect)}` }))
      )
    }
  }

  const snapshotOf = (source: Source["Type"]) =>
    source.snapshot({
      revision: fromRandom(new Uint8Array(16)),
      directory: parent,
      complete: [],
      incomplete: [],
      broken: []
    })

  const require = (holds: boolean, reason: string) => holds ? Effect.void : Effect.fail(reason)

  const requireLetGo = Effect.flatMap(
    held,
    (names) => require(names.length === 0, `it still holds ${names.join(", ")}`)
  )

  /** The first piece of the content, then a reader that waits for ever. */
  const readABit = ({ content }: Snapshot, begun: Effect.Effect<void>) =>
    content._tag === "Readable"
      ? Effect.zipRight(content.dataExtents, Effect.zipRight(begun, Effect.never))
      : Effect.flatMap(content.since([]), ({ changes }) =>
        Stream.runForEach(changes, () => Effect.zipRight(begun, Effect.never)))

  /** The content until it fails or ends; where it did not fail, nobody could tell that it was cut. */
  const drained = ({ content, size }: Snapshot) =>
    content._tag === "Readable"
      ? Effect.asVoid(SnapshotBytes.read({ content, size, published: Effect.void }))
      : Effect.flatMap(content.since([]), ({ changes }: { readonly changes: Stream.Stream<Change, unknown> }) =>
        Stream.runDrain(changes))

  const restored = (service: Service) =>
    Effect.map(Stream.runCollect(service.restoreStream()), (pieces) => Uint8Array.from(Buffer.concat([...pieces])))

  const isImage = (bytes: Uint8Array): boolean => Buffer.compare(bytes, image) === 0

  const always = [
    promise(
      "check succeeds while there is an image, as often as it is asked, and holds nothing",
      (source) => Effect.zipRight(Effect.zipRight(source.check, source.check), requireLetGo)
    ),
    promise("a snapshot has the size and the bytes of the image, in both readings", (source) =>
      Effect.gen(function*() {
        const snapshot = yield* snapshotOf(source)
        yield* require(snapshot.size === image.length, `the image has ${image.length} bytes, not ${snapshot.size}`)
        const { first, second } = yield* SnapshotBytes.read(snapshot)
        yield* require(isImage(first), "the first reading gives other bytes")
        yield* require(isImage(second), "the second reading gives other bytes")
      })),
    promise(
      "a snapshot of which nothing was read is let go with its scope",
      (source) => Effect.zipRight(inTime(Effect.scoped(snapshotOf(source)), "letting go"), requireLetGo)
    ),
    promise("a snapshot is let go where nothing can be interrupted, as in a finalizer", (source) =>
      Effect.zipRight(
        inTime(Effect.uninterruptible(Effect.scoped(Effect.flatMap(snapshotOf(source), drained))), "letting go"),
        requireLetGo
      )),
    promise(
      "an interrupt in the middle of the content ends it, and nothing is left",
      (source) =>
        Effect.gen(function*() {
          const begun = yield* Deferred.make<void>()
          const fiber = yield* Effect.fork(
            Effect.scoped(
              Effect.flatMap(snapshotOf(source), (snapshot) => readABit(snapshot, Deferred.succeed(begun, undefined)))
            )
          )
          yield* inTime(Effect.raceFirst(Deferred.await(begun), Fiber.join(fiber)), "the first piece")
          yield* inTime(Fiber.interrupt(fiber), "an interrupted reader")
          yield* requireLetGo
        })
    ),
    promise("a backup is what the image is, and so is the next one", (_, service) =>
      Effect.gen(function*() {
        for (const count of [1, 2]) {
          yield* service.backup({ tags: ["daily"] })
          yield* require(isImage(yield* restored(service)), `revision ${count} restores to other bytes`)
        }
      })),
    promise(
      "a backup that was interrupted leaves no revision, and the next one needs no hand",
      (_, service) =>
        Effect.gen(function*() {
          const fiber = yield* Effect.fork(service.backup({ tags: ["daily"] }))
          yield* Effect.yieldNow()
          yield* inTime(Fiber.interrupt(fiber), "an interrupted backup")
          const exit = yield* Fiber.await(fiber)
          const { revisions } = yield* service.status()
          const complete = revisions.filter(({ isComplete }) => isComplete)
          yield* require(Exit.isSuccess(exit) || complete.length === 0, "there is a revision of an interrupted backup")
          yield* service.backup({ tags: ["daily"] })
          yield* require(isImage(yield* restored(service)), "the next revision restores to other bytes")
        })
    )
  ]
  const cut = subject.cut === undefined ? [] : [
    promise("content that is cut fails: it never looks complete", (source) =>
      Effect.gen(function*() {
        const exit = yield* Effect.exit(Effect.scoped(Effect.flatMap(snapshotOf(source), drained)))
        yield* require(Exit.isFailure(exit), "it ended as if it were whole")
        yield* requireLetGo
      }), { ...subject, ...subject.cut }),
    promise("a backup of content that is cut fails and makes no revision", (_, service) =>
      Effect.gen(function*() {
        const exit = yield* Effect.exit(service.backup({ tags: ["daily"] }))
        yield* require(Exit.isFailure(exit), "the backup succeeded")
        const { revisions } = yield* service.status()
        yield* require(revisions.length === 0, "there is a revision of it")
      }), { ...subject, ...subject.cut })
  ]
  const missing = subject.missing === undefined ? [] : [
    promise("check says that there is no image, and names the source", (source) =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(source.check)
        yield* require(error._tag === "SourceNotReady", `it fails with ${error._tag}`)
        yield* require(error.message.includes(source.name), `"${error.message}" does not name ${source.name}`)
      }), { ...subject, ...subject.missing })
  ]
  return [...always, ...cut, ...missing]
}
