/**
 * Reading a snapshot at any offset, which `rbd` itself cannot: through the kernel (`rbd map`) where it can, else through
 * `qemu-nbd`, our child on a unix socket, which ends with us even when we are killed.
 */
import * as FileSystem from "@effect/platform/FileSystem"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Nbd from "../nbd/Client.ts"
import { BlockFile } from "../platform/BlockFile.ts"
import { inOwnFiber } from "../platform/inOwnFiber.ts"
import { Process, type ProcessFailed } from "../platform/Process.ts"
import { format, type ImageName, RbdError, type Reader } from "../platform/Rbd.ts"
import { socketFolder } from "../platform/socketFolder.ts"
import { variable } from "../platform/variable.ts"

/** Runs `rbd` with these arguments. */
type Run = (
  operation: string,
  what: string,
  args: ReadonlyArray<string>,
  timeout: Duration.DurationInput
) => Effect.Effect<string, RbdError>

/** There when the kernel's module is; writable for those who may map. */
const KERNEL = "/sys/bus/rbd/add"

/** Which device shows which snapshot. Before Nautilus an object by number, since then an array. */
const Mapping = Schema.Struct({
  pool: Schema.String,
  namespace: Schema.optionalWith(Schema.String, { default: () => "" }),
  name: Schema.String,
  snap: Schema.String,
  device: Schema.String
})
const Mappings = Schema.parseJson(
  Schema.Union(Schema.Array(Mapping), Schema.Record({ key: Schema.String, value: Mapping }))
)

/** The mappings that `rbd showmapped --format json` tells. */
export const decodeMappings = (text: string): Option.Option<ReadonlyArray<typeof Mapping.Type>> =>
  Option.map(Schema.decodeOption(Mappings)(text), (found): ReadonlyArray<typeof Mapping.Type> => Object.values(found))

/**
 * What qemu has to be told of `CEPH_ARGS`, which it does not read: the user and the configuration file. Whatever else
 * stands there belongs into that file.
 */
export const qemuOptions = (cephArgs: string): ReadonlyArray<string> => {
  const words = cephArgs.split(/\s+/).flatMap((word) => {
    const [, option, value] = /^(--[a-z]+)=(.*)$/.exec(word) ?? []
    return option === undefined || value === undefined ? [word] : [option, value]
  })
  const options: Array<string> = []
  words.forEach((word, at) => {
    const value = words[at + 1]
    if (value === undefined) return
    if (word === "--id" || word === "--user") options.push(`file.user=${value}`)
    if (word === "-n" || word === "--name") options.push(`file.user=${value.replace(/^client\./, "")}`)
    if (word === "-c" || word === "--conf") options.push(`file.conf=${value}`)
  })
  return options
}

/** A value in qemu's list of options: a comma would end it. */
const escaped = (value: string): string => value.replaceAll(",", ",,")

