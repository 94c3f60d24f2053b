/** How backy ends: ONE table from what went wrong to the exit code, and the lines that say it. */
import * as Cause from "effect/Cause"
import * as Option from "effect/Option"
import { printable, printableLines } from "../domain/printable.ts"
import { codeOf, type Ending as Signal } from "./signals.ts"

/** The exit codes, as docs list them. */
export const EXIT = {
  done: 0,
  failed: 1,
  usage: 2,
  /** Of `check` alone, which has 0 to 3 as monitoring systems know them. */
  unknown: 3,
  schedulerRunning: 69,
  bug: 70,
  locked: 75,
  /** 128 and the number of the signal: see `signals.ts`. */
  interrupted: 130
} as const

const { failed, locked, usage } = EXIT

/** Every error that a command can end with. `Cli.ts` proves that none is missing. */
export const codes = {
  CommandLineInvalid: usage,
  NoTags: usage,
  SpecInvalid: usage,
  OutputIsTerminal: usage,
  LockHeld: locked,
  SchedulerRunning: EXIT.schedulerRunning,
  CheckWarning: 1,
  CheckCritical: 2,
  CheckUnknown: EXIT.unknown,
  BaseUnmarked: failed,
  CommandFailed: failed,
  ConfigInvalid: failed,
  ConfigMissing: failed,
  DamageFound: failed,
  FloorReached: failed,
  IoError: failed,
  ListenFailed: failed,
  MapUnusable: failed,
  MarksLoss: failed,
  MountFailed: failed,
  NewestTrusted: failed,
  NoTrustedLeft: failed,
  NotOneRevision: failed,
  OutputClosed: failed,
  OverlayRefused: failed,
  PluginInvalid: failed,
  PurgeBlocked: failed,
  RbdError: failed,
  ReportUnusable: failed,
  RepositoryExists: failed,
  RepositoryMissing: failed,
  RestoreIncomplete: failed,
  RevisionIncomplete: failed,
  SourceChanged: failed,
  SourceLostContent: failed,
  SourceNotReady: failed,
  SourceShrank: failed,
  SourceUnsupported: failed,
  SpaceLacking: failed,
  SpecFailed: failed,
  StatusUnusable: failed,
  TagsUnknown: failed,
  TargetRefused: failed,
  UpgradeIncomplete: failed,
  VerificationFailed: failed,
  VerificationTooSlow: failed
} as const

/** An error of the table. */
export interface KnownError {
  readonly _tag: keyof typeof codes
  readonly message: string
}

/** The exit code, and what standard error says about it. */
export interface Ending {
  readonly code: number
  readonly lines: ReadonlyArray<string>
}

const isKnown = (error: unknown): error is KnownError =>
  typeof error === "object" && error !== null && "_tag" in error && typeof error._tag === "string" &&
  Object.hasOwn(codes, error._tag)

/** The reader of our output has gone, so nobody is there to be told; or everything has been told on standard output. */
const silent: ReadonlySet<keyof typeof codes> = new Set([
  "OutputClosed",
  "CheckWarning",
  "CheckCritical",
  "CheckUnknown"
])

/** The errors whose message has a line for each mistake, made printable by themselves; all others have one line. */
const manyLines: ReadonlySet<unknown> = new Set<keyof typeof codes>(["ConfigInvalid"])

/** What an error quotes must not look like a line of ours. */
const linesOf = ({ _tag, message }: KnownError): ReadonlyArray<string> =>
  manyLines.has(_tag) ? printableLines(message) : [printable(message)]

const said = ([first = "", ...more]: ReadonlyArray<string>): ReadonlyArray<string> => [`backy: ${first}`, ...more]

/** How a command ends that did not succeed. `verbose` adds the cause with its stack. */
export const ending = (
  cause: Cause.Cause<unknown>,
  options: { readonly verbose: boolean; readonly signal?: Signal | undefined }
): Ending => {
  const failure = Option.getOrUndefined(Cause.failureOption(cause))
  if (isKnown(failure)) {
    const lines = silent.has(failure._tag) ? [] : said(linesOf(failure))
    return { code: codes[failure._tag], lines: options.verbose ? [...lines, ...pretty(cause)] : lines }
  }
  if (Cause.isInterruptedOnly(cause)) {
    return {
      code: options.signal === undefined ? EXIT.interrupted : codeOf(options.signal),
      lines: said(["interrupted"])
    }
  }
  return {
    code: EXIT.bug,
    lines: [
      ...said(["this is a bug in backy; what it was doing is not done. Please report it with the lines below."]),
      ...pretty(cause)
    ]
  }
}

/**
 * How `check` ends when it could not judge: for a monitoring system that is UNKNOWN, whatever the reason, and the first
 * line of standard output says so. None when it judged.
 */
export const checkEnding = (cause: Cause.Cause<unknown>): Ending | undefined => {
  const failure = Option.getOrUndefined(Cause.failureOption(cause))
  if (isKnown(failure) && failure._tag.startsWith("Check")) return undefined
  const [first = "", ...more] = (isKnown(failure) ? linesOf(failure) : ["this is a bug in backy", ...pretty(cause)])
    .map((line) => line.replaceAll("|", "/"))
  return { code: EXIT.unknown, lines: [`UNKNOWN: ${first}`, ...more] }
}

const pretty = (cause: Cause.Cause<unknown>): ReadonlyArray<string> =>
  printableLines(Cause.pretty(cause, { renderErrorCause: true })).map((line) => `    ${line}`)
