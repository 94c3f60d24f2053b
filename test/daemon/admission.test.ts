import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import { admit, type Applicant, firstLimit, firstRunAt, poolOf } from "../../src/daemon/admission.ts"

const applicant = FastCheck.record({
  job: FastCheck.string({ minLength: 1, maxLength: 3 }),
  pool: FastCheck.constantFrom<"fast" | "slow">("fast", "slow"),
  isFirst: FastCheck.boolean(),
  converts: FastCheck.boolean(),
  isRequested: FastCheck.boolean(),
  breachAt: FastCheck.oneof(FastCheck.integer({ min: 0, max: 9 }), FastCheck.constant(Infinity))
}).map((one): Applicant => one.isFirst ? { ...one, pool: "slow", converts: false } : one)
const crowd = FastCheck.record({
  limit: FastCheck.integer({ min: 1, max: 6 }),
  running: FastCheck.array(applicant, { maxLength: 10 }),
  waiting: FastCheck.array(applicant, { maxLength: 30 })
})
const number = (of: ReadonlyArray<Applicant>, which: (one: Applicant) => boolean) => of.filter(which).length

describe("admit", () => {
  it.prop(
    "never gives away more slots than there are, nor more than half of the slow ones to first runs",
    [crowd],
    ([given]) => {
      const admitted = admit(given)
      const after = [...given.running, ...admitted]
      for (const pool of ["fast", "slow"] as const) {
        if (number(admitted, (one) => one.pool === pool) === 0) continue
        assert.isAtMost(number(after, (one) => one.pool === pool), given.limit)
      }
      if (number(admitted, ({ isFirst }) => isFirst) > 0) {
        assert.isAtMost(number(after, ({ isFirst }) => isFirst), firstLimit(given.limit))
      }
    }
  )

  it.prop("lets one job at a time convert in each pool", [crowd], ([given]) => {
    const admitted = admit(given)
    for (const pool of ["fast", "slow"] as const) {
      const converting = (one: Applicant) => one.converts && one.pool === pool
      if (number(admitted, converting) > 0) assert.strictEqual(number([...given.running, ...admitted], converting), 1)
    }
  })

  it.prop("leaves nobody waiting who could run", [crowd], ([given]) => {
    const admitted = admit(given)
    const after = [...given.running, ...admitted]
    for (const one of given.waiting) {
      if (admitted.includes(one)) continue
      const isFull = number(after, ({ pool }) => pool === one.pool) >= given.limit
      const isCrowded = one.isFirst && number(after, ({ isFirst }) => isFirst) >= firstLimit(given.limit)
      const isLate = one.converts && after.some(({ converts, pool }) => converts && pool === one.pool)
      assert.isTrue(isFull || isCrowded || isLate)
    }
  })

  it.prop(
    "lets nobody pass who breaches earlier, is of the same kind and was asked for as well",
    [crowd],
    ([given]) => {
      const admitted = admit(given)
      for (const one of given.waiting) {
        if (admitted.includes(one)) continue
        for (const other of admitted) {
          if (
            other.pool !== one.pool || other.isFirst !== one.isFirst || other.isRequested !== one.isRequested ||
            other.converts !== one.converts
          ) continue
          assert.isAtMost(other.breachAt, one.breachAt)
        }
      }
    }
  )
})

describe("the pools", () => {
  it("are told apart at ten minutes; who has never run is slow", () => {
    assert.deepStrictEqual([undefined, 0, 599.9, 600].map(poolOf), ["slow", "fast", "fast", "slow"])
  })

  it("take a few new jobs at once, and many spread over an hour", () => {
    const at = (newJobs: number, fraction: number) =>
      firstRunAt({ configuredSince: 1000, newJobs, limit: 2, fraction, span: 3600 })
    assert.strictEqual(at(8, 0.5), 1000)
    assert.strictEqual(at(300, 0.5), 2800)
    assert.isBelow(at(300, 0.9999), 4600)
  })
})
