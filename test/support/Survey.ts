/**
 * What lies in a repository, read without the code under test as far as that is possible: chunks are looked up, decoded
 * and hashed here, nothing is locked, nothing is written. The oracle of the simulations.
 */
import * as Either from "effect/Either"
import * as Zlib from "node:zlib"
import * as ChunkMap from "../../src/domain/ChunkMap.ts"
import * as Revision from "../../src/domain/Revision.ts"
import type { Disk } from "../../src/platform/Disk.ts"
import * as Hash from "../../src/platform/hash.ts"
import { isTemporary } from "../../src/platform/temporaryName.ts"
import * as LegacyChunk from "../../src/store/legacy/LegacyChunk.ts"
import * as LegacyMap from "../../src/store/legacy/LegacyMap.ts"
import { REPOSITORY } from "./World.ts"

/** One revision with its content: the image's bytes, and which of its chunks are not what their names say. */
export interface Surveyed {
  readonly revision: Revision.Revision
  /** Bytes of the image, zeros where chunks are bad; `undefined` without a readable map. */
  readonly image: Uint8Array | undefined
  /** Names of missing and damaged chunks; of an image file, its blocks. */
  readonly bad: ReadonlyArray<string>
  /** All chunks it names. */
  readonly names: ReadonlyArray<string>
}

export interface Survey {
  readonly complete: ReadonlyMap<string, Surveyed>
  readonly incomplete: ReadonlyArray<string>
  /** `.rev` files that cannot be read. */
  readonly broken: ReadonlyArray<string>
  /** Maps and images without a `.rev`, and what an upgrade should have removed. */
  readonly orphans: ReadonlyArray<string>
  /** Temporary files anywhere below the repository. */
  readonly temporary: ReadonlyArray<string>
  /** Names of all chunk files. */
  readonly chunks: ReadonlySet<string>
}

/** A disk to look at. */
export interface Readable {
  readonly disk: Pick<Disk, "list" | "lstat">
  /** All bytes of a file. */
  readonly bytesAt: (path: string) => Uint8Array
}

const { hash } = Hash.load()

/** How many bytes of keys are remembered before all is forgotten. */
const MEMORY = 64 * 1024 ** 2

/** Decoding is the dear part, and simulated states share most of their files. */
const remembered = <A>(make: (bytes: Uint8Array) => A): (bytes: Uint8Array) => A => {
  const known = new Map<string, A>()
  let weight = 0
  return (bytes) => {
    const key = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1")
    let value = known.get(key)
    if (value === undefined) {
      value = make(bytes)
      weight += key.length + 1000
      if (weight > MEMORY) {
        known.clear()
        weight = 0
      }
      known.set(key, value)
    }
    return value
  }
}

/** What precedes the digest at a file's end, where that is right; `undefined` where there is none, or a wrong one. */
const bodyOf = (bytes: Uint8Array, word: string): Uint8Array | undefined => {
  const body = bytes.subarray(0, Math.max(0, bytes.length - word.length - 65))
  const last = new TextDecoder().decode(bytes.subarray(body.length))
  return last === `${word}${Hash.toHex(hash(body))}\n` ? body : undefined
}

/** Only what backy 2.5 wrote may lack its digest. */
const decodeRevision = remembered((bytes) => {
  const body = bodyOf(bytes, "# digest ")
  const decoded = Revision.decodeYaml(new TextDecoder().decode(body ?? bytes))
  return body === undefined && Either.isRight(decoded) && !decoded.right.isLegacy
    ? Either.left(new Revision.RevisionInvalid({ reason: "no digest" }))
    : decoded
})
const decodeMap = remembered((bytes) => ({
  digest: Hash.toHex(hash(bytes)),
  map: ChunkMap.decode(bodyOf(bytes, "digest ") ?? bytes.subarray(0, 1))
}))

/** The content of a chunk file with the name that it deserves, if it is one. */
const decodeChunk = remembered((bytes): { readonly content: Uint8Array; readonly name: string } | undefined => {
  try {
    const content = Zlib.zstdDecompressSync(bytes, { maxOutputLength: ChunkMap.CHUNK_SIZE })
    return { content, name: Hash.toHex(hash(content)) }
  } catch {
    return undefined
  }
})

/** Files below a directory, as paths; links and other things are not followed. */
const filesBelow = (disk: Readable["disk"], directory: string): Array<string> =>
  disk.list(directory).flatMap((name) => {
    const path = `${directory}/${name}`
    return disk.lstat(path).kind === "directory" ? filesBelow(disk, path) : [path]
  })

const CHUNK_PATH = /\/chunks\/([0-9a-f]{2})\/([0-9a-f]{64}\.chunk\.zst|[0-9a-f]{32}\.chunk\.lzo)$/

type Content = Omit<Surveyed, "revision">

const NOTHING: Content = { image: undefined, bad: [], names: [] }

