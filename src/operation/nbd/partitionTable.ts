/**
 * Which parts a disk has, by the tables that MBR and GPT disks begin with. What a guest wrote is not believed: numbers are
 * bounded, chains end, and parts that lie outside of the disk are left out.
 */
import * as Effect from "effect/Effect"
import { crc32 } from "node:zlib"

/** A part of a disk; bytes. */
export interface Partition {
  /** As Linux numbers them, from 1. */
  readonly number: number
  readonly offset: number
  readonly length: number
  /** Two hexadecimal digits in an MBR, a GUID in a GPT. */
  readonly type: string
  /** What a GPT calls it. */
  readonly name: string
}

export interface PartitionTable {
  /** `none`: the disk as a whole is a file system, or unknown. */
  readonly scheme: "gpt" | "mbr" | "none"
  readonly partitions: ReadonlyArray<Partition>
}

/** Reads bytes of the disk that lie within its size. */
export type Read<E> = (offset: number, length: number) => Effect.Effect<Uint8Array, E>

const NONE: PartitionTable = { scheme: "none", partitions: [] }

/** Sector sizes that disks have: a GPT lies in the second sector, and nothing says how long the first one is. */
const SECTORS = [512, 4096]
const MBR_SECTOR = 512
/** So many logical partitions are looked for. */
const MAX_LOGICAL = 128
const MAX_ENTRIES = 1024
const MAX_ENTRY_LENGTH = 4096

const EXTENDED = new Set([0x05, 0x0f, 0x85])
const PROTECTIVE = 0xee

const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
const ascii = (bytes: Uint8Array, from: number, to: number): string =>
  new TextDecoder("latin1").decode(bytes.subarray(from, to))

interface Entry {
  readonly status: number
  readonly type: number
  readonly start: number
  readonly count: number
}

/** The four entries of a sector, or nothing if it is no such sector. */
const entriesOf = (sector: Uint8Array): ReadonlyArray<Entry> | undefined => {
  if (sector[510] !== 0x55 || sector[511] !== 0xaa) return undefined
  const numbers = view(sector)
  const entries = [446, 462, 478, 494].map((at) => ({
    status: numbers.getUint8(at),
    type: numbers.getUint8(at + 4),
    start: numbers.getUint32(at + 8, true),
    count: numbers.getUint32(at + 12, true)
  }))
  // the boot code of a file system has anything there
  return entries.every(({ status }) => status === 0 || status === 0x80) ? entries : undefined
}

/** File systems that begin with a boot sector of their own. */
const isBootSector = (sector: Uint8Array): boolean =>
  ["NTFS    ", "EXFAT   "].includes(ascii(sector, 3, 11)) ||
  ascii(sector, 54, 57) === "FAT" || ascii(sector, 82, 85) === "FAT"

const hex = (byte: number): string => byte.toString(16).padStart(2, "0")

const fits = (size: number) => ({ length, offset }: Partition): boolean =>
  offset > 0 && length > 0 && offset + length <= size

/** The chain of logical partitions in an extended one. */
const logical = <E>(read: Read<E>, size: number, extended: Entry): Effect.Effect<ReadonlyArray<Partition>, E> =>
  Effect.gen(function*() {
    const found: Array<Partition> = []
    const base = extended.start * MBR_SECTOR
    let at = base
    for (let step = 0; step < MAX_LOGICAL && at + MBR_SECTOR <= size; step++) {
      const [own, next] = entriesOf(yield* read(at, MBR_SECTOR)) ?? []
      if (own === undefined || own.type === 0 || own.count === 0) break
      found.push({
        number: 5 + found.length,
        offset: at + own.start * MBR_SECTOR,
        length: own.count * MBR_SECTOR,
        type: hex(own.type),
        name: ""
      })
      if (next === undefined || !EXTENDED.has(next.type)) break
      const following = base + next.start * MBR_SECTOR
      // a chain goes forward: one that does not has no end
      if (following <= at) break
      at = following
    }
    return found
  })

