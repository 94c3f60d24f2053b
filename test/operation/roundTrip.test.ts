import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import { expire } from "../../src/operation/expire.ts"
import { purge } from "../../src/operation/purge.ts"
import { verify } from "../../src/operation/verify.ts"
import { backup, CHUNK, IMAGE, layerOn, makeDisk, restored, schedule, setFile } from "../support/World.ts"

/** A change of an image: what a VM does to its disk between two backups. */
type Change =
  | { readonly _tag: "write"; readonly at: number; readonly byte: number; readonly length: number }
  | { readonly _tag: "zero"; readonly at: number; readonly length: number }
  | { readonly _tag: "resize"; readonly size: number }

/** Sizes around the borders of chunks, and everywhere else up to three of them. */
const size = FastCheck.oneof(
  FastCheck.constantFrom(0, 1, 511, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 17),
  FastCheck.integer({ min: 0, max: 3 * CHUNK })
)
const offset = FastCheck.oneof(
  FastCheck.constantFrom(0, CHUNK - 1, CHUNK, 2 * CHUNK),
  FastCheck.integer({ min: 0, max: 3 * CHUNK })
)
const length = FastCheck.oneof(FastCheck.integer({ min: 1, max: 100 }), FastCheck.constantFrom(CHUNK, 2 * CHUNK))
const change: FastCheck.Arbitrary<Change> = FastCheck.oneof(
  FastCheck.record({
    _tag: FastCheck.constant("write" as const),
    at: offset,
    byte: FastCheck.integer({ min: 1, max: 255 }),
    length
  }),
  FastCheck.record({ _tag: FastCheck.constant("zero" as const), at: offset, length }),
  FastCheck.record({ _tag: FastCheck.constant("resize" as const), size })
)

const apply = (image: Uint8Array, { ...step }: Change): Uint8Array => {
  switch (step._tag) {
    case "write":
      return Uint8Array.from(image).fill(step.byte, step.at, step.at + step.length)
    case "zero":
      return Uint8Array.from(image).fill(0, step.at, step.at + step.length)
    case "resize": {
      const next = new Uint8Array(step.size)
      next.set(image.subarray(0, step.size))
      return next
    }
  }
}

describe("round trip", () => {
  it.effect.prop("every kept revision restores to its own bytes, whatever happened to the image since", {
    start: size,
    history: FastCheck.array(FastCheck.array(change, { maxLength: 3 }), { minLength: 1, maxLength: 4 })
  }, ({ history, start }) =>
    Effect.gen(function*() {
      const { disk } = makeDisk()
      yield* Effect.gen(function*() {
        let image = new Uint8Array(start).fill(0x5a, 0, Math.ceil(start / 2))
        const expected = new Map<string, Uint8Array>()
        for (const steps of history) {
          image = Uint8Array.from(steps.reduce(apply, image))
          setFile(disk, IMAGE, image)
          const { revision } = yield* backup(["daily"], { acceptShrink: true })
          expected.set(revision.id, image)
          assert.strictEqual(revision.size, image.length)
        }
        const { decisions } = yield* expire({ schedule, dryRun: true, unknownTags: false, wait: Duration.zero })
        assert.strictEqual(decisions.length, history.length)
        yield* purge({ dryRun: false, wait: Duration.zero })
        const report = yield* verify({ revisions: "all", wait: Duration.zero })
        assert.isTrue(report.verdicts.every(({ state }) => state === "verified"))
        for (const [id, bytes] of expected) {
          assert.isTrue(Buffer.compare(yield* restored(id), bytes) === 0, `revision ${id}`)
        }
      }).pipe(Effect.provide(layerOn(disk)))
    }), { fastCheck: { numRuns: 100 } })
})
