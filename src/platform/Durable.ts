/**
 * Files that are either the old or the new one, whatever happens: written aside, synced, renamed, directory synced.
 */
import * as FileSystem from "@effect/platform/FileSystem"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import { basename, dirname, join } from "node:path"
import { BlockFile } from "./BlockFile.ts"
import { type FileKind, kindWords } from "./Disk.ts"
import { fromPlatform, IoError } from "./IoError.ts"
import { temporaryName, uniqueFrom } from "./temporaryName.ts"

/** Makes the names in a directory durable: what was created, renamed or removed there stays so after a power loss. */
export const syncDirectory = Effect.fn("Durable.syncDirectory")(
  function*(path: string): Effect.fn.Return<void, IoError, BlockFile> {
    const files = yield* BlockFile
    yield* files.withFile(path, { access: "read", follow: true }, (directory) => directory.sync)
  }
)

const unique = Effect.map(
  Effect.replicateEffect(Random.nextIntBetween(0, 36), 12),
  (numbers) => uniqueFrom(() => numbers.pop() ?? 0)
)

/**
 * Replaces the file at `path`, or creates it, with exactly this `mode` (default 0o640), whatever the umask.
 *
 * When it succeeds, the new content survives a power loss. When it fails or is interrupted, the file at `path` is the
 * old or, only if the directory could not be synced, the new one; never a mixture. A symbolic link at `path` is
 * replaced, not followed. A killed run leaves at most one file that `isTemporary` recognises.
 */
export const replace = Effect.fn("Durable.replace")(
  function*(
    path: string,
    bytes: Uint8Array,
    options?: { readonly mode?: number }
  ): Effect.fn.Return<void, IoError, BlockFile | FileSystem.FileSystem> {
    const files = yield* BlockFile
    const system = yield* FileSystem.FileSystem
    const directory = dirname(path)
    const temporary = join(directory, temporaryName(basename(path), yield* unique))
    const create = { access: "write", create: "exclusive", mode: options?.mode ?? 0o640 } as const
    let made = false
    yield* Effect.uninterruptibleMask((restore) =>
      files.withFile(temporary, create, (file) => {
        made = true
        return restore(Effect.zipRight(file.writeAt(bytes, 0), file.sync))
      }).pipe(
        Effect.zipRight(Effect.mapError(system.rename(temporary, path), (error) => fromPlatform(error, path))),
        // Nobody else's file of that name, should there be one.
        Effect.onError(() => made ? Effect.ignore(files.unlink(temporary)) : Effect.void)
      )
    )
    yield* syncDirectory(directory)
  }
)

/**
 * Reads a whole file of at most `maxBytes`. Fails with EFBIG when it is larger, and with EINVAL when it is no regular
 * file; a symbolic link is refused with ELOOP. For files whose size and content nobody vouches for.
 */
export const readSmall = Effect.fn("Durable.readSmall")(
  function*(path: string, maxBytes: number): Effect.fn.Return<Uint8Array, IoError, BlockFile> {
    const files = yield* BlockFile
    const refuse = (kind: FileKind) =>
      new IoError({ operation: "read", path, code: "EINVAL", detail: `it is ${kindWords[kind]}, not a file` })
    // before it is opened: that alone does something to a device
    const { kind } = yield* files.lstat(path)
    if (kind !== "file" && kind !== "symlink") return yield* refuse(kind)
    return yield* files.withFile(path, { access: "read" }, (file) =>
      Effect.gen(function*() {
        const { kind, size } = yield* file.stat
        if (kind !== "file") return yield* refuse(kind)
        // an error costs as much as reading a file
        const tooLarge = () =>
          new IoError({ operation: "read", path, code: "EFBIG", detail: `larger than ${maxBytes} bytes` })
        if (size > maxBytes) return yield* tooLarge()
        // One byte more than expected: the file may grow meanwhile.
        let bytes = new Uint8Array(size + 1)
        let count = yield* file.readAt(bytes, 0)
        while (count === bytes.length) {
          if (count > maxBytes) return yield* tooLarge()
          const longer = new Uint8Array(Math.min(count * 2, maxBytes) + 1)
          longer.set(bytes)
          bytes = longer
          count += yield* file.readAt(bytes.subarray(count), count)
        }
        return bytes.subarray(0, count)
      }))
  }
)
