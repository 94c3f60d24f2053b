/**
 * The real devices: /sys tells of what they rest on, blkid of what is on them, /proc of what is mounted where.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { execFile } from "node:child_process"
import * as FS from "node:fs"
import { basename, join } from "node:path"
import { Devices, type Support } from "./Devices.ts"
import { type Identity, isSame } from "./Disk.ts"
import { hasCode } from "./errno.ts"
import { fromUnknown, IoError } from "./IoError.ts"
import { identityOf } from "./nodeStat.ts"

/** How long blkid may look for something. A device that does not answer is not a blank one. */
const PATIENCE = 30_000

/** A small file of the kernel's, or `undefined` where there is none. */
const read = (path: string): string | undefined => {
  try {
    return FS.readFileSync(path, "utf8").trimEnd()
  } catch (cause) {
    if (hasCode(cause, "ENOENT") || hasCode(cause, "ENOTDIR") || hasCode(cause, "ENXIO")) return undefined
    throw cause
  }
}

const list = (path: string): ReadonlyArray<string> => {
  try {
    return FS.readdirSync(path)
  } catch (cause) {
    if (hasCode(cause, "ENOENT")) return []
    throw cause
  }
}

/** What a loop device shows: the kernel gives its name, in bytes of any kind, which may lead nowhere by now. */
const behindLoop = (folder: string): Support | undefined => {
  try {
    const line = FS.readFileSync(`${folder}/loop/backing_file`)
    const name = line.at(-1) === 0x0a ? line.subarray(0, -1) : line
    return { ...identityOf(FS.statSync(name, { bigint: true })), path: name.toString() }
  } catch {
    return undefined
  }
}

/** What a block device rests on directly. */
const under = (device: string): ReadonlyArray<Support> => {
  const folder = `/sys/dev/block/${device}`
  const found: Array<Support> = []
  const shown = behindLoop(folder)
  if (shown !== undefined) found.push(shown)
  // a partition's disk is the folder that its own lies in
  const others = list(`${folder}/slaves`).map((name) => `${folder}/slaves/${name}/dev`)
  if (read(`${folder}/partition`) !== undefined) others.push(join(FS.realpathSync(folder), "../dev"))
  for (const other of others) {
    const number = read(other)
    if (number !== undefined) found.push({ dev: 0, ino: 0, device: number, path: undefined })
  }
  return found
}

const beneath = (what: Identity): ReadonlyArray<Support> => {
  const all: Array<Support> = []
  const visit = (one: Identity): void => {
    if (one.device === undefined) return
    for (const support of under(one.device)) {
      if (all.some((known) => isSame(known, support))) continue
      all.push(support)
      visit(support)
    }
  }
  visit(what)
  return all
}

const loopsOver = (what: Identity): ReadonlyArray<string> =>
  list("/sys/block").filter((name) => name.startsWith("loop")).flatMap((name) => {
    const shown = behindLoop(`/sys/block/${name}`)
    return shown !== undefined && isSame(shown, what) ? [`/dev/${basename(name)}`] : []
  })

/** As the kernel writes paths: spaces and the like as octal numbers. */
const unescaped = (path: string): string =>
  path.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)))

const isMountPoint = (path: string): boolean =>
  (read("/proc/self/mountinfo") ?? "").split("\n").some((line) => unescaped(line.split(" ")[4] ?? "") === path)

/** One line of what `blkid -o export` gives. */
const valueOf = (output: string, key: string): string | undefined =>
  output.split("\n").find((line) => line.startsWith(`${key}=`))?.slice(key.length + 1)

/** Exit codes of `blkid -p`. */
const NOTHING = 2
const AMBIVALENT = 8

const signature = (program: string, descriptor: number, path: string): Effect.Effect<string | undefined, IoError> =>
  Effect.async((resume) => {
    // by way of the descriptor: the path may lead elsewhere by now
    const args = ["-p", "-o", "export", `/proc/${process.pid}/fd/${descriptor}`]
    execFile(program, args, { timeout: PATIENCE, killSignal: "SIGKILL" }, (error, stdout, stderr) => {
      if (error === null) return resume(Effect.succeed(valueOf(stdout, "TYPE") ?? valueOf(stdout, "PTTYPE") ?? "data"))
      // then what the first and the last bytes are has to do
      if (hasCode(error, "ENOENT")) return resume(Effect.succeed(undefined))
      if (error.code === NOTHING) return resume(Effect.succeed(undefined))
      if (error.code === AMBIVALENT) return resume(Effect.succeed("several things at once"))
      const detail = `blkid ${error.killed === true ? "took too long" : `failed: ${stderr.trim()}`}`
      resume(Effect.fail(new IoError({ operation: "examine", path, code: "EIO", detail })))
    })
  })

const asked = <A>(path: string, run: () => A): Effect.Effect<A, IoError> =>
  Effect.try({ try: run, catch: (cause) => fromUnknown("examine", path, cause) })

/** The real devices, examined by this program instead of the `blkid` found in PATH. */
export const layerProgram = (program: string): Layer.Layer<Devices> =>
  Layer.succeed(Devices, {
    beneath: (device) => asked("/sys/dev/block", () => beneath(device)),
    loopsOver: (what) => asked("/sys/block", () => loopsOver(what)),
    signature: ({ descriptor, path }) => signature(program, descriptor, path),
    isMountPoint: (path) => asked("/proc/self/mountinfo", () => isMountPoint(path))
  })

/** The real devices. */
export const layer: Layer.Layer<Devices> = layerProgram("blkid")
