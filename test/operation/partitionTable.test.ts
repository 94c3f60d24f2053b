import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { crc32 } from "node:zlib"
import { type PartitionTable, readTable } from "../../src/operation/nbd/partitionTable.ts"
import { randomNumbers } from "../../src/platform/MemoryChoices.ts"

const MIB = 1024 ** 2
const SIZE = 16 * MIB

/** Asks as little as it may: beyond the disk is nothing. */
const tableOf = (disk: Uint8Array): Effect.Effect<PartitionTable> =>
  readTable((offset, length) => {
    assert.isAtLeast(offset, 0)
    assert.isAtMost(offset + length, disk.length)
    assert.isAbove(length, 0)
    return Effect.succeed(disk.subarray(offset, offset + length))
  }, disk.length)

/** Writes a sector of an MBR: each entry is a type, a first sector and a number of sectors. */
const mbr = (disk: Uint8Array, at: number, ...entries: ReadonlyArray<readonly [number, number, number]>): void => {
  const numbers = new DataView(disk.buffer)
  entries.forEach(([type, start, count], index) => {
    const entry = at + 446 + 16 * index
    numbers.setUint8(entry + 4, type)
    numbers.setUint32(entry + 8, start, true)
    numbers.setUint32(entry + 12, count, true)
  })
  disk.set([0x55, 0xaa], at + 510)
}

/** Writes a header and its entries, each a first and a last sector. */
const gpt = (
  disk: Uint8Array,
  sector: number,
  place: { readonly header: number; readonly entries: number },
  ...parts: ReadonlyArray<readonly [number, number, string]>
): void => {
  const table = new Uint8Array(128 * 128)
  const numbers = new DataView(table.buffer)
  parts.forEach(([first, last, name], index) => {
    const at = 128 * index
    table.set(Buffer.from("af3dc60f838472478e793d69d8477de4", "hex"), at)
    numbers.setBigUint64(at + 32, BigInt(first), true)
    numbers.setBigUint64(at + 40, BigInt(last), true)
    table.set(Buffer.from(name, "utf16le"), at + 56)
  })
  const header = new Uint8Array(92)
  header.set(Buffer.from("EFI PART"))
  const fields = new DataView(header.buffer)
  fields.setUint32(12, 92, true)
  fields.setBigUint64(72, BigInt(place.entries), true)
  fields.setUint32(80, 128, true)
  fields.setUint32(84, 128, true)
  fields.setUint32(88, crc32(table), true)
  fields.setUint32(16, crc32(header), true)
  disk.set(header, place.header * sector)
  disk.set(table, place.entries * sector)
}

const LINUX = "0fc63daf-8483-4772-8e79-3d69d8477de4"

