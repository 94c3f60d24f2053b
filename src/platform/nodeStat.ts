import * as FS from "node:fs"
import type { FileKind, FileStat, Identity } from "./Disk.ts"
import { kernel } from "./kernel.ts"

const kindOf = (stats: FS.BigIntStats): FileKind =>
  stats.isFile()
    ? "file"
    : stats.isDirectory()
    ? "directory"
    : stats.isSymbolicLink()
    ? "symlink"
    : stats.isBlockDevice()
    ? "block-device"
    : stats.isCharacterDevice()
    ? "character-device"
    : stats.isFIFO()
    ? "pipe"
    : "socket"

/** `MAJOR:MINOR` of a device number as Linux encodes it. */
const deviceName = (rdev: bigint): string => {
  const major = ((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & 0xfffff000n)
  const minor = (rdev & 0xffn) | ((rdev >> 12n) & 0xffffff00n)
  return `${major}:${minor}`
}

/** Which file or device it is. */
export const identityOf = ({ dev, ino, mode, rdev }: FS.BigIntStats): Identity => ({
  dev: Number(dev),
  ino: Number(ino),
  ...((mode & BigInt(FS.constants.S_IFMT)) === BigInt(FS.constants.S_IFBLK) ? { device: deviceName(rdev) } : {})
})

/** Capacity of a block device in bytes: what stat(2) does not tell. /sys counts in 512 bytes whatever the device does. */
const deviceSize = (rdev: bigint, descriptor: number | undefined): number => {
  try {
    const sectors = Number(FS.readFileSync(`/sys/dev/block/${deviceName(rdev)}/size`, "utf8").trim())
    if (Number.isSafeInteger(sectors * 512)) return sectors * 512
  } catch (cause) {
    // A container may lack /sys; an open device can be asked.
    const end = descriptor === undefined ? undefined : kernel().seekEnd(descriptor)
    if (end?.ok === true) return end.value
    throw cause
  }
  throw new RangeError(`size of block device ${deviceName(rdev)} is not a number`)
}

/** Translates Node's stat; `descriptor` is the open file, if it is one. Throws when a device's size cannot be had. */
export const toFileStat = (stats: FS.BigIntStats, descriptor?: number): FileStat => {
  const kind = kindOf(stats)
  return {
    kind,
    size: kind === "block-device" ? deviceSize(stats.rdev, descriptor) : Number(stats.size),
    mtimeNs: stats.mtimeNs,
    ctimeNs: stats.ctimeNs,
    ...identityOf(stats),
    mode: Number(stats.mode & 0o7777n),
    nlink: Number(stats.nlink),
    allocated: Number(stats.blocks) * 512
  }
}
