/**
 * How backy works, as far as that is up to the user: in the daemon's config below `global`, in a repository's own
 * `config` below `settings`. Upstream knows none of it.
 */
import * as Duration from "effect/Duration"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import { maybe, text, wholeNumber, word } from "../domain/field.ts"
import { format, Interval, parse } from "../domain/Interval.ts"

/** Room to leave on the disk: so many bytes, or a share of it. */
export type FreeSpace =
  | { readonly _tag: "Bytes"; readonly bytes: number }
  | { readonly _tag: "Percent"; readonly percent: number }

const unit: Readonly<Record<string, number>> = { K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 }

const parseFreeSpace = (text: string): FreeSpace | undefined => {
  const [, digits, suffix = ""] = /^([0-9]{1,6}) ?(%|[KMGT](?:iB)?)$/.exec(text) ?? []
  if (digits === undefined) return undefined
  if (suffix !== "%") return { _tag: "Bytes", bytes: Number(digits) * unit[suffix.charAt(0)]! }
  return Number(digits) < 100 ? { _tag: "Percent", percent: Number(digits) } : undefined
}

const printFreeSpace = (space: FreeSpace): string => {
  if (space._tag === "Percent") return `${space.percent}%`
  const suffix = ["T", "G", "M"].find((suffix) => space.bytes % unit[suffix]! === 0) ?? "K"
  return `${space.bytes / unit[suffix]!}${suffix}iB`
}

const isFreeSpace = (input: unknown): input is FreeSpace =>
  typeof input === "object" && input !== null && "_tag" in input

const FreeSpace = Schema.transformOrFail(Schema.Unknown, Schema.declare(isFreeSpace), {
  strict: true,
  decode: (input, _, ast) => {
    const space = typeof input === "string" ? parseFreeSpace(input) : undefined
    return space === undefined
      ? ParseResult.fail(new ParseResult.Type(ast, input, "expected a size such as 10GiB, or a share such as 5%"))
      : ParseResult.succeed(space)
  },
  encode: (space) => ParseResult.succeed(printFreeSpace(space))
})

/** In how many backups, or in which time, something comes round. */
export type Rotation = number | Duration.Duration

const MAX_RUNS = 100_000

const isRotation = (input: unknown): input is Rotation => typeof input === "number" || Duration.isDuration(input)

const Rotation = Schema.transformOrFail(Schema.Unknown, Schema.declare(isRotation), {
  strict: true,
  decode: (input, _, ast) => {
    if (typeof input === "number" && Number.isInteger(input) && input >= 1 && input <= MAX_RUNS) {
      return ParseResult.succeed(input)
    }
    // a number alone is of backups, so a text has a unit
    const span = typeof input === "string" && !/^\d+$/.test(input) ? parse(input) : undefined
    return span === undefined
      ? ParseResult.fail(
        new ParseResult.Type(ast, input, "expected a number of backups such as 30, or a time such as 30d")
      )
      : ParseResult.succeed(span)
  },
  encode: (rotation) => ParseResult.succeed(Duration.isDuration(rotation) ? format(rotation) : rotation)
})

/** The keys, for schemas that have more. */
export const fields = {
  /** Modules that add source types. Only the operator's own config is believed about them. */
  plugins: maybe(Schema.Array(text("the path of a module"))),
  /** Worker threads; without it one for each core. */
  workers: maybe(wholeNumber(1, 256)),
  /** Of zstd. */
  compressionLevel: maybe(wholeNumber(1, 19)).pipe(Schema.fromKey("compression-level")),
  /** A run whose progress stands still for so long is ended. */
  stallTimeout: maybe(Interval).pipe(Schema.fromKey("stall-timeout")),
  /** In how many backups, or in which time, every block of an RBD image is compared with its source once. */
  verifyRotation: maybe(Rotation).pipe(Schema.fromKey("verify-rotation")),
  /** How much the scheduler's runs give way to others; the kernel derives their place at the disk from it, too. */
  nice: maybe(wholeNumber(0, 19)),
  /** The class of the scheduler's runs at the disk. */
  ionice: maybe(word("idle", "best-effort")),
  /** A backup does not begin when less than that is free. */
  freeSpaceFloor: maybe(FreeSpace).pipe(Schema.fromKey("free-space-floor"))
}

/** What the user set; whatever is absent is `defaults`'s, or left to whoever needs it. */
export const Settings = Schema.Struct(fields)
export type Settings = typeof Settings.Type

/** What holds when the user says nothing. */
export const defaults = {
  compressionLevel: 1,
  nice: 10,
  stallTimeout: Duration.minutes(30),
  verifyRotation: 30
} satisfies Settings
