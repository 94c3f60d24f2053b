import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import * as FS from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { portable, portably, toHex } from "../../src/platform/hash.ts"
import * as MemoryDisk from "../../src/platform/MemoryDisk.ts"
import * as ChunkFile from "../../src/store/chunkFile.ts"
import * as Trailer from "../../src/store/chunkTrailer.ts"
import { compress } from "../../src/store/codec.ts"

const REPOSITORY = "/r"
const content = Uint8Array.from({ length: 1000 }, (_, at) => at % 7)
const hex = toHex(portable(content))
const frame = compress(content, 1)
const trailer = Trailer.encode(portable, hex, frame)
const join2 = (...parts: ReadonlyArray<Uint8Array>): Uint8Array => Uint8Array.from(Buffer.concat(parts))

/** What reading a chunk file of these bytes gives. */
const read = (file: Uint8Array, name = hex, length = content.length): ChunkFile.Found => {
  const memory = MemoryDisk.make()
  for (const folder of ["", "/chunks", `/chunks/${name.slice(0, 2)}`]) {
    memory.disk.makeDirectory(`${REPOSITORY}${folder}`, 0o750)
  }
  memory.plantFile(ChunkFile.pathOf(REPOSITORY, name), file)
  const tools = { disk: memory.disk, hash: portable, hasher: portably.hasher, piece: 64, level: 1, writer: "abcdef" }
  return ChunkFile.read(tools, REPOSITORY, name, length, { hashed: true, trailer: true })
}

/** Words without a pattern, which zstd leaves as they are. */
const noise = (length: number): Uint8Array => {
  const bytes = new Uint8Array(length)
  for (let at = 0, state = 1; at < length; at++) {
    state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9 | 0
    bytes[at] = state >>> 11
  }
  return bytes
}

describe("the trailer of a chunk", () => {
  it("is 40 bytes as docs/format.md says, and of this name and frame alone", () => {
    assert.strictEqual(trailer.length, 40)
    assert.deepStrictEqual([...trailer.subarray(0, 8)], [0x5b, 0x2a, 0x4d, 0x18, 32, 0, 0, 0])
    assert.strictEqual(toHex(trailer.subarray(8)), toHex(portable(join2(new TextEncoder().encode(hex), frame))))
    const parts = Trailer.split(join2(frame, trailer))
    assert.isDefined(parts)
    if (parts === undefined) return
    assert.isTrue(Trailer.matches(portable, hex, parts))
    assert.isFalse(Trailer.matches(portable, "0".repeat(64), parts))
    assert.isFalse(Trailer.matches(portable, hex, { ...parts, frame: parts.frame.subarray(1) }))
    assert.isUndefined(Trailer.split(frame))
    assert.isUndefined(Trailer.split(trailer.subarray(1)))
  })

  it("may be there or not; one that does not match is told, and nothing else", () => {
    assert.deepStrictEqual(read(frame), { state: "good", content: Buffer.from(content) })
    assert.deepStrictEqual(read(join2(frame, trailer)), { state: "good", content: Buffer.from(content) })
    for (let bit = 0; bit < 32 * 8; bit++) {
      const other = Uint8Array.from(trailer)
      other[8 + (bit >> 3)] = (other[8 + (bit >> 3)] ?? 0) ^ (1 << (bit & 7))
      const found = read(join2(frame, other))
      assert.deepStrictEqual(found, { state: "good", content: Buffer.from(content), hasForeignTrailer: true })
    }
  })

  it("makes nothing good that is not: no bit of the frame, no trailer alone, twice, or cut", () => {
    for (let bit = 0; bit < frame.length * 8; bit++) {
      const other = Uint8Array.from(frame)
      other[bit >> 3] = (other[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      const found = read(join2(other, trailer))
      if (found.state === "good") assert.deepStrictEqual([...found.content], [...content], `bit ${bit}`)
    }
    assert.strictEqual(read(trailer).state, "damaged")
    assert.strictEqual(read(join2(frame, trailer, trailer)).state, "damaged")
    for (let length = 1; length < 40; length++) {
      assert.strictEqual(read(join2(frame, trailer.subarray(0, length))).state, "damaged", `${length} bytes`)
    }
  })

  it("is not seen in a guest's last bytes", () => {
    const guests = join2(noise(5000), trailer)
    const name = toHex(portable(guests))
    const file = compress(guests, 1)
    // zstd stores what it cannot compress as it is, so that the file ends with what the guest wrote
    assert.isDefined(Trailer.split(file))
    assert.strictEqual(read(file, name, guests.length).state, "good")
    const whole = join2(file, Trailer.encode(portable, name, file))
    assert.deepStrictEqual(read(whole, name, guests.length), { state: "good", content: Buffer.from(guests) })
  })

  it.skipIf(spawnSync("zstd", ["--version"]).error !== undefined)("is passed over by zstd -dc", () => {
    const place = FS.mkdtempSync(join(tmpdir(), "backy-trailer-"))
    try {
      FS.writeFileSync(join(place, "chunk"), join2(frame, trailer))
      const { status, stdout } = spawnSync("zstd", ["-dcq", join(place, "chunk")])
      assert.strictEqual(status, 0)
      assert.isTrue(Buffer.compare(stdout, content) === 0)
    } finally {
      FS.rmSync(place, { recursive: true })
    }
  })
})
