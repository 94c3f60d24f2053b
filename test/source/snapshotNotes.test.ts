import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as MemoryDisk from "../../src/platform/MemoryDisk.ts"
import * as Notes from "../../src/source/snapshotNotes.ts"
import { damages } from "../support/metadataDamage.ts"
import { layerOn, makeDisk, REPOSITORY } from "../support/World.ts"

const PATH = `${REPOSITORY}/snapshots`
const LINES = ["rbd/vm@backy-one", "rbd/vm@backy-two", "rbd/vm@backy-three"] as const

const noted = (): Effect.Effect<MemoryDisk.MemoryDisk, unknown> =>
  Effect.suspend(() => {
    const memory = makeDisk()
    return Effect.as(
      Effect.forEach(LINES, (line) => Notes.add(REPOSITORY, line), { discard: true }).pipe(
        Effect.provide(layerOn(memory.disk))
      ),
      memory
    )
  })

describe("the list of snapshots", () => {
  it.effect("comes back as it was noted, and forgets what is removed", () =>
    Effect.gen(function*() {
      const memory = yield* noted()
      yield* Effect.gen(function*() {
        assert.deepStrictEqual(yield* Notes.read(REPOSITORY), [...LINES])
        yield* Notes.remove(REPOSITORY, "rbd/vm@backy-two")
        assert.deepStrictEqual(yield* Notes.read(REPOSITORY), [LINES[0], LINES[2]])
      }).pipe(Effect.provide(layerOn(memory.disk)))
    }))

  it.effect(
    "is set aside, and names nothing, after any damage; the next note begins a new one",
    () =>
      Effect.gen(function*() {
        const whole = yield* noted()
        const bytes = whole.bytesAt(PATH)
        for (const { content, what } of damages(bytes)) {
          const memory = whole.clone()
          memory.plantFile(PATH, content)
          yield* Effect.gen(function*() {
            assert.deepStrictEqual(yield* Notes.read(REPOSITORY), [], what)
            assert.deepStrictEqual(memory.bytesAt(`${PATH}.unusable`), content, what)
            yield* Notes.add(REPOSITORY, "rbd/vm@backy-four")
            assert.deepStrictEqual(yield* Notes.read(REPOSITORY), ["rbd/vm@backy-four"], what)
          }).pipe(Effect.provide(layerOn(memory.disk)))
        }
      }),
    120_000
  )

  it.effect("is set aside when it is no file at all", () =>
    Effect.gen(function*() {
      for (const plant of ["plantLink", "plantDirectory", "plantOther"] as const) {
        const memory = makeDisk()
        if (plant === "plantLink") memory.plantLink("/etc/passwd", PATH)
        else memory[plant](PATH)
        assert.deepStrictEqual(yield* Effect.provide(Notes.read(REPOSITORY), layerOn(memory.disk)), [], plant)
      }
    }))
})
