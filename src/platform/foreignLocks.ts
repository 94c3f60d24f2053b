/** Locks that other programs hold on a file by fcntl(2), as running VMs do: from what /proc tells. */
import * as FS from "node:fs"

const read = (path: string): string => {
  try {
    return FS.readFileSync(path, "utf8")
  } catch {
    // a container may lack /proc, and a process may end while one looks
    return ""
  }
}

/** One field of what the kernel tells of an open file. */
const field = (text: string, name: string): string | undefined =>
  new RegExp(`^${name}:\\s*(\\d+)$`, "m").exec(text)?.[1]

/** `MAJOR:MINOR` in decimal of the file system of a mount, as /proc/locks means it: btrfs and overlays tell stat others. */
const fileSystemOf = (mount: string, mounts: string): string | undefined =>
  mounts.split("\n").map((line) => line.split(" ")).find(([id]) => id === mount)?.[2]

/** `fe:00:4711` with the device in hexadecimal as `254:0:4711`. */
const decimal = (where: string): string => {
  const [major = "", minor = "", inode = ""] = where.split(":")
  return `${Number.parseInt(major, 16)}:${Number.parseInt(minor, 16)}:${inode}`
}

/** Who holds such a lock, from the lines of /proc/locks; waiting ones (`->`) hold none. */
export const holderIn = (locks: string, file: string): number | undefined => {
  for (const line of locks.split("\n")) {
    const [, type, , , pid, where] = line.split(/\s+/)
    if (where === undefined || (type !== "POSIX" && type !== "OFDLCK")) continue
    if (decimal(where) === file) return Number(pid)
  }
  return undefined
}

/** Who holds a lock by fcntl(2) on a file that is open here, in words; `undefined`: nobody. */
export const foreignLock = (descriptor: number, inode: number): string | undefined => {
  const info = read(`/proc/self/fdinfo/${descriptor}`)
  const mount = field(info, "mnt_id")
  const device = mount === undefined ? undefined : fileSystemOf(mount, read("/proc/self/mountinfo"))
  if (device === undefined) return undefined
  const pid = holderIn(read("/proc/locks"), `${device}:${field(info, "ino") ?? inode}`)
  if (pid === undefined) return undefined
  // an open file description has no process
  const name = pid > 0 ? read(`/proc/${pid}/comm`).trim() : ""
  return name === "" ? "another program, as a running VM does" : `${name}, process ${pid}`
}
