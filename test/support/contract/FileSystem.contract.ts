/**
 * What backy relies on of @effect/platform's FileSystem: the real one, and those over a `Disk`.
 */
import type { PlatformError } from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import { assert, describe, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { fromPlatform } from "../../../src/platform/IoError.ts"

export interface FileSystemFixture {
  readonly layer: Layer.Layer<FileSystem.FileSystem>
  /** An existing, empty directory. */
  readonly root: string
  readonly link: (target: string, path: string) => void
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

/** The errno that a call fails with. */
const codeOf = <A, R>(effect: Effect.Effect<A, PlatformError, R>): Effect.Effect<string, never, R> =>
  Effect.match(effect, { onFailure: (error) => fromPlatform(error).code, onSuccess: () => "nothing failed" })

/** Checks one kind of file system; `make` gives a new empty directory each time. */
export const fileSystemContract = (name: string, make: () => FileSystemFixture): void => {
  describe(`as a file system: ${name}`, () => {
    const test = <A, E>(
      title: string,
      body: (
        system: FileSystem.FileSystem,
        at: (path: string) => string,
        fixture: FileSystemFixture
      ) => Effect.Effect<A, E, Scope.Scope>
    ): void =>
      it.scoped(title, () =>
        Effect.suspend(() => {
          const fixture = make()
          return Effect.flatMap(
            FileSystem.FileSystem,
            (system) => body(system, (path) => `${fixture.root}/${path}`, fixture)
          ).pipe(Effect.provide(fixture.layer))
        }))

    test("whole files are written, read, appended to", (system, at) =>
      Effect.gen(function*() {
        yield* system.writeFileString(at("f"), "hello")
        assert.strictEqual(yield* system.readFileString(at("f")), "hello")
        yield* system.writeFile(at("f"), bytes("bye"))
        yield* system.writeFileString(at("f"), "!", { flag: "a" })
        assert.deepStrictEqual(Uint8Array.from(yield* system.readFile(at("f"))), bytes("bye!"))
        assert.strictEqual(yield* codeOf(system.writeFileString(at("f"), "x", { flag: "wx" })), "EEXIST")
        assert.strictEqual(yield* codeOf(system.readFile(at("no"))), "ENOENT")
        assert.strictEqual(yield* codeOf(system.writeFileString(at("no/f"), "")), "ENOENT")
        yield* system.writeFileString(at("secret"), "x", { mode: 0o600 })
        assert.strictEqual((yield* system.stat(at("secret"))).mode & 0o777, 0o600)
      }))

    test("what is there is told from what is not", (system, at, { link }) =>
      Effect.gen(function*() {
        yield* system.writeFileString(at("f"), "12345")
        yield* system.makeDirectory(at("d"))
        link("f", at("l"))
        link("nowhere", at("dangling"))
        assert.isTrue(yield* system.exists(at("f")))
        assert.isTrue(yield* system.exists(at("l")))
        assert.isFalse(yield* system.exists(at("no")))
        assert.isFalse(yield* system.exists(at("dangling")))
        yield* system.access(at("f"))
        assert.strictEqual(yield* codeOf(system.access(at("no"))), "ENOENT")
        const stat = yield* system.stat(at("l"))
        assert.deepInclude(stat, { type: "File", size: FileSystem.Size(5) })
        assert.deepStrictEqual(stat.nlink, Option.some(1))
        assert.strictEqual((yield* system.stat(at("d"))).type, "Directory")
        assert.strictEqual(yield* codeOf(system.stat(at("no"))), "ENOENT")
        assert.strictEqual(yield* codeOf(system.stat(at("f/x"))), "ENOTDIR")
        assert.strictEqual(yield* system.readLink(at("l")), "f")
        assert.strictEqual(yield* system.realPath(at("d/../l")), yield* system.realPath(at("f")))
        assert.strictEqual(yield* codeOf(system.realPath(at("dangling"))), "ENOENT")
      }))

    test("directories are made, listed, removed", (system, at) =>
      Effect.gen(function*() {
        yield* system.makeDirectory(at("a"), { mode: 0o750 })
        assert.strictEqual((yield* system.stat(at("a"))).mode & 0o777, 0o750)
        assert.strictEqual(yield* codeOf(system.makeDirectory(at("a"))), "EEXIST")
        assert.strictEqual(yield* codeOf(system.makeDirectory(at("x/y/z"))), "ENOENT")
        yield* system.makeDirectory(at("a/b/c"), { recursive: true })
        yield* system.makeDirectory(at("a/b/c"), { recursive: true })
        yield* system.writeFileString(at("a/b/f"), "x")
        assert.deepStrictEqual((yield* system.readDirectory(at("a"))).sort(), ["b"])
        assert.deepStrictEqual((yield* system.readDirectory(at("a"), { recursive: true })).sort(), ["b", "b/c", "b/f"])
        assert.strictEqual(yield* codeOf(system.readDirectory(at("no"))), "ENOENT")
        assert.strictEqual(yield* codeOf(system.readDirectory(at("a/b/f"))), "ENOTDIR")
        assert.strictEqual(yield* codeOf(system.remove(at("a"))), "EISDIR")
        assert.strictEqual(yield* codeOf(system.remove(at("no"))), "ENOENT")
        yield* system.remove(at("no"), { force: true })
        yield* system.remove(at("a/b/f"))
        yield* system.remove(at("a"), { recursive: true })
        assert.isFalse(yield* system.exists(at("a")))
      }))

    test("removing a link leaves what it leads to", (system, at, { link }) =>
      Effect.gen(function*() {
        yield* system.makeDirectory(at("d"))
        yield* system.writeFileString(at("d/f"), "x")
        link("d", at("l"))
        yield* system.remove(at("l"), { recursive: true })
        assert.isTrue(yield* system.exists(at("d/f")))
        link("d/f", at("l"))
        yield* system.remove(at("l"))
        assert.isTrue(yield* system.exists(at("d/f")))
      }))

    test("renaming replaces files", (system, at) =>
      Effect.gen(function*() {
        yield* system.writeFileString(at("a"), "a")
        yield* system.writeFileString(at("b"), "b")
        yield* system.rename(at("a"), at("b"))
        assert.strictEqual(yield* system.readFileString(at("b")), "a")
        assert.strictEqual(yield* codeOf(system.rename(at("a"), at("c"))), "ENOENT")
        yield* system.makeDirectory(at("d"))
        assert.strictEqual(yield* codeOf(system.rename(at("b"), at("d"))), "EISDIR")
      }))

    test("modes, sizes and copies", (system, at) =>
      Effect.gen(function*() {
        yield* system.writeFileString(at("f"), "12345")
        yield* system.chmod(at("f"), 0o400)
        assert.strictEqual((yield* system.stat(at("f"))).mode & 0o777, 0o400)
        yield* system.chmod(at("f"), 0o600)
        yield* system.truncate(at("f"), 3)
        yield* system.copyFile(at("f"), at("g"))
        yield* system.truncate(at("f"))
        assert.strictEqual(yield* system.readFileString(at("g")), "123")
        assert.strictEqual((yield* system.stat(at("f"))).size, FileSystem.Size(0))
        yield* system.makeDirectory(at("d/e"), { recursive: true })
        yield* system.writeFileString(at("d/e/f"), "deep")
        yield* system.copy(at("d"), at("copy"))
        assert.strictEqual(yield* system.readFileString(at("copy/e/f")), "deep")
      }))

    test("an open file has a position of its own", (system, at) =>
      Effect.gen(function*() {
        const file = yield* system.open(at("f"), { flag: "w+" })
        yield* file.writeAll(bytes("hello world"))
        yield* file.sync
        yield* file.seek(6, "start")
        const buffer = new Uint8Array(100)
        assert.strictEqual(yield* file.read(buffer), FileSystem.Size(5))
        assert.strictEqual(yield* file.read(buffer), FileSystem.Size(0))
        yield* file.seek(-5, "current")
        const some = yield* file.readAlloc(3)
        assert.deepStrictEqual(Option.map(some, (piece) => Uint8Array.from(piece)), Option.some(bytes("wor")))
        yield* file.truncate(5)
        assert.strictEqual((yield* file.stat).size, FileSystem.Size(5))
        assert.strictEqual(yield* file.write(bytes("!")), FileSystem.Size(1))
        const appending = yield* system.open(at("f"), { flag: "a" })
        yield* appending.writeAll(bytes("?"))
        assert.strictEqual(yield* system.readFileString(at("f")), "hello!?")
        assert.strictEqual(yield* codeOf(system.open(at("no"))), "ENOENT")
        assert.strictEqual(yield* codeOf(system.open(at("f"), { flag: "wx" })), "EEXIST")
      }))

    test("files are streamed in and out", (system, at) =>
      Effect.gen(function*() {
        const pieces = Stream.range(1, 100).pipe(Stream.map((n) => new Uint8Array(3000).fill(n)))
        yield* Stream.run(pieces, system.sink(at("f")))
        const read = yield* Stream.runCollect(system.stream(at("f"), { offset: 6000, chunkSize: 1000 }))
        const all = Buffer.concat(Chunk.toReadonlyArray(read).map((piece) => Buffer.from(piece)))
        assert.strictEqual(all.length, 294_000)
        assert.deepStrictEqual([all[0], all[2999], all[3000], all.at(-1)], [3, 3, 4, 100])
      }))

    test(
      "temporary files and directories are new, and end with their scope",
      (system, _at, { root }) =>
        Effect.gen(function*() {
          const directory = yield* system.makeTempDirectory({ directory: root, prefix: "x-" })
          assert.isTrue(directory.startsWith(`${root}/x-`))
          assert.notStrictEqual(directory, yield* system.makeTempDirectory({ directory: root, prefix: "x-" }))
          const file = yield* system.makeTempFile({ directory: root, suffix: ".txt" })
          assert.isTrue(file.endsWith(".txt"))
          assert.strictEqual(yield* system.readFileString(file), "")
          const gone = yield* Effect.scoped(Effect.all([
            system.makeTempDirectoryScoped({ directory: root }),
            system.makeTempFileScoped({ directory: root })
          ]))
          assert.deepStrictEqual(yield* Effect.forEach(gone, system.exists), [false, false])
        })
    )
  })
}
