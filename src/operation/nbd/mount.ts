/** A revision as a file, or as a directory with the files in it, by the programs of others. */
import * as FileSystem from "@effect/platform/FileSystem"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import type { RevisionId } from "../../domain/RevisionId.ts"
import { type Export, joined } from "../../nbd/Export.ts"
import { Devices } from "../../platform/Devices.ts"
import { fromPlatform } from "../../platform/IoError.ts"
import * as Process from "../../platform/Process.ts"
import { outsideRepository } from "../outsideRepository.ts"
import { readTable } from "./partitionTable.ts"
import { serve } from "./serve.ts"

/** What is to be seen at a directory cannot be shown there. */
export class MountFailed extends Data.TaggedError("MountFailed")<{
  readonly path: string
  readonly reason: string
}> {
  override get message() {
    return `cannot mount at ${this.path}: ${this.reason}`
  }
}

/** What is mounted until the scope ends. `size` in bytes, of the image. */
export interface Mounted {
  readonly revision: RevisionId
  readonly size: number
  /** The image's file, or the directory in which the file system is. */
  readonly path: string
  /** Ends when somebody else has unmounted it. */
  readonly ended: Effect.Effect<void>
}

/** What the image is called in its directory. */
const IMAGE = "image"

/** How long programs may take that should be done at once. */
const PATIENCE = Duration.seconds(30)
/** How often it is looked whether the file is there. */
const GLANCE = Duration.millis(20)

/**
 * What the kernel must be told for file systems that were in use when they were backed up: not to write, not even what
 * their journals hold, and not to mind that the guest's own is mounted, too.
 */
const QUIET: Readonly<Record<string, ReadonlyArray<string>>> = {
  ext2: [],
  ext3: ["noload"],
  ext4: ["noload"],
  xfs: ["norecovery", "nouuid"],
  btrfs: ["rescue=nologreplay"]
}

/** Where programs come from, for who does not have them. */
const PACKAGES: Readonly<Record<string, string>> = {
  nbdfuse: "nbdfuse (Debian, Ubuntu) or libnbd (others)",
  mount: "mount (util-linux)",
  umount: "mount (util-linux)",
  blkid: "util-linux"
}

const whyNot = (error: Process.ProcessFailed): string =>
  error.reason === "spawn" && error.code === "ENOENT"
    ? `the program ${error.command} is missing; it is in the package ${PACKAGES[error.command] ?? error.command}`
    : error.message

/** The directory must be there, be empty, and lie outside of the repository. */
const checkDirectory = Effect.fnUntraced(function*(path: string) {
  const refuse = (reason: string) => new MountFailed({ path, reason })
  const system = yield* FileSystem.FileSystem
  const real = yield* outsideRepository(path, refuse)
  const names = yield* Effect.mapError(system.readDirectory(real), (error) => refuse(fromPlatform(error, path).message))
  if (names.length > 0) return yield* refuse("the directory is not empty")
  return real
})

/** A program that has to succeed. */
const call = (path: string, command: string, args: ReadonlyArray<string>) =>
  Effect.mapError(
    Process.output(command, args, { timeout: PATIENCE }),
    (error) => new MountFailed({ path, reason: whyNot(error) })
  )

/** Takes away what is mounted at a directory, if something is; what is in use goes as soon as it is not any more. */
const unmount = (directory: string) =>
  Effect.gen(function*() {
    const devices = yield* Devices
    if (!(yield* devices.isMountPoint(directory))) return
    yield* Process.output("umount", [directory], { timeout: PATIENCE }).pipe(
      Effect.catchAll(() => Process.output("umount", ["--lazy", directory], { timeout: PATIENCE }))
    )
  }).pipe(Effect.catchAll(({ message }) => Effect.logWarning(`${directory} is still mounted: ${message}`)))

