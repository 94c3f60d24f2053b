/** Repositories that nobody could wait for: revisions, maps and chunks that no backup has made. */
import * as DateTime from "effect/DateTime"
import * as Either from "effect/Either"
import { createCipheriv } from "node:crypto"
import * as FS from "node:fs"
import * as ChunkMap from "../../src/domain/ChunkMap.ts"
import * as Revision from "../../src/domain/Revision.ts"
import * as Hash from "../../src/platform/hash.ts"
import * as MapFile from "../../src/repository/mapFile.ts"
import * as RevisionFile from "../../src/repository/revisionFile.ts"

const { hash } = Hash.load()

/** Ids of `count` chunks, the same for the same name. */
const ids = (count: number, name: string): Uint8Array => {
  const key = hash(new TextEncoder().encode(name)).subarray(0, 16)
  return createCipheriv("aes-128-ctr", key, Buffer.alloc(16)).update(new Uint8Array(count * 32))
}

/** The id of the `number`th synthetic revision. */
const revisionId = (number: number): Revision.RevisionId =>
  Revision.fromRandom(hash(new TextEncoder().encode(`revision ${number}`)).subarray(0, 16))

/** Writes a complete, trusted revision with its map; neither is synced. */
export const writeRevision = (
  directory: string,
  number: number,
  given: { readonly map: ChunkMap.ChunkMap; readonly at: Date; readonly tags: ReadonlyArray<string> }
): Revision.RevisionId => {
  const id = revisionId(number)
  const map = MapFile.encode(given.map)
  FS.writeFileSync(`${directory}/${id}`, map, { mode: 0o440 })
  const revision = Revision.make({
    id,
    backendType: "chunked-v4",
    timestamp: DateTime.unsafeMake(given.at),
    parent: null,
    tags: given.tags,
    trust: "trusted",
    stats: {
      duration: 60,
      bytes_written: 4_194_304,
      bytes_stored: 2_000_000,
      chunks_written: 1,
      chunks_found: 0,
      chunks_unchanged: 0
    },
    size: given.map.size,
    mapDigest: MapFile.digestOf(map),
    verification: { kind: "full", compared: given.map.size, of: given.map.size }
  })
  FS.writeFileSync(`${directory}/${id}.rev`, RevisionFile.encode(revision), { mode: 0o440 })
  return id
}

/** Makes a file for each chunk that a map names: links to a few, since only their names matter here. */
export const writeChunks = (directory: string, map: ChunkMap.ChunkMap, scratch: string): void => {
  for (let folder = 0; folder < 256; folder++) {
    FS.mkdirSync(`${directory}/chunks/${folder.toString(16).padStart(2, "0")}`, { recursive: true })
  }
  FS.writeFileSync(`${directory}/chunks/store`, "v2")
  let links = 0
  let file = ""
  for (const id of ChunkMap.distinctIds(map)) {
    // ext4 allows 65,000 names for a file
    if (links++ % 60_000 === 0) {
      file = `${scratch}/link-${links}`
      FS.writeFileSync(file, "not a chunk, but as long as it takes")
    }
    FS.linkSync(file, `${directory}/chunks/${id.slice(0, 2)}/${id}.chunk.zst`)
  }
}

/** A map that names a chunk everywhere. */
export const fullMap = (size: number, name: string): ChunkMap.ChunkMap => ({
  size,
  chunkSize: ChunkMap.CHUNK_SIZE,
  ids: ids(ChunkMap.chunkCount(size), name)
})

/** The map of a revision that differs from the one before in one chunk of a hundred. */
export const changedMap = (map: ChunkMap.ChunkMap, number: number): ChunkMap.ChunkMap => {
  const changed = Uint8Array.from(map.ids)
  const count = ChunkMap.count(map)
  const fresh = ids(Math.ceil(count / 100), `change ${number}`)
  for (let at = 0; at < fresh.length / 32; at++) {
    changed.set(fresh.subarray(at * 32, (at + 1) * 32), (at * 100 + number % 100) % count * 32)
  }
  return { ...map, ids: changed }
}

/** Reads a map file as an operation would; for a process of its own, which tells what that took. */
export const readMap = (
  path: string
): { readonly seconds: number; readonly cpu: number; readonly memory: number; readonly chunks: number } => {
  const before = process.memoryUsage.rss()
  const began = performance.now()
  const cpu = process.cpuUsage()
  const bytes = FS.readFileSync(path)
  const map = Either.getOrThrow(MapFile.decode(bytes))
  hash(bytes)
  const { system, user } = process.cpuUsage(cpu)
  return {
    cpu: (system + user) / 1e6,
    seconds: (performance.now() - began) / 1000,
    memory: process.resourceUsage().maxRSS * 1024 - before,
    chunks: ChunkMap.count(map)
  }
}
