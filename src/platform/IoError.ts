/**
 * The one error of everything that touches files, directories and devices.
 */
import type { PlatformError } from "@effect/platform/Error"
import * as Data from "effect/Data"
import { printable } from "../domain/printable.ts"
import { codeOf, isErrnoError, textOf } from "./errno.ts"

/**
 * A call to the operating system failed.
 *
 * - `operation`: a verb phrase that follows "cannot", e.g. `read`, `create directory`, `lock`;
 * - `path`: what it was done to;
 * - `code`: the errno name, e.g. `ENOSPC`; `UNKNOWN` when there was none;
 * - `detail`: replaces the errno's text where something more helpful is known.
 */
export class IoError extends Data.TaggedError("IoError")<{
  readonly operation: string
  readonly path: string
  readonly code: string
  readonly detail?: string
}> {
  override get message(): string {
    const text = this.detail ?? textOf(this.code)
    const code = this.code === "UNKNOWN" ? "" : ` (${this.code})`
    // A hostile name must not forge a second line or confuse the terminal; what programs said has lines of its own.
    const why = (text ?? "unknown error").replaceAll(/[\r\n\t]+/g, " ")
    return printable(`cannot ${this.operation} ${this.path}: ${why}${code}`)
  }
}

/** Codes that say that the medium is full or the user's share of it used up. */
const full = new Set(["ENOSPC", "EDQUOT"])

/** Is there no room left for what was to be written? */
export const isFull = (error: IoError): boolean => full.has(error.code)

/** Was the file or directory not there? */
export const isMissing = (error: IoError): boolean => error.code === "ENOENT"

/**
 * Makes an `IoError` of whatever a call threw. An `IoError` passes unchanged; a foreign error keeps its text as
 * `detail`.
 */
export const fromUnknown = (operation: string, path: string, cause: unknown): IoError => {
  if (cause instanceof IoError) return cause
  const code = codeOf(cause)
  if (textOf(code) !== undefined && !(isErrnoError(cause) && cause.code.startsWith("ERR_"))) {
    return new IoError({ operation, path, code })
  }
  return new IoError({ operation, path, code, detail: cause instanceof Error ? cause.message : String(cause) })
}

/** What @effect/platform calls its methods, as verb phrases. */
const operations: Record<string, string> = {
  access: "access",
  chmod: "change the mode of",
  chown: "change the owner of",
  copyFile: "copy",
  link: "make a second name of",
  makeDirectory: "create directory",
  makeTempDirectory: "create a temporary directory in",
  makeTempDirectoryScoped: "create a temporary directory in",
  makeTempFile: "create a temporary file in",
  makeTempFileScoped: "create a temporary file in",
  readAlloc: "read",
  readDirectory: "list",
  readFile: "read",
  readFileString: "read",
  readLink: "read link",
  realPath: "resolve",
  stat: "examine",
  utime: "change the times of",
  utimes: "change the times of",
  writeAll: "write",
  writeFile: "write",
  writeFileString: "write"
}

/** For platform errors that carry no errno. */
const reasons: Record<string, string> = {
  AlreadyExists: "EEXIST",
  BadResource: "EBADF",
  Busy: "EBUSY",
  NotFound: "ENOENT",
  PermissionDenied: "EACCES",
  TimedOut: "ETIMEDOUT",
  WouldBlock: "EAGAIN",
  WriteZero: "EIO"
}

/**
 * Makes an `IoError` of an error of @effect/platform's services. Those call ENOSPC, EIO, EXDEV, EROFS and more
 * "Unknown"; the errno is in their cause. `path` names what was touched when the error itself does not.
 */
export const fromPlatform = (error: PlatformError, path?: string): IoError => {
  const operation = operations[error.method] ?? error.method
  if (error._tag === "BadArgument") {
    return new IoError({ operation, path: path ?? "?", code: "EINVAL", detail: error.description ?? "bad argument" })
  }
  const where = path ?? (error.pathOrDescriptor === undefined ? "?" : String(error.pathOrDescriptor))
  const code = codeOf(error.cause)
  if (code !== "UNKNOWN") return fromUnknown(operation, where, error.cause)
  const known = reasons[error.reason]
  if (known !== undefined) return new IoError({ operation, path: where, code: known })
  return new IoError({ operation, path: where, code, detail: error.description ?? "unknown error" })
}
