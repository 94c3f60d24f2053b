/** Copies that share blocks, where the real file system can: btrfs, XFS, ZFS. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { constants } from "node:fs"
import { copyFile } from "node:fs/promises"
import { fromUnknown } from "./IoError.ts"
import { isUnsupported } from "./kernel.ts"
import { Reflink } from "./Reflink.ts"

export const layer: Layer.Layer<never> = Layer.succeed(Reflink, {
  clone: (from, to) =>
    Effect.tryPromise({
      try: () => copyFile(from, to, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE_FORCE),
      catch: (cause) => fromUnknown("copy", to, cause)
    }).pipe(
      Effect.as(true),
      Effect.catchIf(({ code }) => isUnsupported(code) || code === "EXDEV", () => Effect.succeed(false))
    )
})