/** The ways to read, over `rbd` as it is run; `limit` bounds every single step. */
export const make = (run: Run, limit: Duration.DurationInput) =>
  Effect.gen(function*() {
    const process = yield* Process
    const files = yield* FileSystem.FileSystem
    const blockFiles = yield* BlockFile
    const program = yield* variable("BACKY_QEMU_NBD", "qemu-nbd")
    const cephArgs = yield* variable("CEPH_ARGS", "")
    const path = yield* variable("PATH", "")

    const kernelCan = Effect.orElseSucceed(Effect.as(files.access(KERNEL, { writable: true }), true), () => false)

    const failed = (what: string, detail: string, code = "EIO") =>
      new RbdError({ operation: "read samples of", what, code, detail })

    const unmap = (device: string) => run("unmap", device, ["unmap", device], limit)

    /** Busy for a moment: udev looks at new devices. */
    const unmapPatiently = (device: string) =>
      unmap(device).pipe(
        Effect.retry({ while: ({ code }) => code === "EBUSY", times: 10, schedule: Schedule.spaced("1 second") }),
        Effect.catchAll((error) => Effect.logWarning(error.message))
      )

    const openMapped = Effect.fnUntraced(function*(what: string) {
      const device = yield* Effect.acquireRelease(
        Effect.map(run("map", what, ["map", "--read-only", what], limit), (text) => text.trim()),
        (device) => inOwnFiber(unmapPatiently(device))
      )
      const file = yield* Effect.mapError(
        blockFiles.open(device, { access: "read", follow: true }),
        (error) => failed(what, error.message, error.code)
      )
      return {
        read: Effect.fnUntraced(function*(offset, length) {
          const bytes = new Uint8Array(length)
          const count = yield* file.readAt(bytes, offset).pipe(
            Effect.timeoutFail({ duration: limit, onTimeout: () => failed(what, "no answer in time", "ETIMEDOUT") }),
            Effect.catchTag("IoError", (error) => failed(what, error.message, error.code))
          )
          return count === length ? bytes : yield* failed(what, `it ends at byte ${offset + count}`)
        })
      } satisfies Reader
    })

    const openNbd = Effect.fnUntraced(function*(image: ImageName, snapshot: string) {
      const what = format(image, snapshot)
      const directory = yield* Effect.mapError(
        files.makeTempDirectoryScoped({ directory: socketFolder(), prefix: "backy-" }),
        () => failed(what, `no directory for a socket could be made in ${socketFolder()}`)
      )
      const socket = `${directory}/nbd`
      const options = [
        "driver=raw",
        "file.driver=rbd",
        `file.pool=${escaped(image.pool)}`,
        ...(image.namespace === undefined ? [] : [`file.namespace=${escaped(image.namespace)}`]),
        `file.image=${escaped(image.image)}`,
        `file.snapshot=${escaped(snapshot)}`,
        ...qemuOptions(cephArgs).map(escaped)
      ]
      const args = [
        "--pdeathsig",
        "TERM",
        program,
        "--read-only",
        "--socket",
        socket,
        "--image-opts",
        options.join(",")
      ]
      // it serves until the scope ends: that it ends is always a failure
      const ended = yield* Deferred.make<never, RbdError>()
      yield* process.run("setpriv", args).pipe(
        Effect.exit,
        Effect.flatMap((exit) => Deferred.fail(ended, failed(what, reasonOf(program, exit)))),
        Effect.forkScoped
      )
      const client = yield* Nbd.connect(socket, limit).pipe(
        Effect.retry({
          while: ({ reason }) => /ENOENT|ECONNREFUSED/.test(reason),
          schedule: Schedule.spaced("10 millis")
        }),
        Effect.timeoutFail({ duration: limit, onTimeout: () => failed(what, "no answer in time", "ETIMEDOUT") }),
        Effect.catchTag("NbdError", ({ reason }) => failed(what, reason)),
        Effect.raceFirst(Deferred.await(ended))
      )
      return {
        read: (offset, length) => Effect.mapError(client.read(offset, length), ({ reason }) => failed(what, reason))
      } satisfies Reader
    })

    const open = (image: ImageName, snapshot: string): Effect.Effect<Reader, RbdError, Scope.Scope> =>
      Effect.flatMap(kernelCan, (can) =>
        can
          ? Effect.catchAll(openMapped(format(image, snapshot)), (error) =>
            // features that the kernel does not know are common
            Effect.zipRight(Effect.logDebug(error.message), openNbd(image, snapshot)))
          : openNbd(image, snapshot))

    const isFound = Effect.exists(
      program.includes("/") ? [program] : path.split(":").map((directory) => `${directory || "."}/${program}`),
      (file) => Effect.orElseSucceed(Effect.as(files.access(file), true), () => false)
    )

    const checkReadable = (image: ImageName) =>
      Effect.flatMap(Effect.if(kernelCan, { onTrue: () => Effect.succeed(true), onFalse: () => isFound }), (found) =>
        found ? Effect.void : failed(format(image), noProgram(program)))

    const closeStale = (image: ImageName, isOurs: (snapshot: string) => boolean) =>
      Effect.gen(function*() {
        if (!(yield* kernelCan)) {
          return
        }
        const text = yield* run("list", "mapped images", ["showmapped", "--format", "json"], limit)
        const mappings = decodeMappings(text)
        if (Option.isNone(mappings)) {
          return yield* failed("mapped images", "the answer of rbd showmapped is not the JSON that was expected")
        }
        const { namespace: ours = "" } = image
        for (const { device, name, namespace, pool, snap } of mappings.value) {
          const isImage = pool === image.pool && namespace === ours && name === image.image
          if (isImage && isOurs(snap)) {
            yield* unmapPatiently(device)
          }
        }
      }).pipe(Effect.catchAll((error) =>
        Effect.logWarning(error.message)
      ))

    return { open, checkReadable, closeStale }
  })

/** What samples are read with, where the kernel cannot. */
const NEEDED = "needs the packages qemu-utils and qemu-block-extra (Debian), or a kernel that can rbd map"

const noProgram = (program: string): string => `there is no program ${program}: comparing samples ${NEEDED}`

/** What to do about a server that ended, or never began. */
const reasonOf = (
  program: string,
  exit: Exit.Exit<{ readonly exitCode: number; readonly stderr: string }, ProcessFailed>
): string => {
  const failure = Exit.isFailure(exit) ? Option.getOrUndefined(Cause.failureOption(exit.cause)) : undefined
  const { exitCode, stderr } = Exit.isSuccess(exit) ? exit.value : { exitCode: -1, stderr: failure?.message ?? "" }
  // setpriv exits 127 when it cannot find what it is to run
  if (exitCode === 127 || failure?.code === "ENOENT") {
    return noProgram(program)
  }
  if (/Unknown driver|unknown protocol|Unknown protocol/.test(stderr)) {
    return `${program} cannot read RBD images: comparing samples ${NEEDED}`
  }
  const [last = "it gave no reason"] = stderr.trim().split("\n").slice(-1)
  return `${program} ended: ${last.slice(0, 300)}`
}
