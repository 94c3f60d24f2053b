/** Room on the real file systems. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { statfs } from "node:fs/promises"
import { FreeSpace } from "./FreeSpace.ts"

export const layer: Layer.Layer<never> = Layer.succeed(FreeSpace, {
  at: (directory) =>
    Effect.map(
      Effect.option(Effect.tryPromise(() => statfs(directory))),
      (found) => {
        if (found._tag === "None") return undefined
        const { bavail, blocks, bsize } = found.value
        return { free: bavail * bsize, total: blocks * bsize }
      }
    )
})
