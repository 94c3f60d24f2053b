/** A simulated machine's disk together with what lies outside of the machine: they are copied and watched as one. */
import type { MemoryDisk } from "../../src/platform/MemoryDisk.ts"
import type { Surroundings } from "./Surroundings.ts"

/** Looks at each call of the disk and of what lies outside, before it takes effect. */
export type Hook = (n: number, name: string, path: string) => void

export interface Site extends MemoryDisk {
  readonly outside: Surroundings
  onOperation: Hook | undefined
}

export const isSite = (memory: object): memory is Site => "outside" in memory

/** Puts a disk and what lies outside together. Neither may be used by itself any more, but to be looked at. */
export const make = (memory: MemoryDisk, outside: Surroundings): Site => {
  let calls = 0
  let hook: Hook | undefined
  const tell = (name: string, path: string): void => {
    calls++
    hook?.(calls, name, path)
  }
  memory.onOperation = (_, name, path) => tell(name, path)
  outside.watcher = tell
  return {
    outside,
    disk: memory.disk,
    plantDevice: memory.plantDevice,
    plantDirectory: memory.plantDirectory,
    plantFile: memory.plantFile,
    plantLink: memory.plantLink,
    plantOther: memory.plantOther,
    get readOnly() {
      return memory.readOnly
    },
    set readOnly(value) {
      memory.readOnly = value
    },
    get capacity() {
      return memory.capacity
    },
    set capacity(value) {
      memory.capacity = value
    },
    get onOperation() {
      return hook
    },
    set onOperation(value) {
      hook = value
    },
    get operations() {
      return calls
    },
    get used() {
      return memory.used
    },
    get openDescriptors() {
      return [...memory.openDescriptors, ...outside.ceph.opened]
    },
    get isDurable() {
      return memory.isDurable
    },
    syncAll: memory.syncAll,
    clone: () => make(memory.clone(), outside.copy()),
    // what lies outside notices no power loss of ours
    crash: (choose, options) => make(memory.crash(choose, options), outside.copy()),
    failWriteBack: memory.failWriteBack,
    bytesAt: memory.bytesAt,
    describe: () => [...memory.describe(), ...outside.describe()]
  }
}
