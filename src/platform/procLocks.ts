/**
 * Who holds a lock, by what the kernel tells of processes in /proc: also those who hold it together with others and
 * write nothing into the file. Of processes of other users only root is told.
 */
import { readdirSync, readFileSync, statSync } from "node:fs"
import { printable, programName } from "./LockHolder.ts"

/** A process that holds a lock. */
export interface Locker {
  readonly pid: number
  /** As a user reads it: `backy -b /srv/backy/web01 restore vm.img, process 4711, since 2026-11-23 14:00:00 UTC`. */
  readonly text: string
}

/** What reading gives, if one may. Processes end while they are looked at. */
const attempt = <A>(read: () => A): A | undefined => {
  try {
    return read()
  } catch {
    return undefined
  }
}

/** Linux counts the start of processes in these, whatever the machine. In milliseconds. */
const TICK = 10

/** The fields of a process's `stat` from the third on: the second is the name in brackets, which may hold anything. */
const statOf = (pid: string): ReadonlyArray<string> => {
  const stat = attempt(() => readFileSync(`/proc/${pid}/stat`, "latin1"))
  return stat?.slice(stat.lastIndexOf(")") + 2).split(" ") ?? []
}

const startOf = (pid: string): number | undefined => {
  const ticks = Number(statOf(pid)[19])
  const boot = Number(/^btime (\d+)$/m.exec(attempt(() => readFileSync("/proc/stat", "latin1")) ?? "")?.[1])
  return Number.isFinite(ticks + boot) ? boot * 1000 + ticks * TICK : undefined
}

/** The command line as it was typed: without Node.js, its options and the script. Empty when it is just ending. */
const commandOf = (pid: string): string => {
  const words = attempt(() => readFileSync(`/proc/${pid}/cmdline`, "utf8"))?.split("\0").slice(0, -1) ?? []
  const script = /(^|\/)node$/.test(words[0] ?? "")
    ? words.findIndex((word, at) => at > 0 && !word.startsWith("-"))
    : -1
  const typed = script < 0 ? words : [programName(words[script] ?? ""), ...words.slice(script + 1)]
  return printable(typed.join(" "), 200)
}

/** Whether one of the files that a process has open is this one, and is locked through that. */
const locks = (pid: string, file: { readonly dev: bigint; readonly ino: bigint }): boolean =>
  (attempt(() => readdirSync(`/proc/${pid}/fd`)) ?? []).some((descriptor) => {
    const open = attempt(() => statSync(`/proc/${pid}/fd/${descriptor}`, { bigint: true }))
    if (open?.ino !== file.ino || open.dev !== file.dev) return false
    return /^lock:.* FLOCK /m.test(attempt(() => readFileSync(`/proc/${pid}/fdinfo/${descriptor}`, "latin1")) ?? "")
  })

/** The processes that hold a kernel lock on a file, as far as this user is told. Never throws. */
export const lockersOf = (path: string): ReadonlyArray<Locker> => {
  const file = attempt(() => statSync(path, { bigint: true }))
  if (file === undefined) return []
  const holders = (attempt(() => readdirSync("/proc")) ?? []).filter((name) => /^\d+$/.test(name) && locks(name, file))
  // a child that was given the lock's descriptor, as the program is that takes the lock for us, is no holder of its own
  return holders.filter((pid) => !holders.includes(statOf(pid)[1] ?? ""))
    .flatMap((pid) => {
      const command = commandOf(pid)
      // who is ending gives the lock away in a moment
      if (command === "") return []
      const start = startOf(pid)
      const since = start === undefined
        ? ""
        : `, since ${new Date(start).toISOString().slice(0, 19).replace("T", " ")} UTC`
      return [{ pid: Number(pid), text: `${command}, process ${pid}${since}` }]
    })
}
