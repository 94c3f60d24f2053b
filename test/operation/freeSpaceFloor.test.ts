import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import type { FreeSpace as Floor } from "../../src/config/Settings.ts"
import { backup } from "../../src/operation/backup.ts"
import { Progress } from "../../src/operation/Progress.ts"
import { FreeSpace } from "../../src/platform/FreeSpace.ts"
import { IMAGE, schedule } from "../support/World.ts"
import * as Scenario from "./scenario.ts"

const TOTAL = 1000 * 2 ** 20
const wanted = (freeSpaceFloor: Floor) =>
  backup({ tags: ["daily"], schedule, force: true, wait: Duration.zero, freeSpaceFloor })
const having = (free: number) => Effect.provideService(FreeSpace, { at: () => Effect.succeed({ free, total: TOTAL }) })

describe("free-space-floor", () => {
  it.effect.prop("decides whether a backup begins, to the byte", {
    floor: FastCheck.oneof(
      FastCheck.integer({ min: 1, max: 999 }).map((mebibytes): Floor => ({
        _tag: "Bytes",
        bytes: mebibytes * 2 ** 20
      })),
      FastCheck.integer({ min: 1, max: 99 }).map((percent): Floor => ({ _tag: "Percent", percent }))
    )
  }, ({ floor }) =>
    Scenario.inScene((scene) =>
      Effect.gen(function*() {
        const least = floor._tag === "Bytes" ? floor.bytes : TOTAL / 100 * floor.percent
        Scenario.setImage(scene, Scenario.blocks(1))
        const before = Scenario.filesBelow(scene)
        const error = yield* Scenario.failureOf(having(Math.ceil(least) - 1)(wanted(floor)))
        assert.strictEqual(error._tag, "FloorReached")
        // the lock files are all that a refused backup leaves
        assert.deepStrictEqual(Scenario.filesBelow(scene).filter((path) => !path.startsWith(".")), before)
        yield* having(Math.ceil(least))(wanted(floor))
      })
    ), { fastCheck: { numRuns: 10 } })

  it.effect("says how much is free, and what makes room", () =>
    Scenario.inScene((scene) =>
      Effect.gen(function*() {
        Scenario.setImage(scene, Scenario.blocks(1))
        const said = (floor: Floor) =>
          Effect.map(Scenario.failureOf(having(3.5 * 2 ** 20)(wanted(floor))), ({ message }) => message)
        assert.strictEqual(
          yield* said({ _tag: "Percent", percent: 5 }),
          "no backup was begun: 3 MiB are free in /srv/backy/vm, and free-space-floor is 5% of 1000 MiB " +
            "(backy expire and backy purge make room)"
        )
        assert.include(yield* said({ _tag: "Bytes", bytes: 2 ** 30 }), "free-space-floor is 1024 MiB (")
      })
    ))

  it.effect("tells the scheduler when it was the room, and whether a purge has something to take away", () =>
    Scenario.inScene((scene) =>
      Effect.gen(function*() {
        const told: Array<boolean> = []
        const watched = Effect.provideService(Progress, {
          start: () => Effect.void,
          advance: () => Effect.void,
          lacksRoom: (begun) => Effect.sync(() => void told.push(begun))
        })
        Scenario.setImage(scene, Scenario.blocks(1, 2, 3, 4))
        yield* Scenario.failureOf(having(0)(watched(wanted({ _tag: "Percent", percent: 5 }))))
        assert.deepStrictEqual(told, [false])
        scene.memory.capacity = scene.memory.used + 3 * 4096
        yield* Scenario.failureOf(watched(wanted({ _tag: "Bytes", bytes: 1 })))
        assert.deepStrictEqual(told, [false, true])
        scene.memory.capacity = undefined
        scene.disk.unlink(IMAGE)
        yield* Scenario.failureOf(watched(wanted({ _tag: "Bytes", bytes: 1 })))
        assert.deepStrictEqual(told, [false, true])
      })
    ))

  it.effect("keeps nobody from backing up where the room cannot be told, and says so", () =>
    Scenario.inScene((scene) =>
      Effect.gen(function*() {
        Scenario.setImage(scene, Scenario.blocks(1))
        yield* wanted({ _tag: "Percent", percent: 5 })
        assert.include(scene.log.join("\n"), "free-space-floor is not looked at")
      })
    ))
})
