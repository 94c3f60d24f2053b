/** What signals do to a command. Whoever is told to end has little time: systems follow with SIGKILL. */
import { constants } from "node:os"

/** Those whose default is to end a program, apart from faults of its own; 9 cannot be caught. */
const ENDING = [
  "SIGHUP",
  "SIGINT",
  "SIGQUIT",
  "SIGALRM",
  "SIGTERM",
  "SIGVTALRM",
  "SIGXCPU",
  "SIGIO",
  "SIGPWR",
  "SIGSTKFLT"
] as const

/** A signal that ends a command. */
export type Ending = typeof ENDING[number]

/** Tools send them to ask how far something is. Node would open its debugger for the one, and end by the other. */
export const ASKING = ["SIGUSR1", "SIGUSR2"] as const

/** How long a command may clean up, and the scheduler, whose children are commands. Milliseconds. */
export const LIMITS = { command: 7000, scheduler: 9000 }

/** The exit code of a command that a signal ended. */
export const codeOf = (signal: Ending): number => 128 + constants.signals[signal]

/** How signals reach a process, as `process` has it. */
export interface Signalled {
  readonly on: (signal: NodeJS.Signals, listener: () => void) => unknown
}

/**
 * Listens to all signals of this process. `end` is called at the first one that is to end it, `endAtOnce` at the second
 * one, and when `limit` is over before the process is gone. `ignored` are left to others.
 */
export const listen = (process: Signalled, options: {
  readonly end: (signal: Ending) => void
  readonly endAtOnce: (signal: Ending, why: "asked again" | "too late") => void
  readonly isIgnored: (signal: Ending) => boolean
  readonly limit: () => number
}): void => {
  let first: Ending | undefined
  for (const signal of ENDING) {
    process.on(signal, () => {
      if (options.isIgnored(signal)) return
      if (first !== undefined) return options.endAtOnce(signal, "asked again")
      first = signal
      setTimeout(() => options.endAtOnce(signal, "too late"), options.limit()).unref()
      options.end(signal)
    })
  }
  // who has something to tell listens, too; see progress.ts
  for (const signal of ASKING) process.on(signal, () => undefined)
}
