/**
 * `Rbd` over the program of that name. Arguments are never seen by a shell; names are checked, so that none can be
 * taken for an option. `CEPH_CONF` and `CEPH_ARGS` reach the program through the environment.
 */
import type * as FileSystem from "@effect/platform/FileSystem"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { constants } from "node:os"
import type { BlockFile } from "../platform/BlockFile.ts"
import { Process, ProcessFailed, succeeded } from "../platform/Process.ts"
import * as Rbd from "../platform/Rbd.ts"
import * as RbdDiff from "../platform/RbdDiff.ts"
import { variable } from "../platform/variable.ts"
import * as Readers from "./rbdReader.ts"

/** Time limits. With the cluster down `rbd` itself waits for five minutes or for ever. */
export interface Limits {
  /** For questions, and for small changes. */
  readonly short: Duration.DurationInput
  /** For what can take long on a large volume: taking and removing snapshots, removing images. */
  readonly long: Duration.DurationInput
  /** For a stream that stands still. Finding the next change in a large image without an index takes minutes. */
  readonly stall: Duration.DurationInput
}

const defaultLimits: Limits = { short: "2 minutes", long: "30 minutes", stall: "15 minutes" }

/** Exit codes are errnos; 1 is what the option parser answers. */
const codeOf = (exitCode: number): string =>
  exitCode === 1
    ? "UNKNOWN"
    : Object.entries(constants.errno).find(([_, number]) => number === exitCode)?.[0] ?? "UNKNOWN"

/** The line that says most: messages of librbd's log carry a date, an empty line may follow. */
const lastWords = (stderr: string): string => {
  const lines = stderr.split(/[\r\n]+/).map((line) => line.trim()).filter((line) => line !== "")
  const own = lines.filter((line) => line.startsWith("rbd: ")).at(-1)?.slice("rbd: ".length)
  return (own ?? lines.at(-1) ?? "no reason was given").slice(0, 300)
}

/** That `rbd` looked for what it was asked about, and it is not there. */
const notThere =
  /error opening image|(delete|rename|export|export-diff|import) error: \(2\)|failed to (create|remove|rename) snapshot: \(2\)|error setting snapshot context: \(2\)/

/**
 * Exit code 2 alone says nothing: also who finds no configuration, no cluster, no pool or no namespace ends with it, and
 * then nobody knows whether an image or a snapshot is there.
 */
const whatIsMissing = (stderr: string): { readonly code: string; readonly detail: string } => {
  const [, pool] = /error opening pool '(.*)'/.exec(stderr) ?? []
  if (pool !== undefined) return { code: "ENOPOOL", detail: `there is no pool "${pool}"` }
  const [, namespace] = /namespace '(.*)' does not exist/.exec(stderr) ?? []
  if (namespace !== undefined) return { code: "ENOPOOL", detail: `the pool has no namespace "${namespace}"` }
  if (/couldn't connect to the cluster/.test(stderr)) {
    const [, config] = /can't open (.*): \(2\)/.exec(stderr) ?? []
    const detail = config === undefined
      ? "no cluster was found: the configuration of Ceph names no monitors that can be reached"
      : `no cluster was found, since there is no configuration of Ceph (${config}); CEPH_CONF may name one`
    return { code: "ENOTCONN", detail }
  }
  return { code: notThere.test(stderr) ? "ENOENT" : "UNKNOWN", detail: lastWords(stderr) }
}

/** What the failure of the program means. */
const rbdError = (operation: string, what: string, failed: ProcessFailed): Rbd.RbdError => {
  const error = (code: string, detail: string) => new Rbd.RbdError({ operation, what, code, detail })
  switch (failed.reason) {
    case "exit": {
      if (failed.exitCode !== constants.errno.ENOENT) {
        return error(codeOf(failed.exitCode ?? 1), lastWords(failed.stderr))
      }
      const { code, detail } = whatIsMissing(failed.stderr)
      return error(code, detail)
    }
    case "spawn":
      return failed.code === "ENOENT"
        ? error("ENOPKG", `there is no program ${failed.command}; Debian has it in the package ceph-common`)
        : error(failed.code ?? "UNKNOWN", failed.message)
    case "timeout":
      return error("ETIMEDOUT", "the cluster does not answer")
    default:
      return error("EIO", failed.message)
  }
}

