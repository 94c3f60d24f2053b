/** What the loops do with the source a second time: compare it with what is stored, and heal from it. */
import type { Descriptor } from "../platform/Disk.ts"
import { toHex } from "../platform/hash.ts"
import { blockLength, hexAt, HOLE, isZero } from "./blockBytes.ts"
import { readDiffering } from "./blockPieces.ts"
import type * as Protocol from "./BlockProtocol.ts"
import { type Bench, onOpened, readBlock, SourceEnded } from "./blockSource.ts"
import * as ChunkFile from "./chunkFile.ts"
import * as ImageFile from "./imageFile.ts"
import { release } from "./release.ts"

/** What is wrong with a chunk whose content is not the source's. */
const complaint = (found: ChunkFile.Found): { readonly why: string } => {
  switch (found.state) {
    case "missing":
      return { why: "its chunk is missing" }
    case "damaged":
      return { why: `its chunk ${found.why}` }
    case "good":
      return { why: "its chunk holds other bytes" }
  }
}

/** Compares stored blocks with the source; what is damaged and still there is written anew. */
export const compare = (bench: Bench, request: Protocol.Compare): Protocol.Compared => {
  const { buffers, tools } = bench
  const hashOf = (bytes: Uint8Array): string => toHex(tools.hash(bytes))
  const differences: Array<Protocol.Difference> = []
  const healed: Array<Protocol.Healed> = []
  const folders = new Set<string>()
  let equal = 0

  const differ = (difference: Protocol.Difference, source?: Uint8Array, stored?: Uint8Array) => {
    const kept = differences.length < request.evidence
    differences.push({
      ...difference,
      ...(kept && source !== undefined ? { source: Uint8Array.from(source) } : {}),
      ...(kept && stored !== undefined ? { stored } : {})
    })
  }

  /** The block of an image that shares it with a damaged one is written anew, as a chunk would be. */
  const compareImage = (image: string, index: number, hex: string | null, block: Uint8Array) => {
    const read = () =>
      ImageFile.read(tools, { ...request, image }, index, hex ?? HOLE, buffers.held(block.length), isZero)
    const isSame = (found: ChunkFile.Found) => found.state === "good" && Buffer.compare(block, found.content) === 0
    let found = read()
    if (!isSame(found) && (hex === null ? isZero(block) : hashOf(block) === hex)) {
      healed.push({ id: hex ?? HOLE, ...complaint(found) })
      ImageFile.write(tools, image, block, index * request.chunkSize)
      found = read()
    }
    if (isSame(found)) return void (equal += block.byteLength)
    const stored = found.state === "good" ? Uint8Array.from(found.content) : undefined
    differ({ index, sourceHash: hashOf(block), storedHash: hex, ...complaint(found) }, block, stored)
  }

  /** Blocks that are stored as a chunk, or not at all; `source` is read once. */
  const compareChunk = (source: Descriptor, index: number, hex: string | null) => {
    const length = blockLength(request, index)
    let found = hex === null
      ? undefined
      : ChunkFile.readReplaceable(tools, request.repository, hex, length, { hashed: false })
    const block = found === undefined || found.state === "good"
      ? readDiffering(bench, request, source, index, found?.content)
      : readBlock(bench, request, source, index)
    if (block === undefined) {
      if (found?.state === "good") release(found.content)
      equal += length
      return
    }
    const sourceHash = hashOf(block)
    if (hex === null || found === undefined) {
      differ({ index, sourceHash, storedHash: null, why: "was zero when it was first read" }, block)
      return
    }
    if (sourceHash === hex) {
      // the chunk is not what its name says, and the source still has what it should hold
      const raw = found.state === "damaged" && healed.length < request.evidence ? { raw: found.raw } : {}
      healed.push({ id: hex, ...complaint(found), ...raw })
      ChunkFile.publish(tools, request.repository, [ChunkFile.writeAside(tools, request.repository, hex, block)])
      folders.add(ChunkFile.folderOf(hex))
      found = ChunkFile.read(tools, request.repository, hex, length, { hashed: false })
      if (found.state === "good" && Buffer.compare(block, found.content) === 0) {
        release(found.content)
        equal += length
        return
      }
    }
    const stored = found.state === "good" ? found.content : found.state === "damaged" ? found.raw : undefined
    differ({ index, sourceHash, storedHash: hex, ...complaint(found) }, block, stored)
  }

  const compareBlock = (source: Descriptor, index: number, at: number) => {
    const hex = hexAt(request.ids, at)
    try {
      if (request.image === undefined) compareChunk(source, index, hex)
      else compareImage(request.image, index, hex, readBlock(bench, request, source, index))
    } catch (cause) {
      if (!(cause instanceof SourceEnded)) throw cause
      differ({ index, sourceHash: null, storedHash: hex, why: "the source ended before it" })
    }
  }

  onOpened(request.source, (source) => {
    request.indexes.forEach((index, at) => compareBlock(source, index, at))
  })
  return { equal, differences, healed, folders: [...folders] }
}

/** Stores given chunks anew where the source still has their very content. */
export const heal = (bench: Bench, request: Protocol.Heal): Protocol.HealResult => {
  const { tools } = bench
  const healed: Array<string> = []
  const folders = new Set<string>()
  onOpened(request.source, (source) => {
    request.indexes.forEach((index, at) => {
      const hex = hexAt(request.ids, at)
      if (hex === null) return
      let block: Uint8Array
      try {
        block = readBlock(bench, request, source, index)
      } catch (cause) {
        // the image has become shorter: this source cannot help
        if (cause instanceof SourceEnded) return
        throw cause
      }
      if (toHex(tools.hash(block)) !== hex) return
      ChunkFile.publish(tools, request.repository, [ChunkFile.writeAside(tools, request.repository, hex, block)])
      folders.add(ChunkFile.folderOf(hex))
      healed.push(hex)
    })
  })
  return { healed, folders: [...folders] }
}
