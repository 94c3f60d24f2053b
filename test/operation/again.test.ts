/** A source that cannot be read at an offset, but gives all of its content once more. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { type Change, Source } from "../../src/source/Source.ts"
import { backup, CHUNK, restored } from "../support/World.ts"
import * as Scenario from "./scenario.ts"

const { blocks, chunkOf, inScene } = Scenario

const image = blocks(1, 0, 2)

const all = (bytes: Uint8Array): Stream.Stream<Change> => Stream.make({ _tag: "Write" as const, offset: 0, bytes })

/** A backup of what the source gives the first and the second time. */
const backupOf = (first: Uint8Array, second: Uint8Array) =>
  Effect.provideService(backup(), Source, {
    name: "a stream",
    check: Effect.void,
    snapshot: () =>
      Effect.succeed({
        size: first.length,
        content: {
          _tag: "Changes",
          since: () => Effect.succeed({ base: undefined, changes: all(first) }),
          second: { _tag: "Again", changes: all(second) }
        },
        published: Effect.void
      })
  })

describe("a source that is read again", () => {
  it.effect("is backed up when it gives the same twice", () =>
    inScene(() =>
      Effect.gen(function*() {
        const { revision } = yield* backupOf(image, image)
        assert.deepInclude(revision.verification, { kind: "again", compared: 3 * CHUNK })
        assert.deepStrictEqual(yield* restored("latest"), image)
      })
    ))

  for (const [what, second] of [["block", blocks(3, 0, 2)], ["hole", blocks(1, 4, 2)]] as const) {
    it.effect(`makes no revision when it gives another ${what} the second time`, () =>
      inScene(() =>
        Effect.gen(function*() {
          const { message } = yield* Scenario.failureOf(backupOf(image, second))
          assert.match(message, /1 block of a stream differs/)
          assert.deepStrictEqual(yield* Scenario.trusts, [])
        })
      ))
  }

  it.effect("makes no revision when what was stored cannot be read back", () =>
    inScene((scene) =>
      Effect.gen(function*() {
        Scenario.betweenReadings(scene, () => Scenario.tamper(scene, chunkOf(blocks(2)), Scenario.flipBit))
        const { message } = yield* Scenario.failureOf(backupOf(image, image))
        assert.match(message, /1 block of a stream differs/)
        assert.deepStrictEqual(yield* Scenario.trusts, [])
      })
    ))
})