const Truth = Schema.Union(Schema.Boolean, Schema.transformLiterals(["true", true], ["false", false]))

const Info = Schema.parseJson(Schema.Struct({
  id: Schema.optionalWith(Schema.String, { default: () => "" }),
  size: Schema.NonNegativeInt,
  flags: Schema.optionalWith(Schema.Array(Schema.String), { default: () => [] })
}))

const Snapshots = Schema.parseJson(Schema.Array(Schema.Struct({
  id: Schema.NonNegativeInt,
  name: Schema.String,
  size: Schema.NonNegativeInt,
  protected: Schema.optionalWith(Truth, { default: () => false })
})))

const Names = Schema.parseJson(Schema.Array(Schema.String))

const Watchers = Schema.parseJson(Schema.Struct({ watchers: Schema.Array(Schema.Struct({ address: Schema.String })) }))

/** Options for where images are. */
const placed = ({ namespace, pool }: Rbd.Place): ReadonlyArray<string> => [
  "--pool",
  pool,
  ...namespace === undefined ? [] : ["--namespace", namespace]
]

const make = (limits: Limits) =>
  Effect.gen(function*() {
    const process = yield* Process
    const program = yield* variable("BACKY_RBD", "rbd")

    const run = (operation: string, what: string, args: ReadonlyArray<string>, timeout: Duration.DurationInput) =>
      Effect.flatMap(
        process.run(program, args, { timeout }),
        (result) => succeeded(program, args, result)
      ).pipe(
        Effect.map(({ stdout }) => new TextDecoder().decode(stdout)),
        Effect.mapError((failed) => rbdError(operation, what, failed))
      )

    /** Runs `rbd` on an image or snapshot: the spec is the last argument. */
    const on = Effect.fnUntraced(function*(
      operation: string,
      args: ReadonlyArray<string>,
      image: Rbd.ImageName,
      snapshot: string | undefined,
      timeout: Duration.DurationInput
    ) {
      yield* Rbd.checkNames(operation, image, snapshot)
      const what = Rbd.format(image, snapshot)
      return yield* run(operation, what, [...args, what], timeout)
    })

    const decoded = <A>(schema: Schema.Schema<A, string>, operation: string, what: string) => (text: string) =>
      Effect.mapError(Schema.decode(schema)(text), () =>
        new Rbd.RbdError({
          operation,
          what,
          code: "EPROTO",
          detail: "the answer of rbd is not the JSON that was expected"
        }))

    const info = (image: Rbd.ImageName) =>
      on("look at", ["info", "--format", "json"], image, undefined, limits.short).pipe(
        Effect.flatMap(decoded(Info, "look at", Rbd.format(image))),
        Effect.map(({ flags, id, size }): Rbd.ImageInfo => ({ id, size, indexInvalid: flags.length > 0 }))
      )

    const readers = yield* Readers.make(run, limits.short)

    return Rbd.Rbd.of({
      info,
      snapshots: (image) =>
        on("list the snapshots of", ["snap", "ls", "--format", "json"], image, undefined, limits.short).pipe(
          Effect.flatMap(decoded(Snapshots, "list the snapshots of", Rbd.format(image))),
          Effect.map((all) =>
            all.map(({ id, name, protected: isProtected, size }) => ({ id, name, size, isProtected }))
              .sort((a, b) => a.id - b.id)
          )
        ),
      createSnapshot: (image, name) =>
        Effect.asVoid(on("make snapshot", ["snap", "create", "--no-progress"], image, name, limits.long)),
      removeSnapshot: (image, name) =>
        Effect.asVoid(on("remove snapshot", ["snap", "rm", "--no-progress"], image, name, limits.long)),
      removeSnapshotById: (place, id, name) =>
        Effect.gen(function*() {
          yield* Rbd.checkNames("remove snapshot", { ...place, image: id }, name)
          const what = `${name} of the image with id ${id} in pool ${Rbd.formatPlace(place)}`
          const args = ["snap", "rm", "--no-progress", ...placed(place), "--image-id", id, "--snap", name]
          yield* run("remove snapshot", what, args, limits.long)
        }),
      diff: (image, { from, to, wholeObject }) => {
        const what = Rbd.format(image, to)
        const args = [
          "export-diff",
          "--no-progress",
          ...(from === undefined ? [] : ["--from-snap", from]),
          ...(wholeObject ? ["--whole-object"] : []),
          what,
          "-"
        ]
        const bytes = process.stream(program, args, { lent: true }).pipe(
          Stream.mapError((failed) => rbdError("read", what, failed)),
          Stream.timeoutFail(
            () =>
              new Rbd.RbdError({ operation: "read", what, code: "ETIMEDOUT", detail: "the cluster does not answer" }),
            limits.stall
          )
        )
        return Stream.unwrap(Effect.as(Rbd.checkNames("read", image, from, to), RbdDiff.decode({ from, to })(bytes)))
      },
      open: (image, snapshot) =>
        Effect.zipRight(Rbd.checkNames("read", image, snapshot), readers.open(image, snapshot)),
      checkReadable: (image) => Effect.zipRight(Rbd.checkNames("read", image), readers.checkReadable(image)),
      closeStale: readers.closeStale,
      importImage: (image, content) =>
        Effect.gen(function*() {
          yield* Rbd.checkNames("make", image)
          const what = Rbd.format(image)
          const args = ["import", "--no-progress", "-", what]
          // how far it is, is seen by what it reads
          let moved = yield* Clock.currentTimeMillis
          const watched = Stream.tap(content, () => Effect.map(Clock.currentTimeMillis, (now) => void (moved = now)))
          const stall = Duration.toMillis(limits.stall)
          const stalled = Effect.gen(function*() {
            for (;;) {
              const left = moved + stall - (yield* Clock.currentTimeMillis)
              if (left <= 0) break
              yield* Effect.sleep(left)
            }
            return yield* new Rbd.RbdError({
              operation: "make",
              what,
              code: "ETIMEDOUT",
              detail: "the cluster does not answer"
            })
          })
          yield* process.run(program, args, { input: watched }).pipe(
            Effect.flatMap((result) => succeeded(program, args, result)),
            Effect.mapError((error) => error instanceof ProcessFailed ? rbdError("make", what, error) : error),
            Effect.raceFirst(stalled)
          )
        }),
      renameImage: (image, name) =>
        Effect.gen(function*() {
          yield* Rbd.checkNames("rename", { ...image, image: name })
          yield* Rbd.checkNames("rename", image)
          const what = Rbd.format(image)
          yield* run("rename", what, ["rename", what, Rbd.format({ ...image, image: name })], limits.short)
        }),
      images: (place) => {
        const what = Rbd.formatPlace(place)
        // any name would do: it is the pool's that is checked
        return Effect.zipRight(
          Rbd.checkNames("list the images of", { ...place, image: "any" }),
          run("list the images of", what, ["ls", "--format", "json", ...placed(place)], limits.short)
        ).pipe(Effect.flatMap(decoded(Names, "list the images of", what)))
      },
      watchers: (image) =>
        on("ask for users of", ["status", "--format", "json"], image, undefined, limits.short).pipe(
          Effect.flatMap(decoded(Watchers, "ask for users of", Rbd.format(image))),
          Effect.map(({ watchers }) => watchers.map(({ address }) => address))
        ),
      removeImage: (image) => Effect.asVoid(on("remove", ["rm", "--no-progress"], image, undefined, limits.long))
    })
  })

/** The program named by `BACKY_RBD`, or `rbd`. */
export const layer = (
  limits: Limits = defaultLimits
): Layer.Layer<Rbd.Rbd, never, Process | FileSystem.FileSystem | BlockFile> => Layer.effect(Rbd.Rbd, make(limits))
