/** What the loops do with new content: find out what is there already, and store the rest. */
import { DIGEST_LENGTH, toHex } from "../platform/hash.ts"
import { hexAt, idAt, isZero } from "./blockBytes.ts"
import { glance } from "./blockPieces.ts"
import type * as Protocol from "./BlockProtocol.ts"
import { type Bench, onOpened, readBlock } from "./blockSource.ts"
import * as ChunkFile from "./chunkFile.ts"
import * as ImageFile from "./imageFile.ts"
import { readChecked } from "./readBlocks.ts"
import { release } from "./release.ts"

interface Batch {
  readonly repository: string
  readonly pending: Map<string, ChunkFile.Pending>
  readonly folders: Set<string>
  found: number
  writtenBytes: number
  storedBytes: number
}

const newBatch = (repository: string): Batch => ({
  repository,
  pending: new Map(),
  folders: new Set(),
  found: 0,
  writtenBytes: 0,
  storedBytes: 0
})

/** The storing loops of one thread; they remember what they found good in the run that is under way. */
export const makeStore = (bench: Bench) => {
  const { tools } = bench
  let run = ""
  // ids known good and durable in this run; bounded by the chunks of one image
  let good = new Set<string>()

  const enter = (name: string): void => {
    if (name !== run) {
      run = name
      good = new Set()
    }
  }

  /**
   * Stores the blocks that `next` gives one after the other; `undefined` counts as a hole, `unchanged` as the content
   * that the base has there.
   */
  const storeAll = (
    request: Protocol.Blocks & { readonly run: string; readonly base?: Uint8Array },
    next: (index: number, base: Uint8Array | undefined, at: number) => Uint8Array | "unchanged" | undefined
  ): Protocol.Stored => {
    enter(request.run)
    const batch = newBatch(request.repository)
    const ids = new Uint8Array(request.indexes.length * DIGEST_LENGTH)
    let holes = 0
    let unchanged = 0
    try {
      request.indexes.forEach((index, at) => {
        const base = request.base === undefined ? undefined : idAt(request.base, at)
        const block = next(index, base, at)
        if (block === "unchanged") {
          if (base !== undefined) ids.set(base, at * DIGEST_LENGTH)
          unchanged++
          return
        }
        if (block === undefined || isZero(block)) {
          holes++
          return
        }
        const digest = tools.hash(block)
        ids.set(digest, at * DIGEST_LENGTH)
        if (base !== undefined && Buffer.compare(base, digest) === 0) unchanged++
        else keep(batch, toHex(digest), block)
      })
    } catch (cause) {
      abandon(batch)
      throw cause
    }
    return { ids, holes, unchanged, ...finish(batch) }
  }

  const store = (request: Protocol.Store): Protocol.Stored =>
    onOpened(
      request.source,
      (source) =>
        storeAll(request, (index, base) => {
          const seen = glance(bench, request, source, index, base)
          return seen === "zeros" ? undefined : seen === "same" ? "unchanged" : readBlock(bench, request, source, index)
        })
    )

  const convert = (request: Protocol.Convert): Protocol.Converted => {
    const bad: Array<Protocol.BadChunk> = []
    const stored = storeAll(request, (index, _, at) => {
      const hex = hexAt(request.ids, at)
      if (hex === null) return undefined
      const chunk = readChecked(bench, request, index, hex)
      if ("content" in chunk) return chunk.content
      bad.push(chunk.bad)
      return undefined
    })
    return { ...stored, bad }
  }

  const fill = (request: Protocol.Fill): Protocol.Stored =>
    onOpened(request.target, (target) =>
      ImageFile.fill(
        tools,
        request,
        target,
        (index) => onOpened(request.source, (source) => readBlock(bench, request, source, index)),
        isZero
      ))

  const put = (request: Protocol.Put): Protocol.Stored => {
    enter(request.run)
    const batch = newBatch(request.repository)
    const digest = tools.hash(request.content)
    // between two puts the chunk may have been removed
    good.delete(toHex(digest))
    keep(batch, toHex(digest), request.content)
    return { ids: new Uint8Array(digest), holes: 0, unchanged: 0, ...finish(batch) }
  }

  /** Sees to it that a chunk is stored: reuses what is whole, writes what is missing or damaged. */
  const keep = (batch: Batch, hex: string, content: Uint8Array): void => {
    if (good.has(hex) || batch.pending.has(hex)) {
      batch.found++
      return
    }
    // a file of that name may be torn: it was perhaps never synced
    const length = content.byteLength
    const present = ChunkFile.readReplaceable(tools, batch.repository, hex, length, { hashed: true, sync: true })
    batch.folders.add(ChunkFile.folderOf(hex))
    if (present.state === "good") {
      release(present.content)
      good.add(hex)
      batch.found++
      return
    }
    const pending = ChunkFile.writeAside(tools, batch.repository, hex, content)
    batch.pending.set(hex, pending)
    batch.writtenBytes += length
    batch.storedBytes += pending.stored
  }

  const finish = (batch: Batch) => {
    const { folders, found, pending, storedBytes, writtenBytes } = batch
    ChunkFile.publish(tools, batch.repository, [...pending.values()])
    for (const hex of pending.keys()) good.add(hex)
    return { found, written: pending.size, writtenBytes, storedBytes, folders: [...folders] }
  }

  const abandon = (batch: Batch): void => {
    for (const pending of batch.pending.values()) ChunkFile.discard(tools, pending)
  }

  return { store, convert, fill, put }
}
