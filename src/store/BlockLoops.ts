/**
 * The hot loops: everything that happens to every block of an image. Written once, synchronous, against `Disk`, so
 * that worker threads and simulations run the same code. Who decides, fails or commits is the caller.
 */
import type { Descriptor, Disk } from "../platform/Disk.ts"
import type * as Protocol from "./BlockProtocol.ts"
import * as ChunkFile from "./chunkFile.ts"
import { DIGEST_LENGTH, toHex } from "./hash.ts"
import * as ImageFile from "./imageFile.ts"
import * as LegacyFile from "./legacy/legacyFile.ts"
import { nameErrors } from "./nameErrors.ts"
import { release } from "./release.ts"
import * as StoredId from "./storedId.ts"

/** The source ended before a block that its size had promised. */
export class SourceEnded extends Error {
  readonly path: string
  readonly position: number
  constructor(path: string, position: number) {
    super(`${path} ends at byte ${position}`)
    this.path = path
    this.position = position
  }
}

/** State that one thread keeps between batches. */
export interface Loops {
  readonly perform: <R extends Protocol.Request>(request: R) => Protocol.Answer<R>
}

/** The loops over a disk; each thread has its own. */
export const make = (given: ChunkFile.Tools): Loops => {
  const disk = nameErrors(given.disk)
  const tools = { ...given, disk }
  const buffers = makeBuffers()
  let run = ""
  // ids known good and durable in this run; bounded by the chunks of one image
  let good = new Set<string>()

  const enter = (name: string): void => {
    if (name !== run) {
      run = name
      good = new Set()
    }
  }

  /** Stores the blocks that `next` gives one after the other; `undefined` counts as a hole. */
  const storeAll = (
    request: Protocol.Blocks & { readonly run: string; readonly base?: Uint8Array },
    next: (index: number, at: number) => Uint8Array | undefined
  ): Protocol.Stored => {
    enter(request.run)
    const batch = newBatch(request.repository)
    const ids = new Uint8Array(request.indexes.length * DIGEST_LENGTH)
    let holes = 0
    let unchanged = 0
    try {
      request.indexes.forEach((index, at) => {
        const block = next(index, at)
        if (block === undefined || isZero(block)) {
          holes++
          return
        }
        const digest = tools.hash(block)
        ids.set(digest, at * DIGEST_LENGTH)
        if (request.base !== undefined && sameId(request.base, at, digest)) unchanged++
        else keep(batch, toHex(digest), block)
      })
    } catch (cause) {
      abandon(batch)
      throw cause
    }
    return { ids, holes, unchanged, ...finish(batch) }
  }

  const store = (request: Protocol.Store): Protocol.Stored => {
    let stored: Protocol.Stored | undefined
    withSource(disk, request.source, (source) => {
      stored = storeAll(request, (index) => readBlock(request, source, index))
    })
    // `withSource` has either run its callback or thrown
    return stored!
  }

  const convert = (request: Protocol.Convert): Protocol.Converted => {
    const bad: Array<Protocol.BadChunk> = []
    const stored = storeAll(request, (index, at) => {
      const hex = hexAt(request.ids, at)
      if (hex === null) return undefined
      const chunk = readChecked(request, index, hex)
      if ("content" in chunk) return chunk.content
      bad.push(chunk.bad)
      return undefined
    })
    return { ...stored, bad }
  }

  const confirm = (request: Protocol.Confirm): Protocol.Confirmed => {
    const different: Array<Protocol.BadChunk> = []
    let equal = 0
    request.indexes.forEach((index, at) => {
      const [oldHex, newHex] = [hexAt(request.ids, at), hexAt(request.others, at)]
      const length = blockLength(request, index)
      const old = oldHex === null ? { content: buffers.zeros(length) } : readChecked(request, index, oldHex)
      if ("bad" in old) return void different.push(old.bad)
      let same = newHex === null && isZero(old.content)
      if (newHex !== null) {
        const { image: _image, ...chunks } = request
        const made = readChecked(chunks, index, newHex)
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

  const fill = (request: Protocol.Fill): Protocol.Stored => {
    let filled: Protocol.Stored | undefined
    withSource(disk, request.source, (source) => {
      filled = ImageFile.fill(tools, request, (index) => readBlock(request, source, index), isZero)
    })
    return filled!
  }

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
    const present = readReplaceable(batch.repository, hex, length, { hashed: true, sync: true })
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

  /**
   * Reads a chunk whose right content is at hand. A bad sector then need not stop the job for ever: a good file can be
   * renamed over the unreadable one, and nothing readable is lost.
   */
  const readReplaceable = (
    repository: string,
    hex: string,
    length: number,
    options: { readonly hashed: boolean; readonly sync?: boolean }
  ): ChunkFile.Found => {
    try {
      return ChunkFile.read(tools, repository, hex, length, options)
    } catch (cause) {
      if (!isMediumError(cause)) throw cause
      return { state: "damaged", why: `cannot be read: ${cause.message}`, raw: new Uint8Array(0) }
    }
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

  const compare = (request: Protocol.Compare): Protocol.Compared => {
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

    const compareBlock = (source: Descriptor, index: number, at: number) => {
      const hex = hexAt(request.ids, at)
      let block: Uint8Array
      try {
        block = readBlock(request, source, index)
      } catch (cause) {
        if (!(cause instanceof SourceEnded)) throw cause
        differ({ index, sourceHash: null, storedHash: hex, why: "the source ended before it" })
        return
      }
      if (request.image !== undefined) return compareImage(request.image, index, hex, block)
      if (hex === null) {
        if (isZero(block)) equal += block.byteLength
        else {differ(
            { index, sourceHash: hashOf(block), storedHash: null, why: "was zero when it was first read" },
            block
          )}
        return
      }
      const length = block.byteLength
      let found = readReplaceable(request.repository, hex, length, { hashed: false })
      let same = found.state === "good" && Buffer.compare(block, found.content) === 0
      if (!same && hashOf(block) === hex) {
        // the chunk is not what its name says, and the source still has what it should hold
        const raw = found.state === "damaged" && healed.length < request.evidence ? { raw: found.raw } : {}
        healed.push({ id: hex, ...complaint(found), ...raw })
        ChunkFile.publish(tools, request.repository, [ChunkFile.writeAside(tools, request.repository, hex, block)])
        folders.add(ChunkFile.folderOf(hex))
        found = ChunkFile.read(tools, request.repository, hex, length, { hashed: false })
        same = found.state === "good" && Buffer.compare(block, found.content) === 0
      }
      if (same) {
        if (found.state === "good") release(found.content)
        equal += length
        return
      }
      const stored = found.state === "good" ? found.content : found.state === "damaged" ? found.raw : undefined
      differ({ index, sourceHash: hashOf(block), storedHash: hex, ...complaint(found) }, block, stored)
    }

    withSource(disk, request.source, (source) => {
      request.indexes.forEach((index, at) => compareBlock(source, index, at))
    })
    return { equal, differences, healed, folders: [...folders] }
  }

  const hashOf = (bytes: Uint8Array): string => toHex(tools.hash(bytes))

  const heal = (request: Protocol.Heal): Protocol.HealResult => {
    const healed: Array<string> = []
    const folders = new Set<string>()
    withSource(disk, request.source, (source) => {
      request.indexes.forEach((index, at) => {
        const hex = hexAt(request.ids, at)
        if (hex === null) return
        let block: Uint8Array
        try {
          block = readBlock(request, source, index)
        } catch (cause) {
          // the image has become shorter: this source cannot help
          if (cause instanceof SourceEnded) return
          throw cause
        }
        if (hashOf(block) !== hex) return
        ChunkFile.publish(tools, request.repository, [ChunkFile.writeAside(tools, request.repository, hex, block)])
        folders.add(ChunkFile.folderOf(hex))
        healed.push(hex)
      })
    })
    return { healed, folders: [...folders] }
  }

  /** Reads what is held for a place, in whatever form; what it gives is only good until the next call. */
  const readHeld = (request: Held, index: number, hex: string): ChunkFile.Found => {
    const length = blockLength(request, index)
    if (request.image !== undefined) {
      return ImageFile.read(tools, { ...request, image: request.image }, index, hex, buffers.held(length), isZero)
    }
    const legacy = StoredId.legacyName(hex)
    return legacy === undefined
      ? ChunkFile.read(tools, request.repository, hex, length, { hashed: true })
      : LegacyFile.read(tools, request.repository, legacy, length)
  }

  /** Reads the content of a place, checked. A second reading decides about damage; an I/O error is reported as one. */
  const readChecked = (request: Held, index: number, hex: string): ReadChunk => {
    if (StoredId.isLost(hex)) return { bad: { index, id: hex, state: "missing", why: "is not named by the map" } }
    try {
      let found = readHeld(request, index, hex)
      if (found.state === "damaged") found = readHeld(request, index, hex)
      if (found.state === "good") {
        return { content: found.content, shared: request.image !== undefined || StoredId.legacyName(hex) !== undefined }
      }
      const why = found.state === "missing" ? "is missing" : found.why
      return { bad: { index, id: hex, state: found.state, why } }
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause)
      if (!isErrno(cause)) throw cause
      return { bad: { index, id: hex, state: "unreadable", why } }
    }
  }

  const check = (request: Protocol.Check): Protocol.Checked => {
    const bad: Array<Protocol.BadChunk> = []
    let bytes = 0
    request.indexes.forEach((index, at) => {
      const hex = hexAt(request.ids, at)
      // of an image also the holes can be wrong
      if (hex === null && request.image === undefined) return
      const chunk = readChecked(request, index, hex ?? HOLE)
      if ("bad" in chunk) return void bad.push(chunk.bad)
      bytes += chunk.content.byteLength
      letGo(chunk)
    })
    return { good: bytes, bad }
  }

  const restore = (request: Protocol.Restore): Protocol.Restored => {
    const bad: Array<Protocol.BadChunk> = []
    let written = 0
    const target = disk.open(request.target, { access: "write", follow: true })
    ChunkFile.withFile(disk, target, (target) => {
      const put = (index: number, content: Uint8Array) => {
        ChunkFile.writeFully(disk, target, content, index * request.chunkSize, request.target)
        written += content.byteLength
      }
      request.indexes.forEach((index, at) => {
        const hex = hexAt(request.ids, at)
        const chunk = hex === null ? undefined : readChecked(request, index, hex)
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

  const readAll = (request: Protocol.Read): Protocol.ReadResult => {
    const bad: Array<Protocol.BadChunk> = []
    const total = request.indexes.reduce((sum, index) => sum + blockLength(request, index), 0)
    const bytes = new Uint8Array(total)
    let position = 0
    request.indexes.forEach((index, at) => {
      const hex = hexAt(request.ids, at)
      const chunk = hex === null ? undefined : readChecked(request, index, hex)
      if (chunk !== undefined && "content" in chunk) {
        bytes.set(chunk.content, position)
        letGo(chunk)
      } else if (chunk !== undefined) bad.push(chunk.bad)
      position += blockLength(request, index)
    })
    return { bytes, bad }
  }

  const readBlock = (request: Protocol.Blocks & { readonly source: string }, source: Descriptor, index: number) => {
    const position = index * request.chunkSize
    const block = buffers.block(blockLength(request, index))
    const count = ChunkFile.readFully(disk, source, block, position)
    if (count < block.byteLength) throw new SourceEnded(request.source, position + count)
    return block
  }

  const answer = (request: Protocol.Request): Protocol.Answers[keyof Protocol.Answers] => {
    switch (request.op) {
      case "store":
        return store(request)
      case "compare":
        return compare(request)
      case "heal":
        return heal(request)
      case "check":
        return check(request)
      case "restore":
        return restore(request)
      case "read":
        return readAll(request)
      case "put":
        return put(request)
      case "convert":
        return convert(request)
      case "confirm":
        return confirm(request)
      case "fill":
        return fill(request)
    }
  }

  // `answer` pairs each `op` with its own result; the compiler cannot follow that through the switch
  return { perform: <R extends Protocol.Request>(request: R) => answer(request) as Protocol.Answer<R> }
}

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

type Held = Protocol.Blocks & { readonly image?: string }

/** `shared` content lies in a buffer that is used again. */
type ReadChunk =
  | { readonly content: Uint8Array; readonly shared: boolean }
  | { readonly bad: Protocol.BadChunk }

const letGo = (chunk: { readonly content: Uint8Array; readonly shared: boolean }): void => {
  if (!chunk.shared) release(chunk.content)
}

/** The id of a hole in hexadecimal digits. */
const HOLE = "0".repeat(2 * DIGEST_LENGTH)

/** Length of a block in bytes: the last one is as long as the image's rest. */
const blockLength = (image: { readonly size: number; readonly chunkSize: number }, index: number): number =>
  Math.min(image.chunkSize, image.size - index * image.chunkSize)

const withSource = (disk: Disk, path: string, use: (source: Descriptor) => void): void =>
  ChunkFile.withFile(disk, disk.open(path, { access: "read", follow: true }), use)

const isErrno = (cause: unknown): boolean => cause instanceof Error && "code" in cause && "syscall" in cause

/** Errors by which the kernel says that the medium lost a file's content. */
const isMediumError = (cause: unknown): cause is Error =>
  cause instanceof Error && "code" in cause && ["EIO", "EUCLEAN", "EBADMSG"].includes(String(cause.code))

const makeBuffers = () => {
  let block = Buffer.alloc(0)
  let zeros = Buffer.alloc(0)
  let held = Buffer.alloc(0)
  return {
    /** For blocks of an image, beside those of a source. */
    held: (length: number): Buffer => {
      if (held.byteLength < length) held = Buffer.allocUnsafeSlow(length)
      return held.subarray(0, length)
    },
    /** The one buffer for source blocks; its content lives until the next call. */
    block: (length: number): Buffer => {
      if (block.byteLength < length) block = Buffer.allocUnsafeSlow(length)
      return block.subarray(0, length)
    },
    zeros: (length: number): Buffer => {
      if (zeros.byteLength < length) zeros = Buffer.alloc(length)
      return zeros.subarray(0, length)
    }
  }
}

const ZEROS = Buffer.alloc(64 * 1024)

/** Whether all bytes are zero; gives up at the first piece that is not. */
export const isZero = (bytes: Uint8Array): boolean => {
  if (bytes.byteLength > 0 && bytes[0] !== 0) return false
  for (let at = 0; at < bytes.byteLength; at += ZEROS.byteLength) {
    const piece = bytes.subarray(at, at + ZEROS.byteLength)
    if (
      Buffer.compare(piece, piece.byteLength === ZEROS.byteLength ? ZEROS : ZEROS.subarray(0, piece.byteLength)) !== 0
    ) {
      return false
    }
  }
  return true
}

const sameId = (ids: Uint8Array, at: number, digest: Uint8Array): boolean =>
  Buffer.compare(ids.subarray(at * DIGEST_LENGTH, (at + 1) * DIGEST_LENGTH), digest) === 0

/** The id at a position of a packed list in hexadecimal digits, `null` for a hole. */
const hexAt = (ids: Uint8Array, at: number): string | null => {
  const id = ids.subarray(at * DIGEST_LENGTH, (at + 1) * DIGEST_LENGTH)
  return isZero(id) ? null : toHex(id)
}
