/**
 * The hot loops as a port: what is done to a batch of blocks. `layer` runs them in worker threads, `layerInline` on
 * the calling fiber over any `Disk`. Both run the same code (`BlockLoops`) and pass one contract suite.
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Disk } from "../platform/Disk.ts"
import * as Hash from "../platform/hash.ts"
import { IoError } from "../platform/IoError.ts"
import { failureOf } from "./blockFailure.ts"
import * as BlockLoops from "./BlockLoops.ts"
import { PIECE } from "./blockPieces.ts"
import type * as Protocol from "./BlockProtocol.ts"
import { DEFAULT_LEVEL } from "./codec.ts"
import { release } from "./release.ts"
import * as WorkerPool from "./WorkerPool.ts"

/** The source became shorter while it was read. */
export class SourceShrank extends Data.TaggedError("SourceShrank")<{
  readonly path: string
  /** The byte where it now ends. */
  readonly position: number
}> {
  override get message() {
    return `${this.path} became shorter while it was read: it ends at byte ${this.position}`
  }
}

type Fields<R extends Protocol.Request> = Omit<R, "op">

/**
 * What is done to a few blocks at a time. Bad chunks and differences are part of the answers; every method fails with
 * `IoError` when the disk does, those that read the source with `SourceShrank` when it ended early. A chunk is renamed
 * to its final name only after it was synced. An interrupt waits for the batch under way.
 */
export class Blocks extends Context.Tag("backy/store/Blocks")<Blocks, {
  /** Reads blocks of the source and stores what neither the base nor the repository has. */
  readonly store: (request: Fields<Protocol.Store>) => Effect.Effect<Protocol.Stored, IoError | SourceShrank>
  /** Compares stored blocks with a second reading of the source; heals damaged chunks that the source still has. */
  readonly compare: (request: Fields<Protocol.Compare>) => Effect.Effect<Protocol.Compared, IoError>
  /** Stores given chunks anew where the source still has their content at the same place. */
  readonly heal: (request: Fields<Protocol.Heal>) => Effect.Effect<Protocol.HealResult, IoError>
  /** Reads stored chunks and checks them against their names; an I/O error makes one `unreadable`. */
  readonly check: (request: Fields<Protocol.Check>) => Effect.Effect<Protocol.Checked, never>
  /** Writes checked chunks into an existing file or device. Nothing is synced: the caller holds the target open. */
  readonly restore: (request: Fields<Protocol.Restore>) => Effect.Effect<Protocol.Restored, IoError>
  /** Brings a file or device to what is held by writing what differs. Nothing is synced. */
  readonly amend: (request: Fields<Protocol.Amend>) => Effect.Effect<Protocol.Amended, IoError>
  /** The checked contents of chunks. */
  readonly read: (request: Fields<Protocol.Read>) => Effect.Effect<Protocol.ReadResult, never>
  /** Stores one chunk's content, which is given away. */
  readonly put: (request: Fields<Protocol.Put>) => Effect.Effect<Protocol.Stored, IoError>
  /** Stores blocks that a revision holds in another form as chunks of the current one, each checked. */
  readonly convert: (request: Fields<Protocol.Convert>) => Effect.Effect<Protocol.Converted, IoError>
  /** Compares what a revision holds with what is stored under other ids, byte by byte. */
  readonly confirm: (request: Fields<Protocol.Confirm>) => Effect.Effect<Protocol.Confirmed, never>
  /** Brings blocks of an image file to what the source has. Nothing is synced: the caller holds the file open. */
  readonly fill: (request: Fields<Protocol.Fill>) => Effect.Effect<Protocol.Stored, IoError | SourceShrank>
  /** Removes files of the repository, or only tells what they take. Nothing is synced. */
  readonly remove: (request: Fields<Protocol.Remove>) => Effect.Effect<Protocol.Removed, IoError>
  /** How many batches may usefully be under way at once. */
  readonly parallelism: number
  /** Which hash implementation is at work; `portable` deserves a warning, for it is slow. */
  readonly hash: Hash.HashKind
}>() {}

/** System calls as verb phrases, as people read them. */
const operations: Record<string, string> = {
  copyfile: "copy",
  fallocate: "punch a hole into",
  fchmod: "change the mode of",
  fdatasync: "sync",
  fstat: "examine",
  fsync: "sync",
  ftruncate: "truncate",
  lseek: "find data in",
  lstat: "examine",
  mkdir: "create directory",
  scandir: "list",
  unlink: "remove"
}