const mbr = <E>(
  read: Read<E>,
  size: number,
  entries: ReadonlyArray<Entry>
): Effect.Effect<PartitionTable, E> =>
  Effect.gen(function*() {
    const partitions = entries.flatMap(({ count, start, type }, index) =>
      type === 0 || count === 0 || EXTENDED.has(type)
        ? []
        : [{ number: index + 1, offset: start * MBR_SECTOR, length: count * MBR_SECTOR, type: hex(type), name: "" }]
    )
    const extended = entries.find(({ type }) => EXTENDED.has(type))
    const more = extended === undefined ? [] : yield* logical(read, size, extended)
    const all = [...partitions, ...more].filter(fits(size))
    return all.length === 0 ? NONE : { scheme: "mbr" as const, partitions: all }
  })

/** A GUID as it is written: its first three parts have their bytes in reverse. */
const guid = (bytes: Uint8Array): string => {
  const digits = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15].map((at) => hex(bytes[at] ?? 0)).join("")
  return [[0, 8], [8, 12], [12, 16], [16, 20], [20, 32]].map(([from, to]) => digits.slice(from, to)).join("-")
}

/** The table that a header at a place leads to, if it and its entries have the checksums that they should have. */
const gptAt = <E>(
  read: Read<E>,
  size: number,
  sector: number,
  at: number
): Effect.Effect<ReadonlyArray<Partition> | undefined, E> =>
  Effect.gen(function*() {
    if (at < sector || at + sector > size) return undefined
    const header = yield* read(at, sector)
    const numbers = view(header)
    const length = numbers.getUint32(12, true)
    if (ascii(header, 0, 8) !== "EFI PART" || length < 92 || length > sector) return undefined
    const unsigned = Uint8Array.from(header.subarray(0, length))
    unsigned.fill(0, 16, 20)
    if (crc32(unsigned) !== numbers.getUint32(16, true)) return undefined
    const offset = Number(numbers.getBigUint64(72, true)) * sector
    const count = numbers.getUint32(80, true)
    const entry = numbers.getUint32(84, true)
    if (count > MAX_ENTRIES || entry < 128 || entry > MAX_ENTRY_LENGTH || offset + count * entry > size) {
      return undefined
    }
    const table = count === 0 ? new Uint8Array(0) : yield* read(offset, count * entry)
    if (crc32(table) !== numbers.getUint32(88, true)) return undefined
    return Array.from({ length: count }, (_, index): Partition => {
      const bytes = table.subarray(index * entry, (index + 1) * entry)
      const [first, last] = [32, 40].map((where) => Number(view(bytes).getBigUint64(where, true)))
      return {
        number: index + 1,
        offset: (first ?? 0) * sector,
        length: ((last ?? 0) - (first ?? 0) + 1) * sector,
        type: guid(bytes),
        name: new TextDecoder("utf-16le").decode(bytes.subarray(56, 128)).replace(/\0.*$/s, "")
      }
    }).filter(({ type }) => /[1-9a-f]/.test(type)).filter(fits(size))
  })

/** Reads the table of a disk of `size` bytes. Of a GPT that is damaged at the beginning, the copy at the end counts. */
export const readTable = <E>(read: Read<E>, size: number): Effect.Effect<PartitionTable, E> =>
  Effect.gen(function*() {
    if (size < MBR_SECTOR) return NONE
    const first = yield* read(0, MBR_SECTOR)
    const entries = entriesOf(first)
    for (const sector of SECTORS) {
      const main = yield* gptAt(read, size, sector, sector)
      if (main !== undefined) return { scheme: "gpt" as const, partitions: main }
    }
    if (entries === undefined || isBootSector(first)) return NONE
    if (!entries.some(({ type }) => type === PROTECTIVE)) return yield* mbr(read, size, entries)
    for (const sector of SECTORS) {
      const copy = yield* gptAt(read, size, sector, (Math.floor(size / sector) - 1) * sector)
      if (copy !== undefined) return { scheme: "gpt" as const, partitions: copy }
    }
    return NONE
  })
