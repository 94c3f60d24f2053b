/** Copies of files that share their blocks until one of them is written to. By default there are none. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Disk } from "./Disk.ts"
import { errnoError } from "./errno.ts"
import { fromUnknown, type IoError } from "./IoError.ts"

export class Reflink extends Context.Reference<Reflink>()("backy/platform/Reflink", {
  defaultValue: () => ({
    /** Makes `to`, which must not exist, a copy of `from`. `false`: the file system cannot, and nothing was made. */
    clone: (_from: string, _to: string): Effect.Effect<boolean, IoError> => Effect.succeed(false)
  })
}) {}

const whole = (call: string, path: string, size: number, some: (done: number) => number): void => {
  for (let done = 0; done < size;) {
    const count = some(done)
    if (count === 0) throw errnoError("EIO", call, path)
    done += count
  }
}

const copy = (disk: Disk, from: string, to: string): void => {
  const source = disk.open(from, { access: "read" })
  try {
    const { mode, size } = disk.stat(source)
    const target = disk.open(to, { access: "write", create: "exclusive", mode })
    try {
      const bytes = new Uint8Array(size)
      whole("read", from, size, (done) => disk.read(source, bytes.subarray(done), done))
      whole("write", to, size, (done) => disk.write(target, bytes.subarray(done), done))
    } catch (cause) {
      disk.unlink(to)
      throw cause
    } finally {
      disk.close(target)
    }
  } finally {
    disk.close(source)
  }
}

/** Copies on any disk, for simulations: they share nothing, which only their size on the medium tells. */
export const layerDisk = (disk: Disk): Layer.Layer<never> =>
  Layer.succeed(Reflink, {
    clone: (from, to) =>
      Effect.try({
        try: () => {
          copy(disk, from, to)
          return true
        },
        catch: (cause) => fromUnknown("copy", to, cause)
      })
  })
