import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Listener } from "../../src/nbd/Listener.ts"
import { Daemon } from "../../src/operation/Daemon.ts"
import * as Consul from "../../src/platform/Consul.ts"
import { Foreground } from "../../src/platform/Foreground.ts"
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
  // nobody connects
  Layer.succeed(Listener, { listen: (address) => Effect.succeed({ address, accept: Effect.never }) }),
  // a shell that knows `exit N`
  Layer.succeed(Foreground, {
    run: (line) => Effect.succeed({ _tag: "Exit", code: Number(/^exit (\d+)$/.exec(line)?.[1] ?? 127) })
  }),
  // no scheduler runs here; to start one is a mistake of the test
  Layer.mock(Daemon, {})
)
