/**
 * An image as a VM's disk may look, the same for a seed on every machine: about 35 % zeros, 30 % text, 20 % binaries and
 * 15 % of what cannot be compressed. Blocks of one kind lie together in short runs, as files do.
 */
import { createCipheriv, createHash } from "node:crypto"
import * as FS from "node:fs"
import { randomNumbers } from "../../src/platform/MemoryChoices.ts"

/** The unit in which content and changes are made: a chunk of backy, an object of Ceph. */
export const BLOCK = 4 * 1024 * 1024

/** What a block holds. */
export type Kind = "zero" | "text" | "binary" | "random"

const shares: ReadonlyArray<readonly [Kind, number]> = [["zero", 0.35], ["text", 0.3], ["binary", 0.2], [
  "random",
  0.15
]]

/** What each block of an image holds: the shares are kept to the block, their order is the seed's. */
export const kindsOf = (blocks: number, seed: number): ReadonlyArray<Kind> => {
  const next = randomNumbers(seed)
  const runs: Array<ReadonlyArray<Kind>> = []
  let start = 0
  let share = 0
  for (const [kind, part] of shares) {
    share += part
    const stop = Math.round(blocks * share)
    while (start < stop) {
      const length = Math.min(1 + Math.floor(next() * 8), stop - start)
      runs.push(Array.from({ length }, () => kind))
      start += length
    }
  }
  return shuffled(runs, next).flat()
}

const shuffled = <A>(values: ReadonlyArray<A>, next: () => number): Array<A> => {
  const all = [...values]
  for (let at = all.length - 1; at > 0; at--) {
    const other = Math.floor(next() * (at + 1))
    const value = all[at]!
    all[at] = all[other]!
    all[other] = value
  }
  return all
}

/** Some of the blocks of an image, `share` of them and at least one, in no order. */
export const someOf = (blocks: number, share: number, seed: number): ReadonlyArray<number> =>
  shuffled(Array.from({ length: blocks }, (_, index) => index), randomNumbers(seed))
    .slice(0, Math.max(1, Math.round(blocks * share)))

/** Bytes that no program can compress, the same for the same name. */
const keystream = (bytes: Uint8Array, name: string): void => {
  const key = createHash("sha256").update(name).digest()
  const cipher = createCipheriv("aes-128-ctr", key.subarray(0, 16), key.subarray(16))
  bytes.fill(0)
  bytes.set(cipher.update(bytes))
}

/** A word of 32 bits after the other. */
const words = (name: string): () => number => {
  let state = createHash("sha256").update(name).digest().readUInt32LE() | 1
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return state >>> 0
  }
}

const vocabulary = (): ReadonlyArray<Uint8Array> => {
  const next = words("vocabulary")
  const letters = "etaoinshrdlucmfwypvbgkqjxz"
  return Array.from({ length: 4096 }, () => {
    const length = 2 + next() % 9
    const word = Array.from({ length }, () => letters[Math.floor((next() % 676) ** 0.5)]!).join("")
    return new TextEncoder().encode(word)
  })
}
let known: ReadonlyArray<Uint8Array> | undefined

/** Repeats something that was there a moment ago, as people and compilers do; how much of it. */
const repeat = (bytes: Uint8Array, at: number, unit: number, choice: number): number => {
  const length = Math.min(unit * (4 + (choice >>> 5 & 15)), bytes.length - at)
  const distance = length + unit * (choice >>> 9 & 4095)
  if (distance > at) return 0
  bytes.copyWithin(at, at - distance, at - distance + length)
  return length
}

/** Few words are frequent and many rare; phrases that come back, and now and then a number, as in logs. */
const text = (bytes: Uint8Array, name: string): void => {
  known ??= vocabulary()
  const next = words(name)
  let at = 0
  while (at < bytes.length) {
    const choice = next()
    if ((choice & 15) === 3) at += repeat(bytes, at, 2, next())
    const word = known[Math.floor((choice % 65_536) ** 2 / 2 ** 20) % known.length]!
    for (let i = 0; i < word.length && at < bytes.length; i++) bytes[at++] = word[i]!
    if ((choice >>> 28) === 0) {
      for (let digits = 1 + (choice >>> 16) % 8; digits > 0 && at < bytes.length; digits--) {
        bytes[at++] = 0x30 + next() % 10
      }
    }
    if (at < bytes.length) bytes[at++] = (choice >>> 20) % 11 === 0 ? 0x0a : 0x20
  }
}

/** As programs and databases look: words and phrases that come back, small numbers, addresses, gaps, and some noise. */
const binary = (bytes: Uint8Array, name: string): void => {
  const next = words(name)
  const target = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2)
  const frequent = Uint32Array.from({ length: 256 }, next)
  const base = next() & 0xffff_0000
  for (let at = 0; at < target.length; at++) {
    const choice = next()
    if ((choice >>> 28) < 3) at += repeat(bytes, at * 4, 4, next()) / 4
    if (at >= target.length) break
    switch (choice & 7) {
      case 0:
        target[at] = choice
        break
      case 1:
        target[at] = 0
        break
      case 2:
        target[at] = choice >>> 24
        break
      case 3:
        target[at] = base | choice >>> 18
        break
      default:
        target[at] = frequent[(choice >>> 8 & 0xff) * (choice >>> 16 & 0xff) >>> 8]!
    }
  }
}

/** Fills a block; another `name` gives another content of that kind. Its length is a multiple of 4. */
export const fill = (block: Uint8Array, kind: Kind, name: string): void => {
  switch (kind) {
    case "zero":
      block.fill(0)
      break
    case "text":
      text(block, name)
      break
    case "binary":
      binary(block, name)
      break
    case "random":
      keystream(block, name)
      break
  }
}

const eachBlock = (path: string, write: (descriptor: number, block: Uint8Array) => void): void => {
  const descriptor = FS.openSync(path, FS.existsSync(path) ? "r+" : "w+")
  try {
    write(descriptor, new Uint8Array(BLOCK))
    FS.fsyncSync(descriptor)
  } finally {
    FS.closeSync(descriptor)
  }
}

/** Writes a new image of so many blocks, zeros and all. */
export const make = (path: string, blocks: number, seed: number): void =>
  eachBlock(path, (descriptor, block) => {
    kindsOf(blocks, seed).forEach((kind, index) => {
      fill(block, kind, `${seed} ${index}`)
      FS.writeSync(descriptor, block, 0, block.length, index * BLOCK)
    })
  })

/** Writes 4 KiB here and there into some of the blocks, as a running VM does. */
export const touch = (path: string, blocks: number, share: number, seed: number): void =>
  eachBlock(path, (descriptor, block) => {
    const next = randomNumbers(seed)
    for (const index of someOf(blocks, share, seed)) {
      for (let writes = 0; writes < 4; writes++) {
        const page = block.subarray(0, 4096)
        fill(page, "text", `touch ${seed} ${index} ${writes}`)
        FS.writeSync(descriptor, page, 0, page.length, index * BLOCK + Math.floor(next() * (BLOCK / 4096)) * 4096)
      }
    }
  })

/** Writes some of the blocks anew from their first to their last byte. */
export const rewrite = (path: string, blocks: number, share: number, seed: number): void =>
  eachBlock(path, (descriptor, block) => {
    const kinds = ["text", "binary", "random"] as const
    someOf(blocks, share, seed).forEach((index, at) => {
      fill(block, kinds[at % kinds.length]!, `rewrite ${seed} ${index}`)
      FS.writeSync(descriptor, block, 0, block.length, index * BLOCK)
    })
  })
