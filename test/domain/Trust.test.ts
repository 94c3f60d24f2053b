import { assert, describe, it } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as FastCheck from "effect/FastCheck"
import type { DistrustReason } from "../../src/domain/Revision.ts"
import { update } from "../../src/domain/Revision.ts"
import * as Trust from "../../src/domain/Trust.ts"
import { instant, revision } from "../support/arbitraries.ts"

const reason = FastCheck.constantFrom<Array<DistrustReason>>("damaged", "source-mismatch", "manual")
const chunk = FastCheck.constantFrom("a", "b", "c").map((letter) => letter.repeat(64))
const doubt = FastCheck.record({ reason, at: instant(), chunks: FastCheck.array(chunk, { maxLength: 3 }) })
const complete = revision().filter((revision) => revision.isComplete)
const fresh = complete.map((revision) => update(revision, { trust: "trusted", distrust: undefined }))

describe("Trust", () => {
  it.prop("doubt distrusts, and no base is built on it", [complete, doubt], ([revision, doubt]) => {
    const distrusted = Trust.distrust(revision, doubt)
    assert.isFalse(distrusted.isTrusted)
    assert.isFalse(Trust.canBeBase(distrusted))
    assert.deepStrictEqual(
      distrusted.distrust?.chunks.filter((chunk) => doubt.chunks.includes(chunk)).length,
      new Set(doubt.chunks).size
    )
    const { distrust, trust, verifiedAt } = revision
    assert.deepStrictEqual(update(distrusted, { trust, distrust, verifiedAt }), revision, "nothing else changes")
  })

  it.prop(
    "the reason that is harder to lift remains, whatever the order",
    [fresh, doubt, doubt],
    ([revision, a, b]) => {
      const order = ["damaged", "manual", "source-mismatch"]
      const harder = order[Math.max(order.indexOf(a.reason), order.indexOf(b.reason))]
      for (const [first, second] of [[a, b], [b, a]] as const) {
        const twice = Trust.distrust(Trust.distrust(revision, first), second)
        assert.strictEqual(twice.distrust?.reason, harder)
        assert.deepStrictEqual(twice.distrust?.chunks, [...new Set([...a.chunks, ...b.chunks])].sort())
      }
    }
  )

  it.prop("verify lifts damage and a person's word, and never a source mismatch", [fresh, doubt, instant()], ([
    revision,
    doubt,
    at
  ]) => {
    const after = Trust.verify(Trust.distrust(revision, doubt), at)
    assert.strictEqual(after.isTrusted, doubt.reason !== "source-mismatch")
    if (!after.isTrusted) return
    assert.strictEqual(after.trust, "verified")
    assert.deepStrictEqual(after.verifiedAt, at)
    assert.isUndefined(after.distrust)
  })

  it("verify lifts the ancestor's distrust, which has no reason", () => {
    const at = DateTime.unsafeMake(0)
    const [revision] = FastCheck.sample(fresh, { numRuns: 1, seed: 1 })
    assert.strictEqual(Trust.verify(update(revision!, { trust: "distrusted" }), at).trust, "verified")
  })

  it.prop("healing lifts damage alone, when every listed chunk is good again", [
    fresh,
    doubt,
    FastCheck.array(chunk),
    instant()
  ], ([revision, doubt, good, at]) => {
    const before = Trust.distrust(revision, doubt)
    const after = Trust.heal(before, at, (chunk) => good.includes(chunk))
    const expected = doubt.reason === "damaged" && doubt.chunks.length > 0 &&
      doubt.chunks.every((chunk) => good.includes(chunk))
    assert.deepStrictEqual(after, expected ? Trust.verify(before, at) : before)
  })

  it("healing needs to know every bad chunk", () => {
    const [revision] = FastCheck.sample(fresh, { numRuns: 1, seed: 1 })
    const chunks = Array.from({ length: Trust.MAX_LISTED_CHUNKS + 5 }, (_, index) => String(index).padStart(64, "0"))
    const before = Trust.distrust(revision!, { reason: "damaged", at: DateTime.unsafeMake(0), chunks })
    assert.strictEqual(before.distrust?.chunks.length, Trust.MAX_LISTED_CHUNKS)
    assert.strictEqual(before.distrust?.more, 5)
    assert.strictEqual(Trust.heal(before, DateTime.unsafeMake(0), () => true), before)
  })

  it.prop(
    "an incomplete revision is neither distrusted nor verified",
    [revision(), doubt, instant()],
    ([any, doubt, at]) => {
      const incomplete = update(any, { stats: {} })
      assert.strictEqual(Trust.distrust(incomplete, doubt), incomplete)
      assert.strictEqual(Trust.verify(incomplete, at), incomplete)
      assert.isFalse(Trust.canBeBase(incomplete))
    }
  )
})
