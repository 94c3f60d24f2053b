/**
 * The text in a lock file that says who holds it. A courtesy: the lock is the kernel's, the text is believed only
 * while the lock is held.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as OS from "node:os"
import { basename } from "node:path"

/** What the user calls the program of this script: the files that backy is started by have other names. */
export const programName = (script: string): string => {
  const name = basename(script)
  return /^(start|main)\.[cm]?[jt]s$/.test(name) || name === "" ? "backy" : name
}

/** Who an exclusive holder says it is. */
export class LockOwner extends Context.Reference<LockOwner>()("backy/platform/LockOwner", {
  defaultValue: () => ({
    pid: process.pid,
    host: OS.hostname(),
    command: [programName(process.argv[1] ?? ""), ...process.argv.slice(2)].join(" ")
  })
}) {}

/** The longest text that is written into a lock file, or read from one, in bytes. */
export const MAX_HOLDER = 400

/** One line of ASCII: nothing in it can confuse a terminal. */
export const printable = (text: string, most: number): string =>
  text.replace(/[^\x20-\x7e]+/g, " ").replace(/ +/g, " ").trim().slice(0, most)

/** What this process writes: `pid host command since`. */
export const holderText: Effect.Effect<string> = Effect.map(
  Effect.all([LockOwner, Clock.currentTimeMillis]),
  ([{ command, host, pid }, now]) =>
    `${pid} ${printable(host, 64)} ${printable(command, 200)} ${new Date(now).toISOString()}`
)

/** Who a lock file names. */
export interface Holder {
  readonly pid: number
  readonly host: string
  /** As a user reads it: `backy -b /srv/backy/web01 backup daily, process 4711 on backup1, since 2026-11-23 …`. */
  readonly text: string
}

/** Reads a holder's text; `undefined` when it is none that backy writes. */
export const parseHolder = (bytes: Uint8Array): Holder | undefined => {
  const text = printable(new TextDecoder().decode(bytes.subarray(0, MAX_HOLDER)), MAX_HOLDER)
  const [, pid, host, rest = ""] = /^(\d+) (\S+) (.*\S)$/.exec(text) ?? []
  if (pid === undefined || host === undefined) return undefined
  const [, command, day, time] = /^(.+) (\d{4,}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?Z$/.exec(rest) ?? []
  const where = `process ${pid} on ${host}`
  return {
    pid: Number(pid),
    host,
    text: command === undefined ? `${where}, ${rest}` : `${command}, ${where}, since ${day} ${time} UTC`
  }
}
