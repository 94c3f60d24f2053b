/** Schemas for single values of a config, each with a sentence of its own; none of them repeats a value it must not. */
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"

const got = (actual: unknown): string => {
  if (typeof actual === "string") return `, got "${actual.slice(0, 40)}"`
  if (typeof actual === "number" || typeof actual === "bigint" || typeof actual === "boolean") return `, got ${actual}`
  return actual === null ? ", got nothing" : ""
}

const says = (expected: string) => ({
  message: (issue: ParseResult.ParseIssue) => ({ message: `expected ${expected}${got(issue.actual)}`, override: true })
})

/** A key that may be absent. */
export const maybe = <A, I>(schema: Schema.Schema<A, I>) => Schema.optionalWith(schema, { exact: true })

/** A value, or a key with nothing behind it, which counts as absent. Unlike a union it has one message, the value's. */
export const orNothing = <A, I>(schema: Schema.Schema<A, I>) =>
  Schema.transformOrFail(Schema.Unknown, Schema.UndefinedOr(Schema.typeSchema(schema)), {
    strict: true,
    decode: (input, options) =>
      input === null ? ParseResult.succeed(undefined) : ParseResult.decodeUnknown(schema)(input, options),
    encode: (value, options) =>
      value === undefined ? ParseResult.succeed(null) : ParseResult.encode(schema)(value, options)
  })

/** Text that is not empty and has no control characters. `what` names it in messages. */
export const text = (what: string) =>
  Schema.String.pipe(Schema.filter((value) => value !== "" && !/\p{Cc}/u.test(value))).annotations(says(what))

/** A text that is never shown: neither in messages nor in logs. */
export const secret = Schema.Redacted(
  Schema.NonEmptyString.annotations({ message: () => ({ message: "expected text", override: true }) })
).annotations({ message: () => ({ message: "expected text", override: true }) })

/** A whole number between two bounds, both included. */
export const wholeNumber = (min: number, max: number) =>
  Schema.Number.pipe(Schema.int(), Schema.between(min, max)).annotations(says(`a whole number from ${min} to ${max}`))

/** One of a few words. */
export const word = <const Words extends readonly [string, string, ...Array<string>]>(...words: Words) =>
  Schema.Literal(...words).annotations(says(`${words.slice(0, -1).join(", ")} or ${words.at(-1)}`))

const truths: Readonly<Record<string, boolean>> = { yes: true, on: true, no: false, off: false }

/** True or false; `yes`, `no`, `on` and `off` mean in YAML 1.1, which the ancestor reads, the same. */
export const flag = Schema.transformOrFail(Schema.Unknown, Schema.Boolean, {
  strict: true,
  decode: (input, _, ast) => {
    const value = typeof input === "string" ? truths[input.toLowerCase()] : input
    return typeof value === "boolean"
      ? ParseResult.succeed(value)
      : ParseResult.fail(new ParseResult.Type(ast, input, `expected true or false${got(input)}`))
  },
  encode: ParseResult.succeed
})
