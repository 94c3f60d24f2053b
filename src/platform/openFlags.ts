import * as FS from "node:fs"
import type { OpenOptions } from "./Disk.ts"

const { O_CREAT, O_EXCL, O_NOCTTY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY } = FS.constants

const access = { read: O_RDONLY, write: O_WRONLY, "read-write": O_RDWR }

/**
 * The flags of open(2) for `options`, exclusive creation or none.
 *
 * `if-missing` is not a flag here: who opens tries exclusive creation first, because only then does it know whether
 * the mode is its to set. O_NONBLOCK keeps a pipe that somebody planted under a metadata file's name from blocking
 * the program for ever; it means nothing to files and block devices. O_EXCL without O_CREAT claims a block device.
 */
export const openFlags = (options: OpenOptions, create: boolean): number =>
  access[options.access] | O_NOCTTY | O_NONBLOCK |
  (options.follow === true ? 0 : O_NOFOLLOW) |
  (options.truncate === true ? O_TRUNC : 0) |
  (create ? O_CREAT : 0) | (create || options.exclusive === true ? O_EXCL : 0)

/** Permission bits of a file that is made when nothing else is said. */
export const DEFAULT_MODE = 0o640

/** Node refuses longer reads and writes; a shorter one than asked for is always allowed. */
export const MAX_TRANSFER = 0x40000000