const toIoError = (failure: Protocol.Failure): Effect.Effect<never, IoError> => {
  switch (failure.tag) {
    case "io":
      return Effect.fail(
        new IoError({
          operation: operations[failure.operation] ?? failure.operation,
          path: failure.path,
          code: failure.code
        })
      )
    case "short":
      return Effect.die(new Error(`no reader of ${failure.path} was prepared for its end`))
    case "defect": {
      const defect = new Error(failure.message)
      if (failure.stack !== "") defect.stack = failure.stack
      return Effect.die(defect)
    }
  }
}

const toError = (failure: Protocol.Failure): Effect.Effect<never, IoError | SourceShrank> =>
  failure.tag === "short"
    ? Effect.fail(new SourceShrank({ path: failure.path, position: failure.position }))
    : toIoError(failure)

const make = (
  perform: WorkerPool.Perform,
  parallelism: number,
  hash: () => Hash.HashKind
): Context.Tag.Service<Blocks> => ({
  store: (request) => Effect.catchAll(perform({ op: "store", ...request }), toError),
  compare: (request) => Effect.catchAll(perform({ op: "compare", ...request }), toIoError),
  heal: (request) => Effect.catchAll(perform({ op: "heal", ...request }), toIoError),
  // reading chunks answers with `unreadable` instead of failing; what else goes wrong is a bug
  check: (request) => Effect.orDie(Effect.catchAll(perform({ op: "check", ...request }), toIoError)),
  restore: (request) => Effect.catchAll(perform({ op: "restore", ...request }), toIoError),
  amend: (request) => Effect.catchAll(perform({ op: "amend", ...request }), toIoError),
  read: (request) => Effect.orDie(Effect.catchAll(perform({ op: "read", ...request }), toIoError)),
  put: (request) => Effect.catchAll(perform({ op: "put", ...request }), toIoError),
  convert: (request) => Effect.catchAll(perform({ op: "convert", ...request }), toIoError),
  confirm: (request) => Effect.orDie(Effect.catchAll(perform({ op: "confirm", ...request }), toIoError)),
  fill: (request) => Effect.catchAll(perform({ op: "fill", ...request }), toError),
  remove: (request) => Effect.catchAll(perform({ op: "remove", ...request }), toIoError),
  parallelism,
  get hash() {
    return hash()
  }
})

export interface Settings {
  /** Number of worker threads. */
  readonly workers: number
  /** zstd level of the chunks that are written. */
  readonly level: number
  /** The worker's entry. */
  readonly entry: URL
  /** Whether the threads start at once, beside what the command has to prepare. Default: when they are needed. */
  readonly eager?: boolean
}

/** What the threads run; the bundled worker in the built program. */
export const workerEntry = new URL("./blockWorker.ts", import.meta.url)

/** Worker threads over the real disk, ended with the scope. */
export const layer = (settings: Settings): Layer.Layer<Blocks> =>
  Layer.scoped(
    Blocks,
    Effect.map(
      WorkerPool.make(settings.entry, settings.workers, { level: settings.level }, { eager: settings.eager ?? false }),
      // one batch under way and one waiting, so that no thread waits for the main one
      // only who asks for the hash has the native one loaded: most commands have nothing to hash
      (perform) => make(perform, settings.workers * 2, () => Hash.load().kind)
    )
  )

/** The same loops on the calling fiber, over any disk: for simulations, tests and embedding. */
export const layerInline = (disk: Disk, options?: {
  readonly hash?: Hash.Hash
  readonly level?: number
  /** In pieces of how many bytes the source is read where no whole block is needed. */
  readonly piece?: number
}): Layer.Layer<Blocks> =>
  Layer.sync(Blocks, () => {
    const { hash, hasher, kind } = options?.hash === undefined
      ? Hash.load()
      : { hash: options.hash, hasher: Hash.collecting(options.hash), kind: "portable" as const }
    const loops = BlockLoops.make({
      disk,
      hash,
      hasher,
      level: options?.level ?? DEFAULT_LEVEL,
      piece: options?.piece ?? PIECE,
      writer: "inline"
    })
    const perform: WorkerPool.Perform = (request) =>
      Effect.suspend(() => {
        try {
          return Effect.succeed(loops.perform(request))
        } catch (cause) {
          const failure = failureOf(cause)
          // the original defect says more than its translation
          return failure.tag === "defect" ? Effect.die(cause) : Effect.fail(failure)
        } finally {
          // as a thread would: who looks at it afterwards is found out
          if (request.op === "put") release(request.content)
        }
      })
    return make(perform, 1, () => kind)
  })
