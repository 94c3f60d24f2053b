/**
 * Log lines that people read: one sentence, then its annotations. On standard error without a date (a terminal needs
 * none, systemd adds its own), in a file with date, process and level.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as HashMap from "effect/HashMap"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import type * as Scope from "effect/Scope"
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  realpathSync,
  statSync,
  unlinkSync,
  writeSync
} from "node:fs"
import { dirname } from "node:path"
import { printableLines } from "./domain/printable.ts"
import { hasCode } from "./platform/errno.ts"
import { fromUnknown, IoError } from "./platform/IoError.ts"

/** Takes one line, without its line break. */
export type WriteLine = (line: string) => void

/** A log file is for the operators' group, not for everybody. */
const LOG_MODE = 0o640

/** The sentence of a log entry with its annotations, and its cause below it. */
const sentence = ({ annotations, cause, message }: Logger.Logger.Options<unknown>): string => {
  const parts = (Array.isArray(message) ? message : [message]).map(wordOf)
  for (const [key, value] of HashMap.entries(annotations)) parts.push(`${key}=${quoted(wordOf(value))}`)
  const text = parts.join(" ")
  const whole = Cause.isEmptyType(cause) ? text : `${text}\n${Cause.pretty(cause, { renderErrorCause: true })}`
  // what belongs to an entry is indented, so that each line that is not begins one
  return printableLines(whole).join("\n    ")
}

const wordOf = (value: unknown): string =>
  typeof value === "string" ? value : value instanceof Error ? value.message : JSON.stringify(value) ?? String(value)

