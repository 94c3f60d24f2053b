/** Whole files by way of a synchronous `Disk`, for tests that look at any kind of disk in one way. */
import type { Disk } from "../../src/platform/Disk.ts"
import { readFully, withFile, writeFully } from "../../src/store/chunkFile.ts"

/** Makes a file that must not exist. */
export const write = (disk: Disk, path: string, bytes: Uint8Array): void =>
  withFile(
    disk,
    disk.open(path, { access: "write", create: "exclusive" }),
    (file) => writeFully(disk, file, bytes, 0)
  )

/** A file's content. */
export const bytesOf = (disk: Disk, path: string): Uint8Array =>
  withFile(disk, disk.open(path, { access: "read", follow: true }), (file) => {
    const bytes = new Uint8Array(disk.stat(file).size)
    return bytes.subarray(0, readFully(disk, file, bytes, 0))
  })

/** The names in a directory, sorted. */
export const listOf = (disk: Disk, path: string): ReadonlyArray<string> => [...disk.list(path)].sort()

export const remove = (disk: Disk, path: string): void => disk.unlink(path)
