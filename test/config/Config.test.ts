import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as FileSystem from "@effect/platform/FileSystem"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Config from "../../src/config/Config.ts"
import type { BlockFile as BlockFileTag } from "../../src/platform/BlockFile.ts"
import * as BlockFile from "../../src/platform/nodeBlockFile.ts"

describe("reading from disk", () => {
  const withDirectory = <A, E>(
    use: (
      directory: string,
      files: FileSystem.FileSystem
    ) => Effect.Effect<A, E, FileSystem.FileSystem | BlockFileTag>
  ) =>
    Effect.gen(function*() {
      const files = yield* FileSystem.FileSystem
      return yield* use(yield* files.makeTempDirectoryScoped(), files)
    }).pipe(Effect.scoped, Effect.provide(Layer.merge(NodeFileSystem.layer, BlockFile.layer)))

  it.effect("finds the repository's config in its directory", () =>
    withDirectory((directory, files) =>
      Effect.gen(function*() {
        yield* files.writeFileString(
          Config.fileIn(directory),
          `source: {type: file, filename: disk.img}\nschedule: {}\n`
        )
        assert.strictEqual((yield* Config.loadRepository(directory)).source.type, "file")
      })
    ))

  it.effect("says in one sentence that there is none", () =>
    withDirectory((directory) =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(Config.loadRepository(directory))
        assert.strictEqual(
          error.message,
          `there is no config file ${directory}/config: this is no backy repository (backy init makes one)`
        )
        const other = yield* Effect.flip(Config.loadDaemon(`${directory}/backy.conf`))
        assert.strictEqual(other.message, `there is no config file ${directory}/backy.conf: -c names another one`)
      })
    ))

  it.effect("tells mistakes, unreadable files and other encodings apart", () =>
    withDirectory((directory, files) =>
      Effect.gen(function*() {
        const file = `${directory}/backy.conf`
        yield* files.writeFile(file, new Uint8Array([0xff, 0xfe, 0x00]))
        assert.strictEqual(
          (yield* Effect.flip(Config.loadDaemon(file))).message,
          `${file}:1: the file is not UTF-8 text`
        )
        yield* files.writeFileString(file, "jbos: {}\n")
        assert.strictEqual(
          (yield* Effect.flip(Config.loadDaemon(file))).message,
          `${file}:1: jbos: there is no key "jbos" here (did you mean "jobs"?)`
        )
        yield* files.truncate(file, 5 * 1024 * 1024)
        assert.strictEqual(
          (yield* Effect.flip(Config.loadDaemon(file))).message,
          `${file}:1: the file is larger than 4 MiB`
        )
        // what never ends, or never begins, is not waited for
        assert.strictEqual(
          (yield* Effect.flip(Config.loadDaemon("/dev/zero"))).message,
          "/dev/zero:1: this is no regular file"
        )
        const directoryError = yield* Effect.flip(Config.loadDaemon(directory))
        assert.strictEqual(directoryError._tag, "IoError")
      })
    ))
})
