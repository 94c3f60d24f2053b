import { assert, describe, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { encode } from "../../src/daemon/StatusFile.ts"
import type { JobStatus } from "../../src/domain/JobStatus.ts"
import { changesBetween, Jobs } from "../../src/library/Jobs.ts"
import { status as statusOf } from "../support/jobStatus.ts"

const told = (changes: Iterable<ReturnType<typeof changesBetween>[number]>) =>
  Array.from(changes, ({ _tag, job }) => `${_tag} ${job}`)

describe("the changes between two looks", () => {
  it("are told by job, and a job that is the same is not told of", () => {
    const [a, b, c] = ["a", "b", "c"].map((job) => statusOf({ job }))
    if (a === undefined || b === undefined || c === undefined) return assert.fail()
    assert.deepStrictEqual(told(changesBetween([], [a, b])), ["Appeared a", "Appeared b"])
    assert.deepStrictEqual(told(changesBetween([a, b], [{ ...a }, b])), [])
    assert.deepStrictEqual(told(changesBetween([a, b], [c, { ...b, failures: 1 }])), [
      "Appeared c",
      "Changed b",
      "Gone a"
    ])
  })
})

describe("the jobs of a scheduler", () => {
  it.live("are a value, and a stream of what becomes of them", () =>
    Effect.acquireUseRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), "backy-jobs-"))),
      (place) => {
        const statusFile = join(place, "status")
        // as the scheduler does: another file takes the name
        const write = (...jobs: ReadonlyArray<JobStatus>) =>
          Effect.sync(() => {
            writeFileSync(`${statusFile}.new`, encode(jobs))
            renameSync(`${statusFile}.new`, statusFile)
          })
        const job = statusOf({ job: "web01" })
        return Effect.gen(function*() {
          const jobs = yield* Jobs
          assert.strictEqual((yield* Effect.flip(jobs.status))._tag, "StatusUnusable")
          yield* write(job)
          assert.deepStrictEqual((yield* jobs.status).jobs, [job])
          const changes = yield* jobs.changes({ every: "5 millis" }).pipe(
            Stream.tap(({ _tag }) =>
              _tag === "Appeared"
                ? write({ ...job, failures: 1 })
                : _tag === "Changed"
                ? write()
                : Effect.void
            ),
            Stream.take(3),
            Stream.runCollect,
            Effect.fork,
            Effect.flatMap(Fiber.join)
          )
          assert.deepStrictEqual(told(Chunk.toReadonlyArray(changes)), [
            "Appeared web01",
            "Changed web01",
            "Gone web01"
          ])
        }).pipe(Effect.provide(Jobs.layer({ statusFile })))
      },
      (place) => Effect.sync(() => rmSync(place, { recursive: true }))
    ))
})
