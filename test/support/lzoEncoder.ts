/**
 * A plain LZO1X compressor, for tests that need chunks as backy 2.5 wrote them: `assemble` writes any valid sequence of
 * instructions, `encode` finds a greedy one for a content.
 */
import { CHUNK_SIZE, hash, type LegacyChunkId } from "../../src/store/legacy/LegacyChunk.ts"

/** Literals, then a copy of `length` bytes from `distance` back. */
export interface Step {
  readonly literals: Uint8Array
  readonly distance: number
  readonly length: number
  /** Takes the long form of the copy instruction also where a short one would do. */
  readonly long?: boolean
}

/** Whether a copy can be said at all, after so many literals. */
export const isEncodable = ({ distance, length }: Step, literals: number): boolean =>
  distance >= 1 &&
  (length === 2
    ? distance <= 1024 && literals >= 1 && literals <= 3
    : length >= 3 && distance >= 1 && distance < 0xc000)

/** The raw stream of steps and final literals, with its end mark. The first step needs at least one literal. */
export const assemble = (steps: ReadonlyArray<Step>, last: Uint8Array): Uint8Array => {
  const out: Array<number> = []
  for (const step of steps) {
    writeLiterals(out, step.literals)
    writeCopy(out, step, step.literals.length)
  }
  writeLiterals(out, last)
  out.push(0x11, 0, 0)
  return Uint8Array.from(out)
}

const writeRest = (out: Array<number>, rest: number): void => {
  for (; rest > 255; rest -= 255) out.push(0)
  out.push(rest)
}

const writeLiterals = (out: Array<number>, literals: Uint8Array): void => {
  const length = literals.length
  if (out.length === 0 && length > 0 && length <= 238) out.push(17 + length)
  // the last two bits of a copy instruction's last byte but one say how many literals follow
  else if (length > 0 && length < 4) out.splice(-2, 1, out.at(-2)! | length)
  else if (length > 18) {
    out.push(0)
    writeRest(out, length - 18)
  } else if (length > 0) out.push(length - 3)
  for (const byte of literals) out.push(byte)
}

const writeCopy = (out: Array<number>, { distance, length, long }: Step, literals: number): void => {
  if (length === 2) {
    out.push((distance - 1 & 3) << 2, distance - 1 >> 2)
  } else if (long !== true && length === 3 && literals >= 4 && distance > 2048 && distance <= 3072) {
    out.push((distance - 2049 & 3) << 2, distance - 2049 >> 2)
  } else if (long !== true && length <= 8 && distance <= 2048) {
    out.push(length - 1 << 5 | (distance - 1 & 7) << 2, distance - 1 >> 3)
  } else {
    const near = distance <= 0x4000
    const offset = near ? distance - 1 : distance - 0x4000
    const code = near ? 32 : 16 | offset >> 11 & 8
    const most = near ? 33 : 9
    if (length <= most) out.push(code | length - 2)
    else {
      out.push(code)
      writeRest(out, length - most)
    }
    out.push((offset & 63) << 2, offset >> 6 & 255)
  }
}

/** Compresses with greedy matches of at least 4 bytes. */
export const encode = (content: Uint8Array): Uint8Array => {
  const steps: Array<Step> = []
  const places = new Map<number, number>()
  const view = new DataView(content.buffer, content.byteOffset, content.length)
  let start = 0
  for (let at = 0; at + 4 <= content.length;) {
    const word = view.getUint32(at)
    const from = places.get(word)
    places.set(word, at)
    if (from === undefined || at - from >= 0xc000 || at === 0) {
      at++
      continue
    }
    let length = 4
    while (at + length < content.length && content[from + length] === content[at + length]) length++
    steps.push({ literals: content.subarray(start, at), distance: at - from, length })
    at += length
    start = at
  }
  return assemble(steps, content.subarray(start))
}

/** The container of python-lzo around a raw stream; `length` is the announced length of the content. */
export const container = (stream: Uint8Array, length: number, first = 0xf0): Uint8Array => {
  const bytes = new Uint8Array(5 + stream.length)
  bytes[0] = first
  new DataView(bytes.buffer).setUint32(1, length)
  bytes.set(stream, 5)
  return bytes
}

/** A chunk file with the name that it belongs under. */
export const legacyChunk = (content: Uint8Array): { readonly id: LegacyChunkId; readonly file: Uint8Array } => ({
  id: hash(content),
  file: container(encode(content), content.length)
})

/** The files of a legacy image: its map as 2.5 writes it, and its chunks by id. */
export const legacyImage = (
  content: Uint8Array
): { readonly map: string; readonly chunks: ReadonlyMap<LegacyChunkId, Uint8Array> } => {
  const mapping: Record<string, string> = {}
  const chunks = new Map<LegacyChunkId, Uint8Array>()
  for (let index = 0; index * CHUNK_SIZE < content.length; index++) {
    const { file, id } = legacyChunk(content.subarray(index * CHUNK_SIZE, (index + 1) * CHUNK_SIZE))
    mapping[String(index)] = id
    chunks.set(id, file)
  }
  const entries = Object.entries(mapping).map(([key, id]) => `"${key}": "${id}"`).join(", ")
  return { map: `{"mapping": {${entries}}, "size": ${content.length}}`, chunks }
}
