/** What the loops do with stored blocks alone: check, restore, read and compare them with each other. */
import { blockLength, hexAt, HOLE, isZero } from "./blockBytes.ts"
import type * as Protocol from "./BlockProtocol.ts"
import { type Bench, onOpened } from "./blockSource.ts"
import * as ChunkFile from "./chunkFile.ts"
import * as ImageFile from "./imageFile.ts"
import * as LegacyFile from "./legacy/legacyFile.ts"
import { hasOwnMemory, release } from "./release.ts"
import * as StoredId from "./storedId.ts"

/** Blocks that are held as chunks, or in an image file. */
export type Held = Protocol.Blocks & {
  readonly image?: string
  /** Whether trailers are looked at. */
  readonly trailers?: boolean
}

/** Content of a place, or what is wrong with it; `shared` content lies in a buffer that is used again. */
export type ReadChunk =
  | { readonly content: Uint8Array; readonly shared: boolean; readonly hasForeignTrailer?: boolean }
  | { readonly bad: Protocol.BadChunk }

/** Gives back the memory of a content that nobody looks at any more. */
const letGo = (chunk: { readonly content: Uint8Array; readonly shared: boolean }): void => {
  if (!chunk.shared) release(chunk.content)
}

const isErrno = (cause: unknown): boolean => cause instanceof Error && "code" in cause && "syscall" in cause

/** Reads what is held for a place, in whatever form; what it gives is only good until the next call. */
const readHeld = ({ buffers, tools }: Bench, request: Held, index: number, hex: string): ChunkFile.Found => {
  const length = blockLength(request, index)
  if (request.image !== undefined) {
    return ImageFile.read(tools, { ...request, image: request.image }, index, hex, buffers.held(length), isZero)
  }
  const legacy = StoredId.legacyName(hex)
  return legacy === undefined
    ? ChunkFile.read(tools, request.repository, hex, length, { hashed: true, trailer: request.trailers === true })
    : LegacyFile.read(tools, request.repository, legacy, length)
}

/** Reads the content of a place, checked. A second reading decides about damage; an I/O error is reported as one. */
export const readChecked = (bench: Bench, request: Held, index: number, hex: string): ReadChunk => {
  if (StoredId.isLost(hex)) return { bad: { index, id: hex, state: "missing", why: "is not named by the map" } }
  try {
    let found = readHeld(bench, request, index, hex)
    if (found.state === "damaged") found = readHeld(bench, request, index, hex)
    if (found.state === "good") {
      const shared = request.image !== undefined || StoredId.legacyName(hex) !== undefined
      return { content: found.content, shared, hasForeignTrailer: found.hasForeignTrailer === true }
    }
    const why = found.state === "missing" ? "is missing" : found.why
    return { bad: { index, id: hex, state: found.state, why } }
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    if (!isErrno(cause)) throw cause
    return { bad: { index, id: hex, state: "unreadable", why } }
  }
}

/** Reads what is stored and checks it against its names. */
export const check = (bench: Bench, request: Protocol.Check): Protocol.Checked => {
  const bad: Array<Protocol.BadChunk> = []
  const foreignTrailers: Array<string> = []
  const held = { ...request, trailers: true }
  let bytes = 0
  request.indexes.forEach((index, at) => {
    const hex = hexAt(request.ids, at)
    // of an image also the holes can be wrong
    if (hex === null && request.image === undefined) return
    const chunk = readChecked(bench, held, index, hex ?? HOLE)
    if ("bad" in chunk) return void bad.push(chunk.bad)
    if (hex !== null && chunk.hasForeignTrailer === true) foreignTrailers.push(hex)
    bytes += chunk.content.byteLength
    letGo(chunk)
  })
  return { good: bytes, bad, foreignTrailers }
}

/** Writes checked content to the same places of the target. */
export const restore = (bench: Bench, request: Protocol.Restore): Protocol.Restored => {
  const bad: Array<Protocol.BadChunk> = []
  let written = 0
  const { buffers, tools: { disk } } = bench
  onOpened(request.target, (target) => {
    const put = (index: number, content: Uint8Array) => {
      ChunkFile.writeFully(disk, target, content, index * request.chunkSize, request.target.path)
      written += content.byteLength
    }
    request.indexes.forEach((index, at) => {
      const hex = hexAt(request.ids, at)
      const chunk = hex === null ? undefined : readChecked(bench, request, index, hex)
      if (chunk !== undefined && "content" in chunk) {
        put(index, chunk.content)
        return letGo(chunk)
      }
      if (chunk !== undefined) bad.push(chunk.bad)
      if (request.zeros === "write") put(index, buffers.zeros(blockLength(request, index)))
    })
  })
  return { written, bad }
}

/** The checked contents, one after the other; zeros where one is bad. */
export const read = (bench: Bench, request: Protocol.Read): Protocol.ReadResult => {
  const bad: Array<Protocol.BadChunk> = []
  const total = request.indexes.reduce((sum, index) => sum + blockLength(request, index), 0)
  let bytes: Uint8Array | undefined
  let position = 0
  request.indexes.forEach((index, at) => {
    const hex = hexAt(request.ids, at)
    const chunk = hex === null ? undefined : readChecked(bench, request, index, hex)
    if (chunk !== undefined && "content" in chunk) {
      // of a single block, what was decoded is the answer: copying it would cost as much as hashing it
      if (chunk.content.byteLength === total && !chunk.shared && hasOwnMemory(chunk.content)) bytes = chunk.content
      else {
        bytes ??= new Uint8Array(total)
        bytes.set(chunk.content, position)
        letGo(chunk)
      }
    } else if (chunk !== undefined) bad.push(chunk.bad)
    position += blockLength(request, index)
  })
  return { bytes: bytes ?? new Uint8Array(total), bad }
}

/** Compares what is stored in two forms. */
export const confirm = (bench: Bench, request: Protocol.Confirm): Protocol.Confirmed => {
  const different: Array<Protocol.BadChunk> = []
  let equal = 0
  request.indexes.forEach((index, at) => {
    const [oldHex, newHex] = [hexAt(request.ids, at), hexAt(request.others, at)]
    const length = blockLength(request, index)
    const old = oldHex === null
      ? { content: bench.buffers.zeros(length), shared: true }
      : readChecked(bench, request, index, oldHex)
    if ("bad" in old) return void different.push(old.bad)
    let same = newHex === null && isZero(old.content)
    if (newHex !== null) {
      const { image: _image, ...chunks } = request
      const made = readChecked(bench, chunks, index, newHex)
      if ("bad" in made) return void different.push(made.bad)
      same = Buffer.compare(old.content, made.content) === 0
      letGo(made)
    }
    if (same) equal += length
    else {different.push({
        index,
        id: oldHex ?? "",
        state: "damaged",
        why: "holds other bytes than what was made of it"
      })}
  })
  return { equal, different }
}
