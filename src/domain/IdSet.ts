/**
 * A set of packed 32-byte ids: open addressing over one byte array, about 45 bytes an id. Ids are hashes, so their own
 * first bytes spread them. Built for purge and verify, which may meet millions of chunks many times each.
 */
import { BYTES } from "./ChunkId.ts"

/** At which share of taken slots the table grows. */
const MAX_LOAD = 0.75

export interface IdSet {
  /** How many ids are in the set. */
  readonly size: number
  /** Adds the id at `offset` of `ids`; tells whether it is new. An all-zero id (a hole) is never added. */
  readonly add: (ids: Uint8Array, offset: number) => boolean
  readonly has: (ids: Uint8Array, offset: number) => boolean
}

/** An empty set with room for about `expected` ids before it grows. */
export const make = (expected = 1024): IdSet => {
  let capacity = 1024
  while (capacity * MAX_LOAD < expected) capacity *= 2
  let table = new Uint8Array(capacity * BYTES)
  let size = 0

  const home = (ids: Uint8Array, offset: number): number => {
    // both ends of the id: chunks that are looked up together may share the first byte, their folder
    const first = ids[offset]! | ids[offset + 1]! << 8 | ids[offset + 2]! << 16 | ids[offset + 3]! << 24
    const last = ids[offset + 28]! | ids[offset + 29]! << 8 | ids[offset + 30]! << 16 | ids[offset + 31]! << 24
    const mixed = Math.imul(first ^ Math.imul(last, 0x9e3779b1), 0x85ebca6b)
    return (mixed ^ mixed >>> 15) >>> 0
  }

  const isFree = (slot: number): boolean => isZero(table, slot * BYTES)

  const find = (ids: Uint8Array, offset: number): number => {
    let slot = home(ids, offset) % capacity
    while (!isFree(slot) && !same(table, slot * BYTES, ids, offset)) slot = (slot + 1) % capacity
    return slot
  }

  const grow = (): void => {
    const old = table
    capacity *= 2
    table = new Uint8Array(capacity * BYTES)
    for (let offset = 0; offset < old.length; offset += BYTES) {
      if (!isZero(old, offset)) table.set(old.subarray(offset, offset + BYTES), find(old, offset) * BYTES)
    }
  }

  return {
    get size() {
      return size
    },
    add: (ids, offset) => {
      if (isZero(ids, offset)) return false
      let slot = find(ids, offset)
      if (!isFree(slot)) return false
      if (size + 1 > capacity * MAX_LOAD) {
        grow()
        slot = find(ids, offset)
      }
      table.set(ids.subarray(offset, offset + BYTES), slot * BYTES)
      size++
      return true
    },
    has: (ids, offset) => !isZero(ids, offset) && !isFree(find(ids, offset))
  }
}

const isZero = (bytes: Uint8Array, offset: number): boolean => {
  for (let i = offset; i < offset + BYTES; i++) if (bytes[i] !== 0) return false
  return true
}

const same = (a: Uint8Array, atA: number, b: Uint8Array, atB: number): boolean => {
  for (let i = 0; i < BYTES; i++) if (a[atA + i] !== b[atB + i]) return false
  return true
}
