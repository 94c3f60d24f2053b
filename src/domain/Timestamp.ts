/**
 * Instants as YAML writes them, `2025-03-04 02:10:00.199136+00:00`: Python's form, microseconds left out when 0.
 */
import * as DateTime from "effect/DateTime"
import * as Predicate from "effect/Predicate"

/** A plain YAML scalar that is an instant or a date; kept as text so that a rewrite changes nothing in it. */
export class Timestamp {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

/** An instant to the microsecond. Ours have milliseconds; the ancestor's rest is kept for the next rewrite. */
export interface Instant {
  readonly at: DateTime.Utc
  readonly microseconds: number
}

/** Whether the value is an instant. */
export const isInstant = (value: unknown): value is Instant =>
  Predicate.isRecord(value) && DateTime.isDateTime(value.at) && DateTime.isUtc(value.at) &&
  typeof value.microseconds === "number"

/** What YAML 1.1 takes for a timestamp when it is not quoted. */
export const PLAIN =
  /^\d{4}-\d\d?-\d\d?(?:(?:[Tt]|[ \t]+)\d\d?:\d\d:\d\d(?:\.\d*)?(?:[ \t]*(?:[Zz]|[-+]\d\d?(?::\d\d)?))?)?$/

const PARTS =
  /^(\d{4})-(\d\d?)-(\d\d?)(?:[Tt]|[ \t]+)(\d\d?):(\d\d):(\d\d)(?:\.(\d*))?[ \t]*(?:([Zz])|([-+])(\d\d?)(?::(\d\d))?)$/

/**
 * Reads an instant that names its zone. One without a zone is refused: everything in a repository is UTC and says so,
 * and guessing would shift a revision by hours.
 */
export const parse = (text: string): Instant | undefined => {
  const match = PARTS.exec(text)
  if (match === null) return undefined
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map(Number) as [
    // The expression has these six groups, and each is digits.
    number,
    number,
    number,
    number,
    number,
    number
  ]
  const local = new Date(0)
  // Not Date.UTC: it takes the years 0 to 99 for 1900 to 1999.
  local.setUTCFullYear(year, month - 1, day)
  local.setUTCHours(hour, minute, second)
  const isReal = local.getUTCMonth() === month - 1 && local.getUTCDate() === day && local.getUTCHours() === hour &&
    local.getUTCMinutes() === minute && local.getUTCSeconds() === second
  const zoneHours = Number(match[10] ?? 0)
  const zoneMinutes = Number(match[11] ?? 0)
  if (!isReal || year < 1 || zoneHours > 23 || zoneMinutes > 59) return undefined
  const offset = (match[9] === "-" ? -1 : 1) * (zoneHours * 60 + zoneMinutes) * 60_000
  const fraction = Number((match[7] ?? "").slice(0, 6).padEnd(6, "0"))
  const millis = local.getTime() - offset + Math.floor(fraction / 1000)
  return { at: DateTime.unsafeMake(millis), microseconds: fraction % 1000 }
}

/** How Python prints an instant in UTC, microseconds only when there are any. */
export const format = (at: DateTime.Utc, microseconds = 0): Timestamp => {
  const [date = "", time = ""] = DateTime.formatIso(at).slice(0, -1).split("T")
  const fraction = time.slice(time.indexOf(".") + 1) + String(microseconds).padStart(3, "0")
  const seconds = time.slice(0, time.indexOf("."))
  return new Timestamp(`${date} ${seconds}${fraction === "000000" ? "" : `.${fraction}`}+00:00`)
}
