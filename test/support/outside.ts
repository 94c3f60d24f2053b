import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Daemon } from "../../src/operation/Daemon.ts"
import * as Consul from "../../src/platform/Consul.ts"
import * as MemoryRbd from "../../src/platform/MemoryRbd.ts"
import * as Process from "../../src/platform/Process.ts"
import { Rbd } from "../../src/platform/Rbd.ts"

/** The world outside of the machine, empty: no images, no keys, no programs. */
export const outside = Layer.mergeAll(
  Layer.sync(Rbd, () => MemoryRbd.make(4096).rbd),
  Layer.sync(Consul.Connector, () => {
    const keys = new Map<string, string>()
    return { connect: () => Effect.sync(() => Consul.makeMemory(keys)) }
  }),
  Process.layerMemory({}),
  // no scheduler runs here; to start one is a mistake of the test
  Layer.mock(Daemon, {})
)
