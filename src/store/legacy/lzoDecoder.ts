/**
 * Decoder of LZO1X, the compression of backy 2.5's chunks (python-lzo over liblzo2).
 *
 * Our own code: of the packages on npm, one is native with an install script, one runs in browsers only, and the one in
 * plain JavaScript checks no bounds, so that a hostile chunk would make it grow without end.
 *
 * The format, by its instructions' first byte (L length, D distance, S trailing literals, H high bits):
 *
 *     1LLDDDSS H          copy 5-8 bytes from at most 2 KiB back
 *     01LDDDSS H          copy 3-4 bytes from at most 2 KiB back
 *     001LLLLL … D D      copy from at most 16 KiB back; L = 0: the length goes on in the next bytes
 *     0001HLLL … D D      copy from 16 to 48 KiB back, likewise; distance exactly 16 KiB: the end of the stream
 *     0000LLLL …          after no literals: 4 or more literals, likewise
 *     0000DDSS H          after 1-3 literals: copy 2 bytes from at most 1 KiB back
 *     0000DDSS H          after 4 or more literals: copy 3 bytes from 2 to 3 KiB back
 *
 * Every instruction but the last is followed by S literals. A first byte above 17 stands for that many minus 17 literals.
 *
 * Free of Effect: worker threads run it.
 */
/** Why bytes are no LZO1X stream, or not the one that was promised. */
export type LzoFault =
  | "no-header"
  | "too-large"
  | "input-overrun"
  | "output-overrun"
  | "lookbehind-overrun"
  | "trailing-bytes"
  | "wrong-length"

/** What the compressed bytes do that they should not, as the end of a sentence. */
export const explanations: Record<LzoFault, string> = {
  "no-header": "do not begin with an LZO header",
  "too-large": "announce more content than fits",
  "input-overrun": "end in the middle of the stream",
  "output-overrun": "hold more content than announced",
  "lookbehind-overrun": "refer to content before its beginning",
  "trailing-bytes": "go on behind the end of the stream",
  "wrong-length": "hold less content than announced"
}

/** The faults of a raw stream; `decodeStream` gives them as negative numbers, so that nothing is allocated. */
const streamFaults = ["input-overrun", "output-overrun", "lookbehind-overrun", "trailing-bytes"] as const
const INPUT_OVERRUN = -1
const OUTPUT_OVERRUN = -2
const LOOKBEHIND_OVERRUN = -3
const TRAILING_BYTES = -4

/** From this length on the engine's block copy beats a loop over words. */
const BLOCK = 64

/**
 * Appends `length` bytes that lie `distance` back in `output`, where both ranges may overlap. Short copies go by words
 * of 4 bytes and may write up to 7 bytes more than asked (inside `output`), which the next instruction overwrites.
 */
const copyBack = (output: Uint8Array, words: DataView, op: number, distance: number, length: number): void => {
  const end = op + length
  let from = op - distance
  if (length < BLOCK) {
    if (distance >= 8 && output.length - end >= 8) {
      do {
        words.setInt32(op, words.getInt32(from, true), true)
        words.setInt32(op + 4, words.getInt32(from + 4, true), true)
        op += 8
        from += 8
      } while (op < end)
    } else {
      while (op < end) output[op++] = output[from++]!
    }
  } else if (distance === 1) {
    output.fill(output[from]!, op, end)
  } else {
    // An overlapping copy repeats what lies between; what can be copied in one go doubles each time.
    while (op < end) {
      const part = Math.min(op - from, end - op)
      output.copyWithin(op, from, from + part)
      op += part
    }
  }
}

/** The first index at or behind `ip` whose byte is not 0; each zero before it adds 255 to a length. */
const skipZeros = (input: Uint8Array, ip: number): number => {
  while (ip < input.length && input[ip] === 0) ip++
  return ip
}

/**
 * Decodes the raw stream `input[ip..]` into `output` and returns the length of the content, or a negative number:
 * `streamFaults[-1 - n]`. Each turn of the loop consumes input, so it ends.
 */
