/**
 * Reads config files. What they may hold is in `RepositoryConfig` and `DaemonConfig`; here they come from disk.
 */
import * as FileSystem from "@effect/platform/FileSystem"
import * as Effect from "effect/Effect"
import * as Durable from "../platform/Durable.ts"
import { fromPlatform, isMissing } from "../platform/IoError.ts"
import { ConfigInvalid, ConfigMissing } from "./ConfigError.ts"
import * as DaemonConfig from "./DaemonConfig.ts"
import { MAX_LENGTH } from "./decodeYaml.ts"
import * as RepositoryConfig from "./RepositoryConfig.ts"

export { ConfigInvalid, ConfigMissing } from "./ConfigError.ts"

/** Where a repository keeps its config. */
export const fileIn = (directory: string): string => `${directory}/config`

/**
 * The config of the repository in a directory. Fails with `ConfigMissing` when there is none, with `ConfigInvalid` and
 * every mistake when it has some, with `IoError` when it cannot be read.
 */
export const loadRepository = Effect.fn("Config.loadRepository")(
  function*(directory: string, options: LoadOptions = {}) {
    const file = fileIn(directory)
    // it lies in a repository: no link is followed, and nothing but a file is opened
    const bytes = yield* Effect.catchIf(
      Durable.readSmall(file, MAX_LENGTH),
      isMissing,
      () => new ConfigMissing({ file, advice: "this is no backy repository (backy init makes one)" })
    )
    return yield* RepositoryConfig.decode(yield* decodeText(file, bytes), { ...options, file })
  }
)

/**
 * The daemon's config from a file. Fails with `ConfigMissing` when it is not there, with `ConfigInvalid` and every
 * mistake when it has some, with `IoError` when it cannot be read.
 */
export const loadDaemon = Effect.fn("Config.loadDaemon")(
  function*(file: string, options: Pick<LoadOptions, "sources"> = {}) {
    const text = yield* readText(file)
    return yield* DaemonConfig.decode(text, { ...options, file })
  }
)

export type LoadOptions = Omit<RepositoryConfig.DecodeOptions, "file">

const readText = Effect.fnUntraced(function*(file: string) {
  const fileSystem = yield* FileSystem.FileSystem
  const bytes = yield* fileSystem.stat(file).pipe(
    // a pipe may never say anything, a device never end; a directory has an error of its own
    Effect.filterOrFail(
      ({ type }) => type === "File" || type === "Directory",
      () => wrong(file, "this is no regular file")
    ),
    Effect.filterOrFail((info) => info.size <= MAX_LENGTH, () => wrong(file, "the file is larger than 4 MiB")),
    Effect.andThen(fileSystem.readFile(file)),
    Effect.catchTags({
      SystemError: (error) => {
        const failure = fromPlatform(error, file)
        return isMissing(failure) ? new ConfigMissing({ file, advice: "-c names another one" }) : failure
      },
      BadArgument: (error) => fromPlatform(error, file)
    })
  )
  return yield* decodeText(file, bytes)
})

const decodeText = (file: string, bytes: Uint8Array): Effect.Effect<string, ConfigInvalid> =>
  Effect.try({
    try: () => new TextDecoder("utf-8", { fatal: true }).decode(bytes),
    catch: () => wrong(file, "the file is not UTF-8 text")
  })

const wrong = (file: string, message: string) => new ConfigInvalid({ file, problems: [{ line: 1, path: [], message }] })
