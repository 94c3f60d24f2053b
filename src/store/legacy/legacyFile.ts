/**
 * A chunk of backy 2.5 as a file, over the synchronous `Disk`: for the hot loops, which read such chunks like their own.
 * Free of Effect.
 */
import { dirname } from "node:path"
import { type Descriptor, kindWords } from "../../platform/Disk.ts"
import { CHUNKS, type Found, isMissing, readFully, type Tools, withFile } from "../chunkFile.ts"
import * as Lzo from "./lzoDecoder.ts"
import { murmur3 } from "./murmur3.ts"

/** Content of a chunk at most, and its file at most, in bytes. */
const CHUNK_SIZE = 4 * 1024 * 1024
const MAX_FILE_LENGTH = 5 * 1024 * 1024

const SUFFIX = ".chunk.lzo"

/** Where a legacy chunk lies: the usual place, and that in a store which 2.5 had not rearranged yet. */
export const pathsOf = (repository: string, name: string): readonly [string, string] => {
  const folder = `${repository}/${CHUNKS}/${name.slice(0, 2)}`
  return [`${folder}/${name}${SUFFIX}`, `${folder}/${name.slice(2, 4)}/${name}${SUFFIX}`]
}

/** The name in the file name of a legacy chunk, or `undefined` for any other file. */
export const nameOf = (fileName: string): string | undefined =>
  /^[0-9a-f]{32}\.chunk\.lzo$/.test(fileName) ? fileName.slice(0, 32) : undefined

let files = Buffer.alloc(0)
let contents = new Uint8Array(0)

/** One buffer each a thread: a chunk is looked at before the next one is read. */
const buffers = (fileLength: number): { readonly file: Buffer; readonly content: Uint8Array } => {
  if (files.byteLength < fileLength) files = Buffer.allocUnsafeSlow(MAX_FILE_LENGTH)
  if (contents.byteLength === 0) contents = new Uint8Array(CHUNK_SIZE)
  return { file: files.subarray(0, fileLength), content: contents }
}

/**
 * Reads the first `length` bytes of a legacy chunk, checked against its name; the rest is what 2.5 left behind the end
 * of an image that shrank. The content holds until the next call. An unreadable file throws: that is not damage.
 */
export const read = (tools: Pick<Tools, "disk">, repository: string, name: string, length: number): Found => {
  const { disk } = tools
  const [path, oldPath] = pathsOf(repository, name)
  const none = new Uint8Array(0)
  let other: Found | undefined
  const open = (at: string): Descriptor | undefined => {
    try {
      // before it is opened: that alone does something to a device. The folder may be one that nobody has looked at
      const folder = disk.lstat(dirname(at)).kind
      const { kind } = folder === "directory" ? disk.lstat(at) : { kind: folder }
      if (kind === "file") return disk.open(at, { access: "read" })
      other = { state: "damaged", why: `is ${kindWords[kind]}, or lies in one`, raw: none }
      return undefined
    } catch (cause) {
      if (isMissing(cause)) return undefined
      throw cause
    }
  }
  const descriptor = open(path) ?? open(oldPath)
  if (descriptor === undefined) return other ?? { state: "missing" }
  return withFile(disk, descriptor, (descriptor): Found => {
    const { kind, size } = disk.stat(descriptor)
    if (kind !== "file") return { state: "damaged", why: `is ${kindWords[kind]}`, raw: none }
    if (size > MAX_FILE_LENGTH) return { state: "damaged", why: `has ${size} bytes, too many for a chunk`, raw: none }
    const room = buffers(size)
    const file = room.file.subarray(0, readFully(disk, descriptor, room.file, 0))
    const damaged = (why: string): Found => ({ state: "damaged", why, raw: Uint8Array.from(file) })
    const content = Lzo.decode(file, CHUNK_SIZE, room.content)
    if (typeof content === "string") return damaged(`holds bytes that ${Lzo.explanations[content]}`)
    if (Buffer.from(murmur3(content)).toString("hex") !== name) return damaged("does not hash to its name")
    if (content.byteLength < length) return damaged(`holds ${content.byteLength} bytes where ${length} belong`)
    return { state: "good", content: content.subarray(0, length) }
  })
}
