/**
 * Names and texts of the system's error numbers, and errors shaped as `node:fs` throws them.
 */
import * as OS from "node:os"
import { getSystemErrorMap, getSystemErrorName } from "node:util"

/** An error as `node:fs` throws it: `code` is the errno's name. */
export interface ErrnoError extends Error {
  readonly code: string
  readonly errno?: number
  readonly syscall?: string
  readonly path?: string
}

/** Linux errors that libuv has no name or a misleading text for. */
const linux: Record<string, readonly [number, string]> = {
  EBADMSG: [74, "bad message (damaged data on the medium)"],
  EDQUOT: [122, "disk quota exceeded"],
  EISDIR: [21, "is a directory"],
  ELOOP: [40, "is a symbolic link, or there are too many of them on the way"],
  ENOLCK: [37, "no locks available"],
  ENOMEDIUM: [123, "no medium found"],
  ENOTSUP: [95, "operation not supported"],
  EOPNOTSUPP: [95, "operation not supported"],
  ESTALE: [116, "stale file handle"],
  EUCLEAN: [117, "the file system is damaged (structure needs cleaning)"]
}

let known: ReadonlyMap<string, readonly [number, string]> | undefined

const table = (): ReadonlyMap<string, readonly [number, string]> => {
  if (known === undefined) {
    const all = new Map<string, readonly [number, string]>()
    for (const [number, [name, text]] of getSystemErrorMap()) all.set(name, [number, text])
    for (const [name, [number, text]] of Object.entries(linux)) all.set(name, [-number, text])
    // libuv's word for what it does not know.
    all.delete("UNKNOWN")
    known = all
  }
  return known
}

/** What an errno name means, e.g. "no space left on device"; `undefined` for a name that the system does not have. */
export const textOf = (code: string): string | undefined => table().get(code)?.[1]

/** The name of a (positive) errno number, e.g. 28 → `ENOSPC`. A number without a name gives `E` and the number. */
export const nameOf = (errno: number): string => {
  for (const [name, [number]] of Object.entries(linux)) {
    if (number === errno && name !== "EOPNOTSUPP") return name
  }
  for (const [name, number] of Object.entries(OS.constants.errno)) {
    if (number === errno && name !== "EOPNOTSUPP" && name !== "EWOULDBLOCK") return name
  }
  const name = getSystemErrorName(-errno)
  return /^E[A-Z0-9]+$/.test(name) ? name : `E${errno}`
}

/** Makes an error as `node:fs` would throw it. */
export const errnoError = (code: string, syscall: string, path?: string): ErrnoError => {
  const [number, text] = table().get(code) ?? [-5, "unknown error"]
  const where = path === undefined ? "" : ` '${path}'`
  return Object.assign(new Error(`${code}: ${text}, ${syscall}${where}`), {
    code,
    errno: number,
    syscall,
    ...(path === undefined ? {} : { path })
  })
}

/** Does this look like an error of a system call? */
export const isErrnoError = (cause: unknown): cause is ErrnoError =>
  cause instanceof Error && "code" in cause && typeof cause.code === "string"

/** Is this the error of a system call with this errno? */
export const hasCode = (cause: unknown, code: string): boolean => isErrnoError(cause) && cause.code === code

/**
 * The errno name of whatever a system call threw: libuv calls what it does not know "Unknown system error -122", and
 * Node has codes of its own for arguments it refuses and for `fs.rm`. `UNKNOWN` when it was no system error at all.
 */
export const codeOf = (cause: unknown): string => {
  if (!isErrnoError(cause)) return "UNKNOWN"
  if (cause.code === "ERR_FS_EISDIR") return "EISDIR"
  if (cause.code.startsWith("ERR_")) return "EINVAL"
  if (/^E[A-Z0-9]+$/.test(cause.code)) return cause.code
  return cause.errno === undefined ? "UNKNOWN" : nameOf(Math.abs(cause.errno))
}

const MODE_REFUSED: ReadonlySet<unknown> = new Set(["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"])

/**
 * Did chmod(2) of a file that we have just made fail because its file system keeps modes as they are? Nothing is wrong
 * with the file then.
 */
export const isModeRefused = (cause: unknown): boolean =>
  typeof cause === "object" && cause !== null && "code" in cause && MODE_REFUSED.has(cause.code)
