/**
 * The hot loops: everything that happens to every block of an image. Written once, synchronous, against `Disk`, so
 * that worker threads and simulations run the same code. Who decides, fails or commits is the caller.
 */
import * as AmendBlocks from "./amendBlocks.ts"
import type * as Protocol from "./BlockProtocol.ts"
import { makeBuffers } from "./blockSource.ts"
import type * as ChunkFile from "./chunkFile.ts"
import * as CompareBlocks from "./compareBlocks.ts"
import { nameErrors } from "./nameErrors.ts"
import * as ReadBlocks from "./readBlocks.ts"
import * as RemoveFiles from "./removeFiles.ts"
import { makeStore } from "./storeBlocks.ts"

/** State that one thread keeps between batches. */
export interface Loops {
  readonly perform: <R extends Protocol.Request>(request: R) => Protocol.Answer<R>
}

/** The loops over a disk; each thread has its own. */
export const make = (given: ChunkFile.Tools): Loops => {
  const bench = { tools: { ...given, disk: nameErrors(given.disk) }, buffers: makeBuffers() }
  const storing = makeStore(bench)

  const answer = (request: Protocol.Request): Protocol.Answers[keyof Protocol.Answers] => {
    switch (request.op) {
      case "store":
        return storing.store(request)
      case "compare":
        return CompareBlocks.compare(bench, request)
      case "heal":
        return CompareBlocks.heal(bench, request)
      case "check":
        return ReadBlocks.check(bench, request)
      case "restore":
        return ReadBlocks.restore(bench, request)
      case "amend":
        return AmendBlocks.amend(bench, request)
      case "read":
        return ReadBlocks.read(bench, request)
      case "put":
        return storing.put(request)
      case "convert":
        return storing.convert(request)
      case "confirm":
        return ReadBlocks.confirm(bench, request)
      case "fill":
        return storing.fill(request)
      case "remove":
        return RemoveFiles.remove(bench.tools.disk, request)
    }
  }

  // `answer` pairs each `op` with its own result; the compiler cannot follow that through the switch
  return { perform: <R extends Protocol.Request>(request: R) => answer(request) as Protocol.Answer<R> }
}