/** Shows the disk as a file of a directory until the scope ends. */
const showFile = Effect.fnUntraced(function*(path: string, directory: string, temporary: string, uri: string) {
  const system = yield* FileSystem.FileSystem
  const process = yield* Process.Process
  const pid = `${temporary}/nbdfuse.pid`
  const args = ["--readonly", "--pidfile", pid, `${directory}/${IMAGE}`, uri]
  yield* Effect.addFinalizer(() => unmount(directory))
  const running = yield* Effect.forkScoped(process.run("nbdfuse", args))
  const isReady = Effect.orElseSucceed(system.exists(pid), () => false)
  const hasEnded = Effect.flatMap(
    Fiber.join(running),
    ({ stderr }) => Effect.fail({ reason: `nbdfuse has ended${stderr.trim() === "" ? "" : `: ${stderr.trim()}`}` })
  ).pipe(
    Effect.mapError((error) => new MountFailed({ path, reason: "_tag" in error ? whyNot(error) : error.reason }))
  )
  yield* Effect.raceFirst(
    Effect.repeat(isReady, { until: (ready) => ready, schedule: Schedule.spaced(GLANCE) }),
    hasEnded
  )
  return Effect.asVoid(Fiber.await(running))
})

/** The part of a disk that a number means; 0 is the whole. */
const partitionOf = Effect.fnUntraced(function*(path: string, disk: Export, number: number) {
  if (number === 0) return { offset: 0, length: disk.size }
  const { partitions } = yield* readTable(
    (offset, length) => Effect.map(disk.read(offset, length), (pieces) => joined(pieces, length)),
    disk.size
  ).pipe(
    Effect.mapError(({ message }) =>
      new MountFailed({ path, reason: `the partition table cannot be read: ${message}` })
    )
  )
  const found = partitions.find((partition) => partition.number === number)
  if (found !== undefined) return found
  const others = partitions.length === 0
    ? "the image has none; 0 is the whole of it"
    : `the image has ${partitions.map((partition) => partition.number).join(", ")}`
  return yield* new MountFailed({ path, reason: `there is no partition ${number}: ${others}` })
})

/** Mounts a part of an image file, read-only, until the scope ends. */
const mountPart = Effect.fnUntraced(function*(
  path: string,
  directory: string,
  image: string,
  { length, offset }: { readonly offset: number; readonly length: number }
) {
  const probe = ["--probe", "--offset", String(offset), "--size", String(length), "-s", "TYPE", "-o", "value", image]
  const type = (yield* Effect.orElseSucceed(call(path, "blkid", probe), () => "")).trim()
  const options = [
    "ro",
    "nosuid",
    "nodev",
    "noexec",
    "loop",
    `offset=${offset}`,
    `sizelimit=${length}`,
    ...Object.hasOwn(QUIET, type) ? QUIET[type] ?? [] : []
  ]
  yield* Effect.addFinalizer(() => unmount(directory))
  yield* call(path, "mount", [
    ...type === "" ? [] : ["-t", type],
    "-o",
    options.join(","),
    image,
    directory
  ])
})

/**
 * Shows a revision until the scope ends: as the file `image` of a directory, or with `partition` (0: the whole image) as
 * the file system that is on it, read-only, which only root may do and which lets the kernel read what the guest wrote.
 * Every byte is checked as `serve` does it. Fails with `MountFailed` and with what `serve` fails with.
 */
export const mount = Effect.fn("mount")(function*(options: {
  readonly revision: string
  /** It must be empty. */
  readonly directory: string
  readonly partition?: number
  readonly wait: Duration.Duration
}) {
  const { directory: path, partition, revision, wait } = options
  const system = yield* FileSystem.FileSystem
  const directory = yield* checkDirectory(path)
  const temporary = yield* Effect.mapError(
    system.makeTempDirectoryScoped({ prefix: "backy-" }),
    (error) => fromPlatform(error)
  )
  const serving = yield* serve({ revision, wait, address: { _tag: "Unix", path: `${temporary}/nbd` } })
  const report = { revision: serving.revision, size: serving.size }
  if (partition === undefined) {
    const ended = yield* showFile(path, directory, temporary, serving.uri)
    return { ...report, path: `${path}/${IMAGE}`, ended } satisfies Mounted
  }
  const part = yield* partitionOf(path, serving.disk, partition)
  const folder = `${temporary}/image`
  yield* Effect.mapError(system.makeDirectory(folder, { mode: 0o700 }), (error) => fromPlatform(error, folder))
  const ended = yield* showFile(path, folder, temporary, serving.uri)
  yield* mountPart(path, directory, `${folder}/${IMAGE}`, part)
  return { ...report, path, ended } satisfies Mounted
})