const decodeStream = (input: Uint8Array, ip: number, output: Uint8Array): number => {
  const end = input.length
  const limit = output.length
  const source = new DataView(input.buffer, input.byteOffset, end)
  const words = new DataView(output.buffer, output.byteOffset, limit)
  let op = 0
  // literals that the last instruction copied: 0 to 3, or 4 for 4 and more
  let state = 0
  let literals = 0
  if (ip < end && input[ip]! > 17) {
    literals = input[ip++]! - 17
    state = literals < 4 ? literals : 4
  }
  for (;;) {
    if (literals > 0) {
      if (literals > end - ip) return INPUT_OVERRUN
      if (literals > limit - op) return OUTPUT_OVERRUN
      if (literals >= BLOCK) {
        output.set(input.subarray(ip, ip + literals), op)
      } else if (end - ip >= BLOCK && limit - op >= BLOCK) {
        for (let at = 0; at < literals; at += 4) words.setInt32(op + at, source.getInt32(ip + at, true), true)
      } else {
        for (let at = 0; at < literals; at++) output[op + at] = input[ip + at]!
      }
      ip += literals
      op += literals
      literals = 0
    }
    if (ip >= end) return INPUT_OVERRUN
    const code = input[ip++]!
    let length = 0
    let distance = 0
    if (code >= 64) {
      if (ip >= end) return INPUT_OVERRUN
      length = (code >>> 5) + 1
      distance = (input[ip++]! << 3) + (code >>> 2 & 7) + 1
      state = code & 3
    } else if (code >= 16) {
      const mask = code >= 32 ? 31 : 7
      length = code & mask
      if (length === 0) {
        const stop = skipZeros(input, ip)
        if (stop >= end) return INPUT_OVERRUN
        length = mask + (stop - ip) * 255 + input[stop]!
        ip = stop + 1
      }
      length += 2
      if (end - ip < 2) return INPUT_OVERRUN
      const low = input[ip]!
      distance = (input[ip + 1]! << 6) + (low >>> 2)
      ip += 2
      state = low & 3
      if (code >= 32) distance += 1
      else {
        distance += (code & 8) << 11
        if (distance === 0) return ip === end ? op : TRAILING_BYTES
        distance += 0x4000
      }
    } else if (state === 0) {
      literals = code
      if (literals === 0) {
        const stop = skipZeros(input, ip)
        if (stop >= end) return INPUT_OVERRUN
        literals = 15 + (stop - ip) * 255 + input[stop]!
        ip = stop + 1
      }
      literals += 3
      state = 4
      continue
    } else {
      if (ip >= end) return INPUT_OVERRUN
      length = state === 4 ? 3 : 2
      distance = (input[ip++]! << 2) + (code >>> 2) + (state === 4 ? 0x801 : 1)
      state = code & 3
    }
    if (distance > op) return LOOKBEHIND_OVERRUN
    if (length > limit - op) return OUTPUT_OVERRUN
    copyBack(output, words, op, distance, length)
    op += length
    literals = state
  }
}

const HEADER = 5

/** The shortest container: a header and the end mark. */
const SHORTEST = 8

/**
 * The content of a python-lzo container: byte f0 or f1, content length (u32, big endian), LZO1X stream; or what is wrong
 * with it.
 *
 * At most `limit` bytes are produced, and nothing is allocated for a container that announces more. The content is a
 * view of `scratch` where that is given and long enough, so it holds until `scratch` is used again; else it is a new
 * array. Never throws, whatever the bytes.
 */
export const decode = (container: Uint8Array, limit: number, scratch?: Uint8Array): Uint8Array | LzoFault => {
  if (container.length < SHORTEST || (container[0] !== 0xf0 && container[0] !== 0xf1)) return "no-header"
  const length = new DataView(container.buffer, container.byteOffset, HEADER).getUint32(1)
  if (length > limit) return "too-large"
  const output = scratch !== undefined && scratch.length >= length
    ? scratch.subarray(0, length)
    : new Uint8Array(length)
  const produced = decodeStream(container, HEADER, output)
  if (produced < 0) return streamFaults[-1 - produced] ?? "input-overrun"
  return produced === length ? output : "wrong-length"
}
