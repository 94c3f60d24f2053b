/**
 * The entry of a worker thread: takes requests about blocks, runs the hot loops over the real disk, answers. Kept free
 * of Effect so that a thread starts in a few milliseconds.
 */
import { randomInt } from "node:crypto"
import { parentPort, workerData } from "node:worker_threads"
import * as Hash from "../platform/hash.ts"
import { nodeDisk } from "../platform/nodeDisk.ts"
import { failureOf } from "./blockFailure.ts"
import * as BlockLoops from "./BlockLoops.ts"
import { PIECE } from "./blockPieces.ts"
import type { Request } from "./BlockProtocol.ts"
import { release } from "./release.ts"
import type { WorkerMessage, WorkerSettings } from "./WorkerPool.ts"

const port = parentPort
if (port === null) throw new Error("blockWorker.ts is the entry of a worker thread")

// the pool is the only one to start this file, with these settings
const settings = workerData as WorkerSettings

const { hash, hasher } = Hash.load()

const loops = BlockLoops.make({
  disk: nodeDisk,
  hash,
  hasher,
  piece: PIECE,
  level: settings.level,
  writer: randomInt(36 ** 6).toString(36).padStart(6, "0")
})

const bytesToMove = (answer: object): Array<ArrayBuffer> =>
  "bytes" in answer && answer.bytes instanceof Uint8Array && answer.bytes.buffer instanceof ArrayBuffer
    ? [answer.bytes.buffer]
    : []

port.on("message", ({ id, request }: { readonly id: number; readonly request: Request }) => {
  let message: WorkerMessage
  let move: Array<ArrayBuffer> = []
  try {
    const answer = loops.perform(request)
    move = bytesToMove(answer)
    message = { id, answer }
  } catch (cause) {
    message = { id, failure: failureOf(cause) }
  }
  // it was given to us
  if (request.op === "put") release(request.content)
  port.postMessage(message, move)
})