/** Reads all. `memory` counts the calls, but nothing is changed. */
export const take = (memory: Readable, directory = REPOSITORY): Survey => {
  const all = filesBelow(memory.disk, directory)
  const files = all.filter((path) => memory.disk.lstat(path).kind === "file")
  const here = files.filter((path) => !path.slice(directory.length + 1).includes("/"))
    .map((path) => path.slice(directory.length + 1))
  const chunks = new Map<string, string>()
  for (const path of files) {
    const [, folder, name] = CHUNK_PATH.exec(path) ?? []
    if (name !== undefined && name.slice(0, 2) === folder) chunks.set(name.slice(0, name.indexOf(".")), path)
  }

  const bytesOf = (name: string): Uint8Array | undefined =>
    here.includes(name) ? memory.bytesAt(`${directory}/${name}`) : undefined

  const contentOf = (map: ChunkMap.ChunkMap): Content => {
    const image = new Uint8Array(map.size)
    const bad = new Set<string>()
    const names = new Set<string>()
    for (let index = 0; index < ChunkMap.count(map); index++) {
      const id = ChunkMap.idAt(map, index)
      if (id === undefined) continue
      names.add(id)
      const path = chunks.get(id)
      const chunk = path === undefined ? undefined : decodeChunk(memory.bytesAt(path))
      if (chunk?.name === id && chunk.content.length === ChunkMap.chunkLength(map, index)) {
        image.set(chunk.content, index * map.chunkSize)
      } else {
        bad.add(id)
      }
    }
    return { image, bad: [...bad], names: [...names] }
  }

  /** An image file, of which the map knows the hash of each block, or nothing does. */
  const imageOf = (file: Uint8Array, map: ChunkMap.ChunkMap | undefined): Content => {
    if (map === undefined) return { image: file, bad: [], names: [] }
    const image = new Uint8Array(map.size)
    const bad: Array<string> = []
    for (let index = 0; index < ChunkMap.count(map); index++) {
      const offset = index * map.chunkSize
      const block = file.subarray(offset, offset + ChunkMap.chunkLength(map, index))
      const id = ChunkMap.idAt(map, index)
      const isRight = id === undefined ? block.every((byte) => byte === 0) : Hash.toHex(hash(block)) === id
      if (isRight && block.length === ChunkMap.chunkLength(map, index)) image.set(block, offset)
      else bad.push(`block ${index}`)
    }
    return { image, bad, names: [] }
  }

  /** What backy 2.5 stored. */
  const legacyOf = (map: LegacyMap.LegacyMap): Content => {
    const image = new Uint8Array(map.size)
    const bad: Array<string> = []
    for (let index = 0; index < LegacyMap.count(map); index++) {
      const id = LegacyMap.chunkAt(map, index)
      const path = chunks.get(id ?? "")
      const chunk = id === undefined || path === undefined ? undefined : LegacyChunk.decode(id, memory.bytesAt(path))
      if (chunk === undefined || Either.isLeft(chunk)) bad.push(id ?? `chunk ${index}`)
      else image.set(chunk.right.subarray(0, LegacyMap.lengthAt(map, index)), index * LegacyChunk.CHUNK_SIZE)
    }
    return { image, bad, names: [...LegacyMap.distinctIds(map)] }
  }

  /** The map that the metadata means, by its digest. */
  const mapOf = (revision: Revision.Revision, ...places: ReadonlyArray<string>): ChunkMap.ChunkMap | undefined => {
    for (const place of places) {
      const bytes = bytesOf(place)
      const read = bytes === undefined ? undefined : decodeMap(bytes)
      if (read === undefined || Either.isLeft(read.map) || read.digest !== revision.mapDigest) continue
      if (read.map.right.size === revision.size) return read.map.right
    }
    return undefined
  }

  const contentOfRevision = (revision: Revision.Revision): Content => {
    const { backendType, id } = revision
    if (backendType === "chunked-v4") {
      const map = mapOf(revision, `${id}.map`, id)
      return map === undefined ? NOTHING : contentOf(map)
    }
    const main = bytesOf(`${id}.old`) ?? bytesOf(id)
    if (main === undefined) return NOTHING
    if (backendType === "chunked") {
      const map = LegacyMap.decode(main)
      return Either.isLeft(map) ? NOTHING : legacyOf(map.right)
    }
    if (backendType === "cowfile") return imageOf(main, undefined)
    const map = mapOf(revision, `${id}.map`)
    return map === undefined ? NOTHING : imageOf(main, map)
  }

  const complete = new Map<string, Surveyed>()
  const incomplete: Array<string> = []
  const broken: Array<string> = []
  for (const name of here.filter((name) => /^[^.]+\.rev$/.test(name))) {
    const id = name.slice(0, -".rev".length)
    const decoded = decodeRevision(memory.bytesAt(`${directory}/${name}`))
    if (Either.isLeft(decoded) || decoded.right.id !== id) broken.push(id)
    else if (!decoded.right.isComplete) incomplete.push(id)
    else {
      const revision = decoded.right
      complete.set(id, { revision, ...contentOfRevision(revision) })
    }
  }
  const isOrphan = (name: string): boolean => {
    const [, id = "", part] = /^([^.]+)(\.map|\.old)?$/.exec(name) ?? []
    if (!Revision.isRevisionId(id)) return false
    return !here.includes(`${id}.rev`) ||
      (part !== undefined && complete.get(id)?.revision.backendType === "chunked-v4")
  }
  return {
    complete,
    incomplete,
    // what has the name of a revision's metadata and is no file
    broken: [
      ...broken,
      ...all.filter((path) => !files.includes(path) && path.endsWith(".rev")).map((path) =>
        path.slice(directory.length + 1, -".rev".length)
      )
    ],
    orphans: here.filter(isOrphan),
    temporary: files.filter((path) => isTemporary(path.slice(path.lastIndexOf("/") + 1))),
    chunks: new Set(chunks.keys())
  }
}

/** The newest complete revision that is trusted. */
export const newestTrusted = (survey: Survey): Surveyed | undefined => {
  const sorted = Revision.history(Array.from(survey.complete.values(), ({ revision }) => revision))
  const newest = sorted.findLast((revision) => revision.isTrusted)
  return newest === undefined ? undefined : survey.complete.get(newest.id)
}

/** Whether a revision can be restored to exactly its image. */
export const isWhole = ({ bad, image }: Surveyed): boolean => image !== undefined && bad.length === 0
