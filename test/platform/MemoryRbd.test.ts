import * as Layer from "effect/Layer"
import * as MemoryRbd from "../../src/platform/MemoryRbd.ts"
import { Rbd } from "../../src/platform/Rbd.ts"
import { rbdContract } from "../support/contract/Rbd.contract.ts"

rbdContract("twin", () => {
  const memory = MemoryRbd.make(4096)
  let images = 0
  const call = (run: () => void) => Promise.resolve().then(run)
  const path = (image: string) => `rbd/${image}`
  return {
    layer: Layer.succeed(Rbd, memory.rbd),
    pool: "rbd",
    fresh: () => `image-${++images}`,
    objectSize: 4096,
    create: (image, size) => call(() => memory.create(path(image), size)),
    write: (image, offset, bytes) => call(() => memory.write(path(image), offset, bytes)),
    resize: (image, size) => call(() => memory.resize(path(image), size)),
    setProtected: (image, snapshot, on) => call(() => memory.setProtected(path(image), snapshot, on))
  }
})
