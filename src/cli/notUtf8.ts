import { isUtf8 } from "node:buffer"
import { readFileSync, readlinkSync } from "node:fs"

/** What Node puts where bytes are no UTF-8. */
const REPLACEMENT = "\uFFFD"

/** Bytes as far as they are ASCII, the others as `\xe4`. */
const shown = (bytes: Uint8Array): string =>
  Array.from(
    bytes,
    (byte) => byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, "0")}`
  ).join("")

/** The arguments of this process as the kernel has them. */
const rawArguments = (): ReadonlyArray<Uint8Array> => {
  const bytes = readFileSync("/proc/self/cmdline")
  const words: Array<Uint8Array> = []
  for (let start = 0; start < bytes.length;) {
    const end = bytes.indexOf(0, start)
    words.push(bytes.subarray(start, end < 0 ? bytes.length : end))
    start = end < 0 ? bytes.length : end + 1
  }
  return words
}

/** Nothing when it has been removed: who needs it finds out. */
const currentDirectory = (): string => {
  try {
    return process.cwd()
  } catch {
    return ""
  }
}

/**
 * Which name cannot be used since its bytes are no UTF-8, if there is one among the arguments or it is that of the
 * current directory: Node reads them with a loss, and what it then looks for is not there.
 */
export const notUtf8 = (argv: ReadonlyArray<string>): string | undefined => {
  const advice = "backy can only use names that are: rename it, or reach it by a link"
  if (argv.some((word) => word.includes(REPLACEMENT))) {
    const word = rawArguments().find((bytes) => !isUtf8(bytes))
    if (word !== undefined) return `"${shown(word)}" is not UTF-8; ${advice}`
  }
  const here = currentDirectory()
  if (here.includes(REPLACEMENT)) {
    const directory = readlinkSync("/proc/self/cwd", "buffer")
    if (!isUtf8(directory)) return `the name of the current directory, "${shown(directory)}", is not UTF-8; ${advice}`
  }
  return undefined
}
