/** The in-memory world with an RBD image as the source. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as MemoryRbd from "../../src/platform/MemoryRbd.ts"
import { Rbd } from "../../src/platform/Rbd.ts"
import * as CephRbdSource from "../../src/source/CephRbdSource.ts"
import { Source } from "../../src/source/Source.ts"
import * as World from "./World.ts"

/** `pool/image` of every world. */
export const IMAGE = "rbd/vm"

/** A simulated disk and cluster; `rbd` may be wrapped to misbehave, and the image is there, empty. */
export const make = (options?: {
  readonly size?: number
  readonly objectSize?: number
  readonly fullAlways?: boolean
  readonly take?: CephRbdSource.Take
  readonly wrap?: (rbd: Rbd["Type"]) => Rbd["Type"]
}) => {
  const memory = World.makeDisk()
  const ceph = MemoryRbd.make(options?.objectSize ?? World.CHUNK)
  ceph.create(IMAGE, options?.size ?? 40 * World.CHUNK)
  const settings = { pool: "rbd", image: "vm", ...options?.fullAlways === true ? { fullAlways: true } : {} }
  const source = Layer.effect(Source, CephRbdSource.make(settings, options?.take))
  const layer = Layer.provideMerge(
    source,
    Layer.merge(World.layerOn(memory.disk), Layer.succeed(Rbd, (options?.wrap ?? ((rbd) => rbd))(ceph.rbd)))
  )
  return {
    memory,
    ceph,
    layer,
    run: <A, E>(effect: Effect.Effect<A, E, Layer.Layer.Success<typeof layer>>) => Effect.provide(effect, layer)
  }
}
