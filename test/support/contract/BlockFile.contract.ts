/**
 * What every `BlockFile` promises: the real one, and those over a `Disk`.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Layer from "effect/Layer"
import { BlockFile, type OpenFile } from "../../../src/platform/BlockFile.ts"
import { IoError } from "../../../src/platform/IoError.ts"

export interface BlockFileFixture {
  readonly layer: Layer.Layer<BlockFile>
  /** An existing, empty directory. */
  readonly root: string
  readonly link: (target: string, path: string) => void
}

/** Checks one kind of block files; `make` gives a new empty directory each time. */
export const blockFileContract = (name: string, make: () => BlockFileFixture): void => {
  describe(`as block files: ${name}`, () => {
    const test = <A, E>(
      title: string,
      body: (at: (path: string) => string, fixture: BlockFileFixture) => Effect.Effect<A, E, BlockFile>
    ): void =>
      it.effect(title, () =>
        Effect.suspend(() => {
          const fixture = make()
          return Effect.provide(body((path) => `${fixture.root}/${path}`, fixture), fixture.layer)
        }))

    const create = { access: "read-write", create: "exclusive" } as const

    test("reads back what was written, until the buffer is full or the file ends", (at) =>
      Effect.gen(function*() {
        const files = yield* BlockFile
        const large = Uint8Array.from({ length: 3_000_000 }, (_, i) => i % 251)
        yield* files.withFile(at("f"), create, (file) =>
          Effect.gen(function*() {
            yield* file.writeAt(large, 1000)
            yield* file.writeAt(new Uint8Array(0), 5_000_000)
            yield* file.datasync
            const buffer = new Uint8Array(3_000_000)
            assert.strictEqual(yield* file.readAt(buffer, 1000), 3_000_000)
            assert.deepStrictEqual(buffer, large)
            assert.strictEqual(yield* file.readAt(buffer, 3_000_900), 100)
            assert.strictEqual(yield* file.readAt(buffer, 3_001_000), 0)
            assert.strictEqual((yield* file.stat).size, 3_001_000)
            yield* file.sync
          }))
      }))

    test("knows where data lies, punches holes, cuts", (at) =>
      Effect.gen(function*() {
        const files = yield* BlockFile
        yield* files.withFile(at("f"), create, (file) =>
          Effect.gen(function*() {
            const size = 4 * 1024 * 1024
            yield* file.truncate(size)
            yield* file.writeAt(new Uint8Array(65_536).fill(1), 1024 * 1024)
            yield* file.writeAt(new Uint8Array(65_536).fill(1), 3 * 1024 * 1024)
            yield* file.sync
            const extents = yield* file.dataExtents(0, size)
            const covered = (offset: number) => extents.some((e) => e.offset <= offset && offset < e.offset + e.length)
            assert.isTrue(covered(1024 * 1024) && covered(1024 * 1024 + 65_535) && covered(3 * 1024 * 1024))
            assert.isTrue(extents.every((extent) => extent.length > 0))
            const some = yield* file.dataExtents(1024 * 1024 + 10, 20)
            assert.deepStrictEqual(some, [{ offset: 1024 * 1024 + 10, length: 20 }])
            assert.deepStrictEqual(yield* file.dataExtents(size, 100), [])
            const punched = yield* file.punch(1024 * 1024, 65_536)
            yield* file.dropCache(0, 0)
            const buffer = new Uint8Array(65_536)
            yield* file.readAt(buffer, 1024 * 1024)
            assert.isTrue(buffer.every((byte) => byte === (punched ? 0 : 1)))
            yield* file.truncate(10)
            assert.strictEqual((yield* file.stat).size, 10)
          }))
      }))

    test("says in one sentence what went wrong", (at, { link }) =>
      Effect.gen(function*() {
        const files = yield* BlockFile
        const missing = yield* Effect.flip(Effect.scoped(files.open(at("no"), { access: "read" })))
        assert.instanceOf(missing, IoError)
        assert.strictEqual(missing.message, `cannot open ${at("no")}: no such file or directory (ENOENT)`)
        yield* files.withFile(at("f"), create, () => Effect.void)
        const again = yield* Effect.flip(files.withFile(at("f"), create, () => Effect.void))
        assert.strictEqual(again.message, `cannot create ${at("f")}: file already exists (EEXIST)`)
        link("f", at("l"))
        const linked = yield* Effect.flip(files.withFile(at("l"), { access: "read" }, () => Effect.void))
        assert.strictEqual(linked.code, "ELOOP")
        assert.strictEqual((yield* files.lstat(at("l"))).kind, "symlink")
        assert.strictEqual((yield* Effect.flip(files.lstat(at("no")))).code, "ENOENT")
        const denied = yield* files.withFile(at("f"), { access: "read" }, (file) =>
          Effect.flip(file.writeAt(new Uint8Array(1), 0)))
        assert.deepInclude({ ...denied }, { operation: "write", path: at("f"), code: "EBADF" })
      }))

    test("a file ends with its scope, and fails afterwards", (at) =>
      Effect.gen(function*() {
        const files = yield* BlockFile
        const leaked = yield* Effect.scoped(files.open(at("f"), create))
        assert.strictEqual((yield* Effect.flip(leaked.readAt(new Uint8Array(1), 0))).code, "EBADF")
        assert.strictEqual((yield* Effect.flip(leaked.sync)).code, "EBADF")
        assert.strictEqual((yield* Effect.flip(leaked.stat)).code, "EBADF")
        yield* leaked.close
        yield* Effect.scoped(Effect.gen(function*() {
          const file = yield* files.open(at("f"), { access: "read" })
          yield* file.close
          yield* file.close
        }))
      }))

    test("withFile gives what its use gives, fails as it fails, and closes whatever happens", (at) =>
      Effect.gen(function*() {
        const files = yield* BlockFile
        assert.strictEqual(yield* files.withFile(at("f"), create, () => Effect.succeed(42)), 42)
        const failed = yield* Effect.exit(files.withFile(at("f"), { access: "read" }, () => Effect.fail("no")))
        assert.deepStrictEqual(failed, Exit.fail("no"))
        const interrupted = yield* Effect.exit(files.withFile(at("f"), { access: "read" }, () => Effect.interrupt))
        assert.isTrue(Exit.isFailure(interrupted) && Cause.isInterrupted(interrupted.cause))
        const opened: Array<OpenFile> = []
        const thrown = yield* Effect.exit(files.withFile(at("f"), { access: "read" }, (file): Effect.Effect<never> => {
          opened.push(file)
          throw new Error("a bug")
        }))
        assert.isTrue(Exit.isFailure(thrown) && Cause.isDie(thrown.cause))
        const codes = yield* Effect.forEach(opened, (file) => Effect.map(Effect.flip(file.stat), ({ code }) => code))
        assert.deepStrictEqual(codes, ["EBADF"])
      }))

    test("directories are synced like files", (at, { root }) =>
      Effect.gen(function*() {
        const files = yield* BlockFile
        yield* files.withFile(root, { access: "read" }, (directory) => directory.sync)
        const { kind } = yield* files.lstat(root)
        assert.strictEqual(kind, "directory")
        assert.strictEqual((yield* Effect.flip(files.withFile(at("no/f"), create, () => Effect.void))).code, "ENOENT")
      }))
  })
}
