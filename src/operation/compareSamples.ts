import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as ChunkMap from "../domain/ChunkMap.ts"
import type { Verification } from "../domain/Revision.ts"
import * as Hash from "../platform/hash.ts"
import { Repository } from "../repository/Repository.ts"
import type { Samples } from "../source/Source.ts"
import { isZero } from "../store/blockBytes.ts"
import type * as Protocol from "../store/BlockProtocol.ts"
import { Blocks } from "../store/Blocks.ts"
import { ChunkStore } from "../store/ChunkStore.ts"
import { release } from "../store/release.ts"
import { type CompareReport, MAX_EVIDENCE } from "./compare.ts"
import { Progress } from "./Progress.ts"
import { plan } from "./samplePlan.ts"
import { storedBlock } from "./storedBlock.ts"

/** How long the samples that must be compared may take. */
const LIMIT = Duration.hours(2)

/** How long the rotating part may take; what it does not reach is the next run's. */
const ROTATION_LIMIT = Duration.hours(1)

/** Too few samples could be compared in the time that there is. No revision was made. */
export class VerificationTooSlow extends Data.TaggedError("VerificationTooSlow")<{
  readonly compared: number
  readonly of: number
}> {
  override get message() {
    return `the backup was not kept: only ${this.compared} of ${this.of} samples could be compared with the source ` +
      `within ${Duration.format(LIMIT)}`
  }
}

/** What the runs before left to this one. */
export interface Rotation {
  /** The newest revision's record of what was compared. */
  readonly previous: Verification | undefined
  /** In how many runs the whole image is to be compared once. */
  readonly runs: number
}

/**
 * Compares samples of the source with what is stored under a map: chunks are read back and decoded. Always compared are
 * the image's last chunk and at least one in a hundred, changed and unchanged ones; besides the next part of a rotation
 * through the whole image. Damaged chunks are stored anew where the source has their content. Fails with
 * `VerificationTooSlow`, `SourceNotReady`, `IoError`.
 */
export const compareSamples = Effect.fn("compareSamples")(function*(options: {
  readonly samples: Samples
  readonly map: ChunkMap.ChunkMap
  readonly touched: ReadonlySet<number>
  readonly run: string
  readonly rotation: Rotation
}) {
  const { map, rotation, samples } = options
  const { directory } = yield* Repository
  const blocks = yield* Blocks
  const store = yield* ChunkStore
  const progress = yield* Progress
  const { hash } = Hash.load()
  const differences: Array<Protocol.Difference> = []
  const healed: Array<Protocol.Healed> = []
  const folders = new Set<string>()
  const done = new Set<number>()
  const count = ChunkMap.count(map)
  const cursor = rotation.previous?.cursor ?? 0
  const { required, rotation: turn } = plan({
    count,
    touched: options.touched,
    seed: options.run,
    cursor,
    runs: rotation.runs
  })

  const readSource = (index: number) => samples.read(index * map.chunkSize, ChunkMap.chunkLength(map, index))

  const readStored = (index: number) => storedBlock(map, index)

  /** What is wrong with a chunk, unless it is as it should be. */
  const examine = Effect.fnUntraced(function*(index: number, mayHeal: boolean) {
    const source = yield* readSource(index)
    const id = ChunkMap.idAt(map, index)
    if (id === undefined) {
      return isZero(source) ? undefined : { source, stored: undefined, why: "is zeros in the backup" }
    }
    const { bad, bytes } = yield* readStored(index)
    const [problem] = bad
    if (problem === undefined) {
      if (Buffer.compare(source, bytes) !== 0) return { source, stored: bytes, why: "its chunk holds other bytes" }
      release(bytes)
      return undefined
    }
    if (mayHeal && Hash.toHex(hash(source)) === id) {
      // what a source has read may be its own
      const content = Uint8Array.from(source)
      const stored = yield* blocks.put({ repository: directory, run: `${options.run}+healing`, content })
      for (const folder of stored.folders) folders.add(folder)
      healed.push({ id, why: problem.why })
      return undefined
    }
    return { source, stored: undefined, why: `its chunk ${problem.why}` }
  })

  const compareChunk = Effect.fnUntraced(function*(index: number) {
    if (done.has(index)) return
    done.add(index)
    // a difference has to be seen twice; what was healed has to be right at the second look
    let found = yield* examine(index, true)
    if (found !== undefined || healed.some(({ id }) => id === ChunkMap.idAt(map, index))) {
      found = yield* examine(index, false)
    }
    if (found !== undefined) {
      const kept = differences.length < MAX_EVIDENCE
      differences.push({
        index,
        sourceHash: Hash.toHex(hash(found.source)),
        storedHash: ChunkMap.idAt(map, index) ?? null,
        why: found.why,
        ...(kept ? { source: found.source } : {}),
        ...(kept && found.stored !== undefined ? { stored: found.stored } : {})
      })
    }
    yield* progress.advance(ChunkMap.chunkLength(map, index))
  })

  const bytesOf = (indexes: Iterable<number>) =>
    [...indexes].reduce((sum, index) => sum + ChunkMap.chunkLength(map, index), 0)

  yield* progress.start("verifying", bytesOf(new Set([...required, ...turn])))
  // the next sample is read while the chunk of the last one is decoded
  yield* Effect.forEach(required, compareChunk, { concurrency: 2, discard: true }).pipe(
    Effect.timeoutFail({
      duration: LIMIT,
      onTimeout: () => new VerificationTooSlow({ compared: done.size, of: required.length })
    })
  )
  const deadline = (yield* Clock.currentTimeMillis) + Duration.toMillis(ROTATION_LIMIT)
  let reached = cursor < count ? cursor : 0
  for (const index of turn) {
    if ((yield* Clock.currentTimeMillis) > deadline) break
    yield* compareChunk(index)
    reached = index + 1
  }
  yield* store.sync([...folders])
  const isRound = reached >= count
  const now = DateTime.formatIso(yield* DateTime.now)
  const started = cursor === 0 ? now : rotation.previous?.rotation_started ?? now
  return {
    differences,
    healed,
    verification: {
      kind: "samples",
      compared: bytesOf(done),
      of: map.size,
      cursor: isRound ? 0 : reached,
      rotation_started: isRound ? now : started,
      // everything was compared since the beginning of the round that has just ended
      ...isRound
        ? { fully_compared: started }
        : rotation.previous?.fully_compared === undefined
        ? {}
        : { fully_compared: rotation.previous.fully_compared }
    }
  } satisfies CompareReport
})
