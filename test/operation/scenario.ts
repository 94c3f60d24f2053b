/** What tests of operations do with the in-memory world: an image changes, time passes, disks fail. */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Logger from "effect/Logger"
import * as Random from "effect/Random"
import * as TestClock from "effect/TestClock"
import * as Revision from "../../src/domain/Revision.ts"
import * as Trust from "../../src/domain/Trust.ts"
import * as Devices from "../../src/platform/Devices.ts"
import type { Disk } from "../../src/platform/Disk.ts"
import { errnoError } from "../../src/platform/errno.ts"
import * as FileLock from "../../src/platform/FileLock.ts"
import * as Hash from "../../src/platform/hash.ts"
import type { MemoryDisk, MemoryDiskOptions } from "../../src/platform/MemoryDisk.ts"
import { isTemporary } from "../../src/platform/temporaryName.ts"
import { Repository } from "../../src/repository/Repository.ts"
import { pathOf } from "../../src/store/chunkFile.ts"
import { listOf } from "../support/diskFiles.ts"
import { backup, CHUNK, IMAGE, layerOn, makeDisk, REPOSITORY, type restored, setFile } from "../support/World.ts"

/** One simulated machine, and what was logged on it. */
export interface Scene {
  readonly memory: MemoryDisk
  readonly disk: Disk
  readonly log: Array<string>
  /** Who has locked what, and what is known of devices. */
  readonly locks: FileLock.LockTable
  readonly devices: Devices.DeviceTable
}

/** The moment at which every scene begins. */
const START = new Date("2026-03-01T02:10:00Z")

/** Runs a test on a machine of its own. Ids are the same in every run. */
export const inScene = <A, E>(
  test: (
    scene: Scene
  ) => Effect.Effect<A, E, Effect.Effect.Context<ReturnType<typeof backup> | ReturnType<typeof restored>>>,
  options?: MemoryDiskOptions
): Effect.Effect<A, E> =>
  Effect.suspend(() => {
    const memory = makeDisk(options)
    const log: Array<string> = []
    const locks = FileLock.makeTable()
    const devices = Devices.makeTable()
    const logger = Logger.make(({ logLevel, message }) => {
      log.push(`${logLevel.label} ${[message].flat().map(String).join(" ")}`)
    })
    return Effect.zipRight(TestClock.setTime(START), test({ memory, disk: memory.disk, log, locks, devices })).pipe(
      Effect.provide(layerOn(memory.disk, locks, devices)),
      Effect.provide(Logger.add(logger)),
      Effect.withRandom(Random.make("scene"))
    )
  })

/** An image of blocks that are filled with these bytes; 0 is a hole. */
export const blocks = (...bytes: ReadonlyArray<number>): Uint8Array =>
  join(...bytes.map((byte) => new Uint8Array(CHUNK).fill(byte)))

export const join = (...parts: ReadonlyArray<Uint8Array>): Uint8Array => Uint8Array.from(Buffer.concat(parts))

/** Makes the source hold this image, in place. */
export const setImage = ({ disk }: Scene, image: Uint8Array): void => setFile(disk, IMAGE, image)

/** A day later the source holds this image and is backed up, also when it holds far less than before. */
export const backupOf = (scene: Scene, image: Uint8Array, tags?: ReadonlyArray<string>) =>
  Effect.zipRight(
    Effect.zipRight(TestClock.adjust(Duration.days(1)), Effect.sync(() => setImage(scene, image))),
    backup(tags, { acceptShrink: true })
  )

/** Where the chunk of a block lies. */
export const chunkOf = (content: Uint8Array): string => pathOf(REPOSITORY, hexOf(content))

export const hexOf = (content: Uint8Array): string => Hash.toHex(Hash.portable(content))

/** Replaces a file by what is made of its bytes, as a bad medium or a bad tool would. */
export const tamper = ({ memory }: Scene, path: string, change: (bytes: Uint8Array) => Uint8Array): void =>
  memory.plantFile(path, change(memory.bytesAt(path)), 0o440)

/** One bit is wrong. */
export const flipBit = (bytes: Uint8Array): Uint8Array => {
  const flipped = Uint8Array.from(bytes)
  const middle = bytes.length >> 1
  flipped[middle] = (flipped[middle] ?? 0) ^ 1
  return flipped
}

