/**
 * Spans of time as people write them in a config: `6h`, `1d`, `90s`. Whole seconds, at least one, at most a century.
 */
import * as Duration from "effect/Duration"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"

const secondsOf: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 }

/** Beyond it arithmetic with instants stays exact, but nobody means it. */
const MAX_SECONDS = 36_525 * 86_400

/**
 * The span that the text says: a whole number and one of `s m h d w`, or a whole number of seconds alone, as the
 * ancestor takes it. Undefined for everything else, also for nothing and for more than a century.
 */
export const parse = (text: string): Duration.Duration | undefined => {
  const match = /^([0-9]{1,10})([smhdw]?)$/.exec(text)
  if (match === null) return undefined
  const seconds = Number(match[1]) * (secondsOf[match[2]!] ?? 1)
  return seconds > 0 && seconds <= MAX_SECONDS ? Duration.seconds(seconds) : undefined
}

/** The shortest way to write a span in days, hours, minutes or seconds; parts of a second are left out. */
export const format = (span: Duration.Duration): string => {
  const seconds = Math.floor(Duration.toSeconds(span))
  const unit = ["d", "h", "m"].find((unit) => seconds % secondsOf[unit]! === 0) ?? "s"
  return seconds === 0 ? "0s" : `${seconds / secondsOf[unit]!}${unit}`
}

/** Decodes a span from a config, with a sentence on what is expected. */
export const Interval = Schema.transformOrFail(
  Schema.Unknown,
  Schema.DurationFromSelf,
  {
    strict: true,
    decode: (input, _, ast) => {
      const span = typeof input === "string" ? parse(input) : undefined
      return span === undefined
        ? ParseResult.fail(new ParseResult.Type(ast, input, complaint(input)))
        : ParseResult.succeed(span)
    },
    encode: (span) => ParseResult.succeed(format(span))
  }
).annotations({ identifier: "Interval" })

const complaint = (input: unknown): string => {
  const expected = "expected a duration such as 6h, 1d or 2w"
  if (typeof input === "number") {
    return `${expected}, got ${input}${parse(String(input)) === undefined ? "" : ` without a unit (write ${input}s)`}`
  }
  if (typeof input !== "string") return expected
  return `${expected}${/^[1-9][0-9]*[smhdw]?$/.test(input) ? ", at most a century" : ""}, got "${input.slice(0, 40)}"`
}