describe("the partition table of", () => {
  it.effect("a disk without one is none", () =>
    Effect.gen(function*() {
      const none: PartitionTable = { scheme: "none", partitions: [] }
      assert.deepStrictEqual(yield* tableOf(new Uint8Array(SIZE)), none)
      assert.deepStrictEqual(yield* tableOf(new Uint8Array(0)), none)
      assert.deepStrictEqual(yield* tableOf(new Uint8Array(511).fill(0x55)), none)
      const fat = new Uint8Array(SIZE)
      mbr(fat, 0, [0x0c, 1, 100])
      fat.set(Buffer.from("FAT32   "), 82)
      assert.deepStrictEqual(yield* tableOf(fat), none)
      const boot = new Uint8Array(SIZE)
      mbr(boot, 0, [0x0c, 1, 100])
      boot[462] = 0x33
      assert.deepStrictEqual(yield* tableOf(boot), none)
    }))

  it.effect("an MBR has primary and logical partitions", () =>
    Effect.gen(function*() {
      const disk = new Uint8Array(SIZE)
      mbr(disk, 0, [0x83, 2048, 2048], [0, 0, 0], [0x05, 8192, 16384], [0x07, 4096, 100])
      mbr(disk, 8192 * 512, [0x83, 64, 1000], [0x05, 4096, 4096])
      mbr(disk, (8192 + 4096) * 512, [0x82, 32, 500])
      assert.deepStrictEqual(yield* tableOf(disk), {
        scheme: "mbr",
        partitions: [
          { number: 1, offset: MIB, length: MIB, type: "83", name: "" },
          { number: 4, offset: 2 * MIB, length: 51_200, type: "07", name: "" },
          { number: 5, offset: 8256 * 512, length: 512_000, type: "83", name: "" },
          { number: 6, offset: (8192 + 4096 + 32) * 512, length: 256_000, type: "82", name: "" }
        ]
      })
    }))

  for (const sector of [512, 4096]) {
    it.effect(`a GPT in sectors of ${sector} has names and types, and its copy counts when it is damaged`, () =>
      Effect.gen(function*() {
        const disk = new Uint8Array(SIZE)
        const last = SIZE / sector - 1
        const parts = [[1024, 1535, "boot"], [0, 0, ""], [1536, 2047, "Wurzel ü"]] as const
        mbr(disk, 0, [0xee, 1, 0xffffffff])
        gpt(disk, sector, { header: 1, entries: 2 }, ...parts)
        gpt(disk, sector, { header: last, entries: last - 32 * 512 / sector }, ...parts)
        // the entry between them has a type, and begins where no partition can
        const expected: PartitionTable = {
          scheme: "gpt",
          partitions: [
            { number: 1, offset: 1024 * sector, length: 512 * sector, type: LINUX, name: "boot" },
            { number: 3, offset: 1536 * sector, length: 512 * sector, type: LINUX, name: "Wurzel ü" }
          ]
        }
        assert.deepStrictEqual(yield* tableOf(disk), expected)
        disk[2 * sector + 32] = 77
        assert.deepStrictEqual(yield* tableOf(disk), expected)
        disk[last * sector] = 0
        assert.deepStrictEqual(yield* tableOf(disk), { scheme: "none", partitions: [] })
      }))
  }

  it.effect("a hostile guest leads nowhere: chains end, and parts lie within the disk", () =>
    Effect.gen(function*() {
      const circle = new Uint8Array(SIZE)
      mbr(circle, 0, [0x05, 2048, 2048])
      mbr(circle, 2048 * 512, [0x83, 1, 10], [0x05, 0, 2048])
      assert.strictEqual((yield* tableOf(circle)).partitions.length, 1)
      const outside = new Uint8Array(SIZE)
      mbr(outside, 0, [0x83, 2048, 0xffffffff], [0x83, 0xffffffff, 1], [0x0f, 0xffffffff, 1], [0x83, 2048, 10])
      assert.deepStrictEqual((yield* tableOf(outside)).partitions.map(({ number }) => number), [4])
      const chain = new Uint8Array(SIZE)
      mbr(chain, 0, [0x05, 1, 30_000])
      for (let at = 1; at < 30_000; at += 2) mbr(chain, at * 512, [0x83, 1, 1], [0x05, at + 1, 1])
      assert.strictEqual((yield* tableOf(chain)).partitions.length, 128)
    }))

  it.effect("any bytes is read without harm", () =>
    Effect.gen(function*() {
      const seed = Number(process.env["BACKY_SEED"] ?? Date.now() % 1_000_000)
      const random = randomNumbers(seed)
      const good = new Uint8Array(64 * 1024)
      mbr(good, 0, [0xee, 1, 0xffffffff])
      gpt(good, 512, { header: 1, entries: 2 }, [40, 60, "a"])
      for (let round = 0; round < 2000; round++) {
        const disk = Uint8Array.from(good)
        if (round % 2 === 0) mbr(disk, 0, [0x83, 40, 10], [0x05, 3, 100], [0x83, 50, 5])
        for (let n = 0; n < 1 + random() * 8; n++) disk[Math.floor(random() * 1024)] = Math.floor(random() * 256)
        const { partitions } = yield* tableOf(disk)
        for (const { length, offset } of partitions) {
          assert.isTrue(offset > 0 && length > 0 && offset + length <= disk.length, `seed ${seed}, round ${round}`)
        }
      }
    }))
})
