import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as IdSet from "../../src/domain/IdSet.ts"

/** Ids from a small range, with long shared beginnings and ends, so that they collide. */
const id = FastCheck.tuple(FastCheck.nat(40), FastCheck.nat(3)).map(([first, last]) => {
  const bytes = new Uint8Array(32)
  bytes[0] = first
  bytes[31] = last
  return bytes
})

const key = (bytes: Uint8Array): string => bytes.join()
const isHole = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 0)

describe("IdSet", () => {
  it.prop(
    "is a set: tells what is new, and what is in it",
    [FastCheck.array(id), FastCheck.array(id)],
    ([ids, others]) => {
      const set = IdSet.make()
      const model = new Set<string>()
      for (const bytes of ids) {
        const isNew = !isHole(bytes) && !model.has(key(bytes))
        assert.strictEqual(set.add(bytes, 0), isNew)
        if (isNew) model.add(key(bytes))
        assert.strictEqual(set.size, model.size)
      }
      for (const bytes of [...ids, ...others]) assert.strictEqual(set.has(bytes, 0), model.has(key(bytes)))
    }
  )

  it("grows beyond its first table and keeps all", () => {
    const set = IdSet.make()
    const packed = new Uint8Array(32 * 5000)
    const view = new DataView(packed.buffer)
    for (let at = 0; at < 5000; at++) view.setUint32(at * 32, at + 1)
    for (let at = 0; at < 5000; at++) assert.isTrue(set.add(packed, at * 32))
    for (let at = 0; at < 5000; at++) assert.isFalse(set.add(packed, at * 32))
    assert.strictEqual(set.size, 5000)
    const absent = new Uint8Array(32)
    absent[0] = 255
    assert.isFalse(set.has(absent, 0))
  })

  it("never holds a hole", () => {
    const set = IdSet.make()
    assert.isFalse(set.add(new Uint8Array(64), 32))
    assert.isFalse(set.has(new Uint8Array(64), 0))
  })
})
