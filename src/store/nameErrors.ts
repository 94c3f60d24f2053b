/** Errors that say which file they are about: the kernel's own do not when a call was given a descriptor. */
import type { Descriptor, Disk } from "../platform/Disk.ts"

/** The same disk; what its calls on descriptors throw carries the path that was opened. */
export const nameErrors = (disk: Disk): Disk => {
  const paths = new Map<Descriptor, string>()

  const named =
    <Rest extends ReadonlyArray<unknown>, A>(call: (descriptor: Descriptor, ...rest: Rest) => A) =>
    (descriptor: Descriptor, ...rest: Rest): A => {
      try {
        return call(descriptor, ...rest)
      } catch (cause) {
        const path = paths.get(descriptor)
        throw cause instanceof Error && path !== undefined && !("path" in cause)
          ? Object.assign(cause, { path })
          : cause
      }
    }

  const close = named(disk.close)
  return {
    ...disk,
    open: (path, options) => {
      const descriptor = disk.open(path, options)
      paths.set(descriptor, path)
      return descriptor
    },
    close: (descriptor) => {
      try {
        close(descriptor)
      } finally {
        paths.delete(descriptor)
      }
    },
    read: named(disk.read),
    write: named(disk.write),
    sync: named(disk.sync),
    datasync: named(disk.datasync),
    truncate: named(disk.truncate),
    stat: named(disk.stat),
    nextData: named(disk.nextData),
    punch: named(disk.punch)
  }
}
