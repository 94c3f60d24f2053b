/**
 * Real file systems for tests: small ones in a file, mounted through a loop device. Only root can do that.
 */
import { execFileSync } from "node:child_process"
import * as FS from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

export type FileSystemKind = "ext4" | "xfs" | "btrfs"

/** A mounted file system of its own. */
export interface Mount {
  readonly path: string
  /** Remounts with these options, e.g. `ro`. */
  readonly remount: (options: string) => void
  readonly unmount: () => void
}

/** What each mkfs takes at least, in MiB, and what makes it quiet and quick. */
const kinds: Record<FileSystemKind, { readonly least: number; readonly mkfs: ReadonlyArray<string> }> = {
  ext4: { least: 16, mkfs: ["mkfs.ext4", "-q", "-F", "-E", "nodiscard"] },
  xfs: { least: 300, mkfs: ["mkfs.xfs", "-q", "-f", "-K"] },
  btrfs: { least: 114, mkfs: ["mkfs.btrfs", "-q", "-f", "-K"] }
}

const run = (command: string, ...args: ReadonlyArray<string>): string =>
  execFileSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] })

/**
 * Why this file system cannot be mounted here, or `undefined` if it can. With BACKY_TEST_ROOT=1 nothing is an excuse:
 * the tests run, and fail.
 */
export const whyNot = (kind: FileSystemKind): string | undefined => {
  if (process.env["BACKY_TEST_ROOT"] === "1") return undefined
  if (process.getuid?.() !== 0) return "only root can mount"
  const [mkfs = ""] = kinds[kind].mkfs
  const found = (process.env["PATH"] ?? "").split(":").some((folder) => FS.existsSync(join(folder, mkfs)))
  if (!found) return `${mkfs} is not installed`
  if (!FS.existsSync("/dev/loop-control")) return "there are no loop devices"
  return undefined
}

/** Makes a file system of `mebibytes` (or the least its kind allows) and mounts it. The image file is sparse. */
export const loopMount = (kind: FileSystemKind, mebibytes = 0): Mount => {
  const folder = FS.mkdtempSync(join(tmpdir(), `backy-${kind}-`))
  const image = join(folder, "image")
  const path = join(folder, "mounted")
  const [mkfs = "", ...args] = kinds[kind].mkfs
  try {
    FS.mkdirSync(path)
    FS.writeFileSync(image, "")
    FS.truncateSync(image, Math.max(mebibytes, kinds[kind].least) * 1024 * 1024)
    run(mkfs, ...args, image)
    run("mount", "-o", "loop", image, path)
  } catch (cause) {
    FS.rmSync(folder, { recursive: true, force: true })
    throw cause
  }
  return {
    path,
    remount: (options) => {
      run("mount", "-o", `remount,${options}`, path)
    },
    unmount: () => {
      // Lazily, so that a file which a failed test left open keeps nothing mounted.
      run("umount", "--lazy", path)
      FS.rmSync(folder, { recursive: true, force: true })
    }
  }
}

/** A loop device over a file of `bytes` bytes, for tests that need a block device. */
export const loopDevice = (bytes: number): { readonly path: string; readonly detach: () => void } => {
  const folder = FS.mkdtempSync(join(tmpdir(), "backy-device-"))
  const image = join(folder, "image")
  FS.writeFileSync(image, "")
  FS.truncateSync(image, bytes)
  const path = run("losetup", "--find", "--show", image).trim()
  return {
    path,
    detach: () => {
      run("losetup", "--detach", path)
      FS.rmSync(folder, { recursive: true, force: true })
    }
  }
}
