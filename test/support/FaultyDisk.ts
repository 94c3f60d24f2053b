/**
 * A disk on which calls fail: decorates any `Disk`.
 */
import type { Disk } from "../../src/platform/Disk.ts"
import { errnoError } from "../../src/platform/errno.ts"

/** A call of `Disk`. */
export type Call = keyof Disk

/** What goes wrong, and when. */
export interface Fault {
  /** Which calls it is about; all when absent. */
  readonly call?: Call | ReadonlyArray<Call>
  /** Only calls on paths that this matches. Of a rename, the old and the new name. */
  readonly path?: RegExp
  /** Only the n-th such call, counted from 1, or with `onwards` this and all later ones. Absent: all of them. */
  readonly nth?: number
  readonly onwards?: boolean
  /** The call throws this errno, without effect; but a close that fails has closed. */
  readonly code?: string
  /** The call throws whatever this gives, e.g. to end a simulation. */
  readonly error?: (call: Call, path: string) => unknown
  /** Reads and writes transfer at most so many bytes. */
  readonly limit?: number
  /** Before a sync fails: e.g. `(path) => memory.failWriteBack(path)`, as Linux drops what it could not write. */
  readonly lose?: (path: string) => void
}

export interface FaultyDisk {
  readonly disk: Disk
  /** Calls so far, of one kind or of all. */
  readonly count: (call?: Call) => number
  /** Faults that came true so far. */
  readonly struck: () => number
  /** The calls so far, in order: name and path. */
  readonly log: ReadonlyArray<string>
}

const concerns = (fault: Fault, call: Call, paths: ReadonlyArray<string>): boolean => {
  const calls = fault.call === undefined ? undefined : typeof fault.call === "string" ? [fault.call] : fault.call
  return (calls === undefined || calls.includes(call)) &&
    (fault.path === undefined || paths.some((p) => fault.path?.test(p)))
}

/** A disk that passes calls on to `inner`, but for the faults. Of several that apply, the first counts. */
export const make = (inner: Disk, faults: ReadonlyArray<Fault>): FaultyDisk => {
  const paths = new Map<number, string>()
  const counts = new Map<Call, number>()
  const seen = faults.map(() => 0)
  const log: Array<string> = []
  let struck = 0

  /** The fault that hits this call. */
  const hit = (call: Call, ...names: ReadonlyArray<string>): Fault | undefined => {
    counts.set(call, (counts.get(call) ?? 0) + 1)
    log.push([call, ...names].join(" "))
    let first: Fault | undefined
    faults.forEach((fault, index) => {
      if (!concerns(fault, call, names)) return
      const n = seen[index] = (seen[index] ?? 0) + 1
      const due = fault.nth === undefined || n === fault.nth || (fault.onwards === true && n > fault.nth)
      if (due) first ??= fault
    })
    if (first !== undefined) struck++
    return first
  }
  const thrown = (fault: Fault | undefined, call: Call, path: string): void => {
    if (fault?.error !== undefined) throw fault.error(call, path)
    if (fault?.code !== undefined) throw errnoError(fault.code, call, path)
  }
  const guarded = <A>(call: Call, names: ReadonlyArray<string>, run: () => A): A => {
    thrown(hit(call, ...names), call, names[0] ?? "")
    return run()
  }
  const on = (descriptor: number): string => paths.get(descriptor) ?? "?"
  const synced = (call: "sync" | "datasync", descriptor: number): void => {
    const path = on(descriptor)
    const fault = hit(call, path)
    if (fault !== undefined) fault.lose?.(path)
    thrown(fault, call, path)
    inner[call](descriptor)
  }
  const transfer = (call: "read" | "write", descriptor: number, buffer: Uint8Array, position: number): number => {
    const fault = hit(call, on(descriptor))
    thrown(fault, call, on(descriptor))
    const limit = fault?.limit ?? buffer.length
    return limit === 0 ? 0 : inner[call](descriptor, buffer.subarray(0, limit), position)
  }

  return {
    count: (call) => call === undefined ? log.length : counts.get(call) ?? 0,
    struck: () => struck,
    log,
    disk: {
      open: (path, options) =>
        guarded("open", [path], () => {
          const descriptor = inner.open(path, options)
          paths.set(descriptor, path)
          return descriptor
        }),
      close: (descriptor) => {
        const path = on(descriptor)
        const fault = hit("close", path)
        paths.delete(descriptor)
        inner.close(descriptor)
        thrown(fault, "close", path)
      },
      read: (descriptor, buffer, position) => transfer("read", descriptor, buffer, position),
      write: (descriptor, buffer, position) => transfer("write", descriptor, buffer, position),
      sync: (descriptor) => synced("sync", descriptor),
      datasync: (descriptor) => synced("datasync", descriptor),
      truncate: (descriptor, size) => guarded("truncate", [on(descriptor)], () => inner.truncate(descriptor, size)),
      stat: (descriptor) => guarded("stat", [on(descriptor)], () => inner.stat(descriptor)),
      lstat: (path) => guarded("lstat", [path], () => inner.lstat(path)),
      nextData: (descriptor, position) =>
        guarded("nextData", [on(descriptor)], () => inner.nextData(descriptor, position)),
      punch: (descriptor, offset, length) =>
        guarded("punch", [on(descriptor)], () => inner.punch(descriptor, offset, length)),
      // Never fails.
      dropCache: (descriptor, offset, length) => inner.dropCache(descriptor, offset, length),
      rename: (from, to) => guarded("rename", [from, to], () => inner.rename(from, to)),
      link: (from, to) => guarded("link", [from, to], () => inner.link(from, to)),
      unlink: (path) => guarded("unlink", [path], () => inner.unlink(path)),
      makeDirectory: (path, mode) => guarded("makeDirectory", [path], () => inner.makeDirectory(path, mode)),
      removeDirectory: (path) => guarded("removeDirectory", [path], () => inner.removeDirectory(path)),
      list: (path) => guarded("list", [path], () => inner.list(path)),
      readLink: (path) => guarded("readLink", [path], () => inner.readLink(path)),
      chmod: (path, mode) => guarded("chmod", [path], () => inner.chmod(path, mode))
    }
  }
}
