import { tmpdir } from "node:os"

/** A socket's path has 107 bytes at most; so many are left for what is made in the folder. */
const LONGEST = 107 - 40

/** Where a folder for a socket is made: below TMPDIR, unless that is too long for one. */
export const socketFolder = (): string => Buffer.byteLength(tmpdir()) <= LONGEST ? tmpdir() : "/tmp"
