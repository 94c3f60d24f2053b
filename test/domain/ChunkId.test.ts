import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as ChunkId from "../../src/domain/ChunkId.ts"

const packed = FastCheck.uint8Array({ minLength: 32, maxLength: 32 })

describe("ChunkId", () => {
  it.prop("packs and unpacks", [packed], ([bytes]) => {
    const id = ChunkId.fromBytes(bytes)
    assert.isTrue(ChunkId.is(id))
    assert.deepStrictEqual(ChunkId.toBytes(id), bytes)
  })

  it.prop("spells bytes as hex tools do", [packed], ([bytes]) => {
    assert.strictEqual(ChunkId.fromBytes(bytes), Buffer.from(bytes).toString("hex"))
  })

  it("fans out by the first byte", () => {
    const id = ChunkId.fromBytes(new Uint8Array(32).fill(0xab))
    assert.strictEqual(ChunkId.relativePath(id), `chunks/ab/${"ab".repeat(32)}.chunk.zst`)
  })

  it("refuses names of another kind", () => {
    for (
      const text of ["", "ab", "AB".repeat(32), "a".repeat(63), "a".repeat(65), "g".repeat(64), `${"a".repeat(64)}\n`]
    ) {
      assert.isFalse(ChunkId.is(text), text)
    }
    assert.throws(() => ChunkId.fromBytes(new Uint8Array(16)), RangeError)
  })
})
