/**
 * The text in a lock file that says who holds it. A courtesy: the lock is the kernel's, the text is believed only
 * while the lock is held.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as OS from "node:os"
import { basename } from "node:path"

/** Who an exclusive holder says it is. */
export class LockOwner extends Context.Reference<LockOwner>()("backy/platform/LockOwner", {
  defaultValue: () => ({
    pid: process.pid,
    host: OS.hostname(),
    command: [basename(process.argv[1] ?? "backy"), ...process.argv.slice(2)].join(" ")
  })
}) {}

/** The longest text that is written into a lock file, or read from one, in bytes. */
export const MAX_HOLDER = 400

/** One line of ASCII: nothing in it can confuse a terminal. */
const printable = (text: string, most: number): string =>
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
  readonly text: string
}

/** Reads a holder's text; `undefined` when it is none that backy writes. */
export const parseHolder = (bytes: Uint8Array): Holder | undefined => {
  const text = printable(new TextDecoder().decode(bytes.subarray(0, MAX_HOLDER)), MAX_HOLDER)
  const [, pid, host] = /^(\d+) (\S+) .*\S$/.exec(text) ?? []
  return pid === undefined || host === undefined ? undefined : { pid: Number(pid), host, text }
}
