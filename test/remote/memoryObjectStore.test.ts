import * as Layer from "effect/Layer"
import * as Memory from "../../src/remote/memoryObjectStore.ts"
import { ObjectStore } from "../../src/remote/ObjectStore.ts"
import { objectStoreContract } from "../support/contract/ObjectStore.contract.ts"

for (const versioned of [false, true]) {
  objectStoreContract(versioned ? "in memory, with versions" : "in memory", () => ({
    layer: Layer.succeed(ObjectStore, Memory.make({ versioned, page: 7 })),
    prefix: "in/memory",
    versioned,
    atomic: true
  }))
}
