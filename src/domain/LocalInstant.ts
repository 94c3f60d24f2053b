/**
 * A day or an instant as people write it, `2025-03-04` or `2025-03-04 02:10`, and the stretch of time that it means in
 * a zone: a day is all of that day, a minute all of that minute.
 */
import * as DateTime from "effect/DateTime"

/** A date, as precise as it was written. Without `offset` it is local. */
export interface LocalInstant {
  /** What the date and time would be in UTC, in milliseconds since 1970. */
  readonly wall: number
  readonly precision: Precision
  /** Minutes east of Greenwich, when the text named a zone. */
  readonly offset: number | undefined
}

/** The unit of the last part that was written. */
export type Precision = "day" | "minute" | "second" | "millisecond"

/** Milliseconds since 1970, both included. */
export interface Stretch {
  readonly from: number
  readonly to: number
}

/** How a date begins; `lastIndex` says where. It ends before a space, an operator of revision specs, or the end. */
export const PATTERN = new RegExp(
  [
    /(\d{4})-(\d\d)-(\d\d)/,
    /(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(?:(Z)|([-+])(\d\d):?(\d\d))?)?/,
    /(?=$|[\s,&()]|\.\.)/
  ].map((part) => part.source).join(""),
  "y"
)

const unit: Record<Precision, number> = { day: 86_400_000, minute: 60_000, second: 1000, millisecond: 1 }

/** The date that the parts of a match of `PATTERN` say, or undefined when there is no such day or time. */
export const fromMatch = (match: RegExpExecArray): LocalInstant | undefined => {
  const [year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0] = match.slice(1, 7).map((part) =>
    part === undefined ? undefined : Number(part)
  )
  const millis = Number((match[7] ?? "").slice(0, 3).padEnd(3, "0"))
  const date = new Date(0)
  date.setUTCFullYear(year, month - 1, day)
  const isDay = year > 0 && date.getUTCMonth() === month - 1 && date.getUTCDate() === day
  const isTime = hour < 24 && minute < 60 && second < 60
  const zone = match[8] === "Z" ? 0 : Number(match[10] ?? 0) * 60 + Number(match[11] ?? 0)
  if (!isDay || !isTime || zone >= 24 * 60) return undefined
  return {
    wall: date.getTime() + ((hour * 60 + minute) * 60 + second) * 1000 + millis,
    precision: (["day", "minute", "second", "millisecond"] as const)[
      // The hour, the second and the fraction are the groups that need not be there.
      [match[4], match[6], match[7]].filter((part) => part !== undefined).length
    ]!,
    offset: match[8] === "Z" || match[9] === "+" ? zone : match[9] === "-" ? -zone : undefined
  }
}

/** How the date is written, always in the same way. */
export const print = (instant: LocalInstant): string => {
  const iso = new Date(instant.wall).toISOString()
  const length: Record<Precision, number> = { day: 10, minute: 16, second: 19, millisecond: 23 }
  const text = iso.slice(0, length[instant.precision])
  if (instant.offset === undefined) return text
  const minutes = Math.abs(instant.offset)
  const zone = [Math.floor(minutes / 60), minutes % 60].map((part) => String(part).padStart(2, "0")).join(":")
  return `${text}${instant.offset < 0 ? "-" : "+"}${zone}`
}

/** What is meant, where `zone` is the zone of whoever wrote it. */
export const stretch = (instant: LocalInstant, zone: DateTime.TimeZone): Stretch => {
  const timeZone = instant.offset === undefined ? zone : DateTime.zoneMakeOffset(instant.offset * 60_000)
  const at = (wall: number, disambiguation: DateTime.Disambiguation): number =>
    DateTime.toEpochMillis(DateTime.unsafeMakeZoned(wall, { timeZone, adjustForTimeZone: true, disambiguation }))
  // When clocks are set back the same time comes twice: from the first one on, up to the second.
  return {
    from: at(instant.wall, "compatible"),
    to: at(instant.wall + unit[instant.precision], "later") - 1
  }
}