const quoted = (word: string): string => /^[^\s="]+$/.test(word) ? word : JSON.stringify(word)

const prefixes: Partial<Record<LogLevel.LogLevel["_tag"], string>> = {
  Fatal: "error: ",
  Error: "error: ",
  Warning: "warning: "
}

/** How an entry looks on standard error. */
const toConsoleLine = (entry: Logger.Logger.Options<unknown>): string =>
  `${prefixes[entry.logLevel._tag] ?? ""}${sentence(entry)}`

/** How an entry looks in a file: `2026-11-23T14:21:05.123+01:00 4711 INFO removed 3 chunks job=web01`. */
const toFileLine = (entry: Logger.Logger.Options<unknown>): string =>
  `${localTime(entry.date)} ${process.pid} ${entry.logLevel.label} ${sentence(entry)}`

/** ISO 8601 in local time with its offset. */
const localTime = (date: Date): string => {
  const minutes = -date.getTimezoneOffset()
  const two = (value: number) => String(Math.trunc(Math.abs(value))).padStart(2, "0")
  const local = new Date(date.getTime() + minutes * 60_000).toISOString().slice(0, -1)
  return `${local}${minutes < 0 ? "-" : "+"}${two(minutes / 60)}:${two(minutes % 60)}`
}

/** Milliseconds between two looks whether the log file is still the one under its name. */
const LOOK_EVERY = 1000

/** Whether the path leads to another file than the descriptor, or to none: the log was rotated. */
const isRotated = (path: string, descriptor: number): boolean => {
  const ours = fstatSync(descriptor)
  const named = statSync(path, { throwIfNoEntry: false })
  return named === undefined || named.ino !== ours.ino || named.dev !== ours.dev
}

const { O_APPEND, O_CREAT, O_NOCTTY, O_NOFOLLOW, O_NONBLOCK, O_WRONLY } = constants

/** A pipe that nobody reads is refused at once, and one that somebody does not read fast enough holds nothing up. */
const FLAGS = O_WRONLY | O_APPEND | O_CREAT | O_NOCTTY | O_NONBLOCK

/** Opens a log file that the operator named, whatever that leads to: also a terminal or a pipe. */
const openAnything = (path: string): number => {
  try {
    return openSync(path, FLAGS, LOG_MODE)
  } catch (cause) {
    if (!hasCode(cause, "ENXIO")) throw cause
    throw new IoError({ operation: "open", path, code: "ENXIO", detail: "it is a socket, or a pipe that nobody reads" })
  }
}

/**
 * Opens a log file in a repository, where anybody may have put anything: nothing but a file, through no link. A file that
 * has a second name, as in a copy that `cp -al` made, is not written to: a new one takes its name.
 */
const openInRepository = (directory: string) => (path: string): number => {
  if (!`${realOf(dirname(path))}/`.startsWith(`${realOf(directory)}/`)) {
    const detail = "a folder on the way is a link, and nothing is followed out of a repository"
    throw new IoError({ operation: "open", path, code: "ELOOP", detail })
  }
  const stats = lstatSync(path, { throwIfNoEntry: false })
  if (stats !== undefined && !stats.isFile()) {
    const detail = "it is no file, and nothing is followed out of a repository"
    throw new IoError({ operation: "open", path, code: stats.isSymbolicLink() ? "ELOOP" : "EINVAL", detail })
  }
  if (stats !== undefined && stats.nlink > 1) unlinkSync(path)
  return openSync(path, FLAGS | O_NOFOLLOW, LOG_MODE)
}

const realOf = (path: string): string => {
  try {
    return realpathSync(path)
  } catch {
    return path
  }
}

/** Whether a path leads into a directory, by its words or in truth. */
const liesIn = (path: string, directory: string): boolean =>
  path.startsWith(`${directory}/`) || `${realOf(dirname(path))}/`.startsWith(`${realOf(directory)}/`)

/**
 * Appends lines to a file until the scope ends; to a new one of that name soon after the old one was renamed or
 * removed. What cannot be written there (a full disk) goes to `otherwise`.
 */
const appendTo = (
  path: string,
  open: (path: string) => number,
  otherwise: WriteLine
): Effect.Effect<WriteLine, IoError, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.try({
      try: () => ({ descriptor: open(path), lookedAt: performance.now() }),
      catch: (cause) => fromUnknown("open", path, cause)
    }),
    (file) => Effect.sync(() => closeSync(file.descriptor))
  ).pipe(
    Effect.map((file) => (line) => {
      try {
        const now = performance.now()
        if (now - file.lookedAt >= LOOK_EVERY) {
          file.lookedAt = now
          if (isRotated(path, file.descriptor)) {
            // opened before the old one is closed: should that fail, the old one still takes lines
            const fresh = open(path)
            closeSync(file.descriptor)
            file.descriptor = fresh
          }
        }
        writeSync(file.descriptor, `${line}\n`)
      } catch {
        otherwise(line)
      }
    })
  )

/** Where to log, and how much. */
export interface Settings {
  /** The path given with `-l`; none: to standard error. */
  readonly file: string | undefined
  /** The repository, of which nothing is followed; none for the scheduler, whose log file the operator names. */
  readonly repository?: string
  /** Also what is only of interest when something is looked into. */
  readonly verbose: boolean
  /** Writes to standard error. */
  readonly stderr: WriteLine
}

const opener = (file: string, repository: string | undefined) =>
  repository !== undefined && liesIn(file, repository) ? openInRepository(repository) : openAnything

/** Replaces the default logger. Fails when the log file cannot be opened. */
export const layer = ({ file, repository, stderr, verbose }: Settings): Layer.Layer<never, IoError> => {
  const logger = file === undefined
    ? Logger.replace(Logger.defaultLogger, Logger.make((entry) => stderr(toConsoleLine(entry))))
    : Logger.replaceScoped(
      Logger.defaultLogger,
      Effect.map(
        appendTo(file, opener(file, repository), stderr),
        (write) => Logger.make((entry) => write(toFileLine(entry)))
      )
    )
  // without -v the level stays what --log-level says
  return verbose ? Layer.provideMerge(Logger.minimumLogLevel(LogLevel.Debug), logger) : logger
}
