/** What a backup program is asked to do, in the order of a run. */
import type { Command } from "./measure.ts"

/** The programs and their repositories. Each method gives the command; `undefined`: it has nothing of the kind. */
export interface Tool {
  readonly name: string
  /** What it writes to. */
  readonly repository: string
  /** Makes an empty repository. */
  readonly begin: () => void
  /** Backs the image up as the `turn`th revision, 1 for the first. */
  readonly backup: (turn: number) => Command
  /** Restores the newest revision into a file in a folder that is empty; tells where the file will be. */
  readonly restore: (folder: string) => { readonly command: Command; readonly path: string }
  /** Restores the newest revision to standard output. */
  readonly stdout: () => Command
  readonly verify: () => Command
  /** Gives the oldest revision up, before `purge`. */
  readonly forget: () => void
  readonly purge: () => Command
  readonly status: () => Command
  readonly help: () => Command
}

/** The operations that are measured. */
export const operations = [
  "first",
  "verify",
  "restore",
  "durable",
  "stdout",
  "touched",
  "rewritten",
  "unchanged",
  "purge",
  "status",
  "help"
] as const

export type Operation = (typeof operations)[number]

/** How they are called in tables. */
export const titles: Readonly<Record<Operation, string>> = {
  first: "first backup",
  verify: "verify",
  restore: "restore to a file",
  durable: "restore to a file, and `sync` of it",
  stdout: "restore to a pipe",
  touched: "1 % of the blocks touched",
  rewritten: "5 % of the blocks rewritten",
  unchanged: "unchanged",
  purge: "purge of one revision",
  status: "status",
  help: "`--help`"
}

/** The same command with its output through a pipe. */
export const piped = (command: Command): Command => ({
  ...command,
  argv: ["bash", "-o", "pipefail", "-c", "\"$@\" | cat > /dev/null", "bash", ...command.argv]
})
