/**
 * What every `FileLock` promises: the kernel's, and simulated ones.
 */
import { assert, beforeEach, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import type { Disk } from "../../../src/platform/Disk.ts"
import { acquireWithin, FileLock, LockHeld, type LockMode, within } from "../../../src/platform/FileLock.ts"
import { LockOwner } from "../../../src/platform/LockHolder.ts"

export interface FileLockFixture {
  readonly layer: Layer.Layer<FileLock>
  /** An existing, empty directory. */
  readonly root: string
  /** The disk with the lock files, where there is one. */
  readonly disk: Disk | undefined
  readonly link: ((target: string, path: string) => void) | undefined
  readonly readOnly: ((on: boolean) => void) | undefined
}

const acquire = (path: string, mode: LockMode) => Effect.flatMap(FileLock, (locks) => locks.acquire(path, mode))

/** Acquires in a scope of its own, so that the test can let go. */
const take = (path: string, mode: LockMode) =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    yield* Scope.extend(acquire(path, mode), scope)
    return Scope.close(scope, Exit.void)
  })

/** Is the lock to be had now? */
const isFree = (path: string, mode: LockMode) =>
  Effect.map(Effect.either(Effect.scoped(acquire(path, mode))), Either.isRight)

/** Checks one kind of locks. */
export const fileLockContract = (name: string, make: () => FileLockFixture): void => {
  describe(`as locks: ${name}`, () => {
    let fixture: FileLockFixture
    const at = (path: string) => `${fixture.root}/${path}`
    beforeEach(() => {
      fixture = make()
    })
    const test = <A, E>(title: string, body: () => Effect.Effect<A, E, FileLock | Scope.Scope>): void =>
      it.scoped(title, () => Effect.suspend(() => Effect.provide(body(), fixture.layer)))

    test("shared locks go together, an exclusive one with none, even in one process", () =>
      Effect.gen(function*() {
        const path = at(".lock")
        const one = yield* take(path, "shared")
        const two = yield* take(path, "shared")
        assert.isFalse(yield* isFree(path, "exclusive"))
        yield* one
        assert.isFalse(yield* isFree(path, "exclusive"))
        yield* two
        const alone = yield* take(path, "exclusive")
        assert.isFalse(yield* isFree(path, "exclusive"))
        assert.isFalse(yield* isFree(path, "shared"))
        assert.isTrue(yield* isFree(at(".other"), "exclusive"))
        yield* alone
        assert.isTrue(yield* isFree(path, "exclusive"))
        assert.isTrue(yield* isFree(path, "shared"))
      }))

    test("a conflict names the holder, and nobody who has let go", () =>
      Effect.gen(function*() {
        const path = at(".lock")
        const owner = { pid: process.pid, host: "host", command: "backy -b vm1 backup\n\u001b[31m daily" }
        const first = yield* Effect.provideService(take(path, "exclusive"), LockOwner, owner)
        const held = yield* Effect.flip(Effect.scoped(acquire(path, "shared")))
        assert.instanceOf(held, LockHeld)
        assert.strictEqual(
          held._tag === "LockHeld" ? held.holder : "",
          `backy -b vm1 backup [31m daily, process ${process.pid} on host, since 1970-01-01 00:00:00 UTC`
        )
        assert.include(held.message, `${path} is locked by backy -b vm1 backup`)
        yield* first
        yield* acquire(path, "shared")
        const again = yield* Effect.flip(Effect.scoped(acquire(path, "exclusive")))
        const named = again._tag === "LockHeld" ? again.holder ?? "" : "nobody"
        assert.notInclude(named, "backy -b vm1 backup")
        // who shares a lock has written nothing: it is named where the kernel tells, and this very process shares it here
        assert.match(named, new RegExp(`^$|, process ${process.pid}, since 2\\d{3}-`))
      }))

    test("a scope that is interrupted lets go", () =>
      Effect.gen(function*() {
        const path = at(".lock")
        const locked = yield* Deferred.make<void>()
        const fiber = yield* acquire(path, "exclusive").pipe(
          Effect.zipRight(Deferred.succeed(locked, undefined)),
          Effect.zipRight(Effect.never),
          Effect.scoped,
          Effect.fork
        )
        yield* Deferred.await(locked)
        assert.isFalse(yield* isFree(path, "shared"))
        yield* Fiber.interrupt(fiber)
        assert.isTrue(yield* isFree(path, "exclusive"))
      }))

    test("acquireIfPossible without create locks only what is there", () =>
      Effect.gen(function*() {
        const locks = yield* FileLock
        const path = at(".lock")
        assert.isFalse(yield* locks.acquireIfPossible(path, "shared", { create: false }))
        yield* Effect.scoped(locks.acquire(path, "shared"))
        assert.isTrue(yield* locks.acquireIfPossible(path, "shared", { create: false }))
        assert.isTrue(yield* locks.acquireIfPossible(at(".other"), "exclusive"))
        assert.isFalse(yield* isFree(path, "exclusive"))
        assert.isFalse(yield* isFree(at(".other"), "shared"))
      }))

    test("a lock file is made with a modest mode, and stays", () =>
      Effect.gen(function*() {
        if (fixture.disk === undefined) return
        yield* Effect.scoped(acquire(at(".lock"), "exclusive"))
        assert.strictEqual(fixture.disk.lstat(at(".lock")).mode, 0o640)
        assert.strictEqual(fixture.disk.lstat(at(".lock")).size, 0)
      }))

    test("a file with a second name is locked and never written to", () =>
      Effect.gen(function*() {
        const { disk } = fixture
        if (disk === undefined) return
        const descriptor = disk.open(at("anybody's"), { access: "write", create: "exclusive" })
        disk.write(descriptor, new TextEncoder().encode("content"), 0)
        disk.close(descriptor)
        disk.link(at("anybody's"), at(".lock"))
        yield* Effect.scoped(Effect.gen(function*() {
          yield* acquire(at(".lock"), "exclusive")
          assert.isFalse(yield* isFree(at(".lock"), "shared"))
          assert.strictEqual(disk.lstat(at("anybody's")).size, 7)
        }))
        assert.strictEqual(disk.lstat(at("anybody's")).size, 7)
      }))

    test("a link in the lock file's place is refused", () =>
      Effect.gen(function*() {
        if (fixture.link === undefined) return
        fixture.link("elsewhere", at(".lock"))
        for (const mode of ["shared", "exclusive"] as const) {
          const error = yield* Effect.flip(Effect.scoped(acquire(at(".lock"), mode)))
          assert.deepInclude({ ...error }, { _tag: "IoError", code: "ELOOP" })
        }
      }))

    test("on a read-only file system an existing file is locked, a missing one is not made", () =>
      Effect.gen(function*() {
        if (fixture.readOnly === undefined) return
        const locks = yield* FileLock
        yield* Effect.scoped(acquire(at(".lock"), "exclusive"))
        fixture.readOnly(true)
        yield* Effect.addFinalizer(() => Effect.sync(() => fixture.readOnly?.(false)))
        const holding = yield* take(at(".lock"), "exclusive")
        assert.isFalse(yield* isFree(at(".lock"), "shared"))
        yield* holding
        const error = yield* Effect.flip(Effect.scoped(acquire(at(".missing"), "shared")))
        assert.deepInclude({ ...error }, { _tag: "IoError", code: "EROFS" })
        assert.isFalse(yield* Effect.scoped(locks.acquireIfPossible(at(".missing"), "shared")))
        assert.isFalse(yield* Effect.scoped(locks.acquireIfPossible(at(".missing"), "exclusive")))
      }))

    test("acquireWithin waits until the lock is free, and no longer than it may", () =>
      Effect.gen(function*() {
        const path = at(".lock")
        const holding = yield* take(path, "exclusive")
        const refused = yield* Effect.flip(Effect.scoped(acquireWithin(path, "shared", 0)))
        assert.strictEqual(refused._tag, "LockHeld")
        const impatient = yield* Effect.fork(Effect.flip(Effect.scoped(acquireWithin(path, "shared", "3 seconds"))))
        const patient = yield* Effect.fork(Effect.scoped(acquireWithin(path, "exclusive", "10 minutes")))
        yield* advance("3 seconds", impatient)
        assert.strictEqual((yield* Fiber.join(impatient))._tag, "LockHeld")
        yield* holding
        yield* advance("2 seconds", patient)
        yield* Fiber.join(patient)
      }))

    test("waiting does not help against other errors", () =>
      Effect.gen(function*() {
        if (fixture.disk === undefined) return
        const locks = yield* FileLock
        const acquisition = within("1 hour")(locks.acquireIfPossible(at("no/such/.lock"), "shared"))
        const error = yield* Effect.flip(Effect.scoped(acquisition))
        assert.deepInclude({ ...error }, { _tag: "IoError", code: "ENOENT" })
      }))
  })
}

/** Lets virtual time pass in small steps, with real time for real programs between them, until the fiber has ended. */
const advance = <A, E>(time: Duration.DurationInput, fiber: Fiber.RuntimeFiber<A, E>) =>
  TestClock.adjust(Duration.times(Duration.decode(time), 0.1)).pipe(
    Effect.zipRight(Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))),
    Effect.zipRight(Fiber.poll(fiber)),
    Effect.repeat({ until: (exit) => exit._tag === "Some" })
  )
