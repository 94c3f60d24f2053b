/** Sizes, durations and instants as people write them. */
import * as DateTime from "effect/DateTime"
import { readlinkSync } from "node:fs"

const UNITS = ["KiB", "MiB", "GiB", "TiB", "PiB"]

/** A number of bytes with three significant digits, as `0 bytes`, `1 byte`, `4.00 MiB`, `237 GiB`. */
export const bytes = (count: number): string => {
  if (count < 1024) return count === 1 ? "1 byte" : `${count} bytes`
  let value = count
  let unit = -1
  // what would be rounded to 1024 is one of the next unit
  while (value >= 1023.5 && unit < UNITS.length - 1) {
    value /= 1024
    unit++
  }
  return `${value < 9.995 ? value.toFixed(2) : value < 99.95 ? value.toFixed(1) : value.toFixed(0)} ${UNITS[unit]}`
}

/** Seconds as `0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`. */
export const duration = (seconds: number): string => {
  if (seconds < 9.95) return `${Math.max(0, seconds).toFixed(1)} s`
  const whole = Math.round(seconds)
  if (whole < 60) return `${whole} s`
  if (whole < 3600) return pair(whole, 60, "min", 1, "s")
  const minutes = Math.round(whole / 60)
  if (minutes < 24 * 60) return pair(minutes, 60, "h", 1, "min")
  return pair(Math.round(minutes / 60), 24, "d", 1, "h")
}

const pair = (value: number, size: number, large: string, step: number, small: string): string => {
  const rest = Math.trunc((value % size) / step)
  return `${Math.trunc(value / size)} ${large}${rest === 0 ? "" : ` ${rest} ${small}`}`
}

/** Where the system says which zone it is in. */
const LOCALTIME = "/etc/localtime"

/**
 * The time zone in which this process shows times, by name; its present offset where it has none. Not asked of `Intl`:
 * that takes 60 ms, more than all the rest of a short command.
 */
export const zoneName = (): string => {
  const { TZ } = process.env
  if (TZ !== undefined && TZ !== "") return TZ.replace(/^:/, "")
  try {
    const [, name] = readlinkSync(LOCALTIME).split("/zoneinfo/")
    if (name !== undefined) return name.replace(/^Etc\/UTC$/, "UTC")
  } catch {
    // a file, or nothing at all
  }
  const minutes = -new Date().getTimezoneOffset()
  return minutes === 0
    ? "UTC"
    : `UTC${minutes < 0 ? "-" : "+"}${two(Math.abs(minutes) / 60)}:${two(Math.abs(minutes) % 60)}`
}

const two = (value: number): string => String(Math.trunc(value)).padStart(2, "0")

/** `2026-11-23 14:21:05` in the local zone; which one that is stands beside it once, not with every instant. */
export const localTime = (instant: DateTime.Utc): string => {
  const date = new Date(DateTime.toEpochMillis(instant))
  const day = `${String(date.getFullYear()).padStart(4, "0")}-${two(date.getMonth() + 1)}-${two(date.getDate())}`
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`
}