/** The ways in which a chunk's file goes bad while a file of that name stays. */
export const damages: Record<string, (bytes: Uint8Array) => Uint8Array> = {
  "one bit flipped": flipBit,
  "torn in the middle": (bytes) => bytes.slice(0, bytes.length >> 1),
  empty: () => new Uint8Array(0),
  "followed by something": (bytes) => join(bytes, new Uint8Array(1)),
  "far too long": () => new Uint8Array(10 * CHUNK + 64 * 1024).fill(7),
  "no zstd at all": () => new TextEncoder().encode("something else")
}

/** Lets the calls fail for which `which` names an errno. */
export const failWhere = (
  { memory }: Pick<Scene, "memory">,
  which: (name: keyof Disk, path: string) => string | undefined
): void => {
  memory.onOperation = (_, name, path) => {
    const code = which(name, path)
    if (code !== undefined) throw errnoError(code, name, path)
  }
}

/** The disk is well again. */
export const heal = ({ memory }: Pick<Scene, "memory">): void => {
  memory.onOperation = undefined
}

/** Does something once, at the moment when the map of a new revision is published: between the two readings. */
export const betweenReadings = ({ memory }: Scene, act: () => void): void => {
  memory.onOperation = (_, name, path) => {
    if (name !== "rename" || !/\/\.[0-9A-Za-z]{22}\.[0-9a-z]{12}\.tmp$/.test(path)) return
    memory.onOperation = undefined
    act()
  }
}

/** All files below a directory, without the directory's name. */
export const filesBelow = ({ disk }: Scene, directory: string = REPOSITORY): ReadonlyArray<string> => {
  const below = (path: string): ReadonlyArray<string> =>
    listOf(disk, path).flatMap((name) =>
      disk.lstat(`${path}/${name}`).kind === "directory" ? below(`${path}/${name}`) : [`${path}/${name}`]
    )
  return below(directory).map((path) => path.slice(directory.length + 1))
}

/** Names of the chunks in the repository. */
export const chunkFiles = (scene: Scene): ReadonlyArray<string> =>
  filesBelow(scene).filter((path) => path.endsWith(".chunk.zst"))

/** Revisions and maps: what a backup publishes besides chunks. */
export const published = (scene: Scene): ReadonlyArray<string> =>
  listOf(scene.disk, REPOSITORY).filter((name) => /^[0-9A-Za-z]{22}(\.rev)?$/.test(name))

export const temporaryFiles = (scene: Scene): ReadonlyArray<string> =>
  filesBelow(scene).filter((path) => isTemporary(path.split("/").at(-1) ?? ""))

/** The history as it is on disk now. */
export const history = Effect.flatMap(Repository, (repository) => repository.history)

/** Trust of the complete revisions, oldest first. */
export const trusts = Effect.map(history, ({ complete }) => complete.map(({ trust }) => trust))

/** The complete revision of an id. */
export const revisionOf = (id: string) =>
  Effect.flatMap(history, ({ complete }) => Effect.fromNullable(complete.find((revision) => revision.id === id)))

/** The error that an effect fails with; a success, a defect or an interruption fails the test. */
export const failureOf = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<E, never, R> =>
  Effect.flatMap(Effect.exit(effect), (exit) =>
    Exit.isSuccess(exit)
      ? Effect.dieMessage("it succeeded")
      : Effect.orDieWith(Effect.flip(Effect.failCause(exit.cause)), () => new Error("unreachable")))

export const zero = Duration.zero

/** A revision as it is before its backup has come to an end. */
export const begun = (revision: Revision.Revision): Revision.Revision =>
  Revision.update(revision, {
    stats: {},
    size: undefined,
    mapDigest: undefined,
    verification: undefined,
    accepted: undefined
  })

/** Distrusts a revision as an operation of another kind would. */
export const distrustAs = (id: string, reason: Revision.DistrustReason) =>
  Effect.gen(function*() {
    const repository = yield* Repository
    const at = yield* DateTime.now
    yield* repository.publish(Trust.distrust(yield* revisionOf(id), { reason, at }))
  })
