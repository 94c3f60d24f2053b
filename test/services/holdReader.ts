/** Opens snapshot `a` of the image that the argument names, says so, and holds it until it is killed. */
import * as Effect from "effect/Effect"
import { Rbd } from "../../src/platform/Rbd.ts"
import { POOL, rbdLayer } from "./cluster.ts"

const [image = ""] = process.argv.slice(2)

await Effect.runPromise(
  Effect.scoped(Effect.gen(function*() {
    const { read } = yield* (yield* Rbd).open({ pool: POOL, image }, "a")
    yield* read(0, 512)
    process.stdout.write("open\n")
    yield* Effect.never
  })).pipe(Effect.provide(rbdLayer))
)
