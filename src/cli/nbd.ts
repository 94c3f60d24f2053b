import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { resolve } from "node:path"
import type { Address } from "../nbd/Address.ts"
import { Foreground } from "../platform/Foreground.ts"
import { fromPlatform } from "../platform/IoError.ts"
import { absolute } from "./absolute.ts"
import { CommandLineInvalid } from "./argv.ts"
import * as Humanise from "./humanise.ts"
import { load } from "./load.ts"
import * as option from "./options.ts"
import * as Output from "./output.ts"

/** What was to be done with the disk did not succeed. */
export class CommandFailed extends Data.TaggedError("CommandFailed")<{ readonly how: string }> {
  override get message() {
    return `the command of --run ${this.how}`
  }
}

const invalid = (reason: string) => new CommandLineInvalid({ reason: `${reason} (see backy nbd --help)` })

/** Where to listen; a socket of our own for a command that alone is to find it. */
const addressOf = Effect.fnUntraced(function*(
  socket: string | undefined,
  listen: string | undefined,
  hasCommand: boolean
) {
  if (socket !== undefined && listen !== undefined) return yield* invalid("--socket and --listen exclude each other")
  if (socket !== undefined) return { _tag: "Unix", path: resolve(socket) } satisfies Address
  if (listen !== undefined) {
    const { parseTcp } = yield* load(() => import("../nbd/Address.ts"))
    const address = parseTcp(listen)
    return typeof address === "string" ? yield* invalid(`--listen: ${address}`) : address
  }
  if (!hasCommand) return yield* invalid("where to listen is missing: --socket PATH or --listen ADDRESS:PORT")
  const system = yield* FileSystem.FileSystem
  const directory = yield* Effect.mapError(
    system.makeTempDirectoryScoped({ prefix: "backy-" }),
    (error) => fromPlatform(error)
  )
  return { _tag: "Unix", path: `${directory}/nbd` } satisfies Address
})

/** Runs a command that finds in its environment what it is about, and fails unless it succeeds. */
export const runCommand = Effect.fnUntraced(function*(line: string, env: Readonly<Record<string, string>>) {
  const foreground = yield* Foreground
  const ending = yield* foreground.run(line, env)
  if (ending._tag === "Signal") return yield* new CommandFailed({ how: `was killed by ${ending.signal}` })
  if (ending.code !== 0) return yield* new CommandFailed({ how: `ended with exit code ${ending.code}` })
})

const text = (name: string, value: string, description: string) =>
  Options.text(name).pipe(
    Options.withPseudoName(value),
    Options.withDescription(description),
    Options.optional,
    Options.map(Option.getOrUndefined)
  )

/** `backy nbd`: serves revisions as network block devices. */
export const command = Command.make(
  "nbd",
  {
    revision: option.revisions("latest"),
    socket: text("socket", "PATH", "Listen on a unix socket, which only its owner may use."),
    listen: text("listen", "ADDRESS:PORT", "Listen on an address of this machine, such as 127.0.0.1:10809."),
    overlay: text(
      "overlay",
      "FILE",
      "Take writes into this file; one that is there goes on if it belongs to the revision."
    ),
    run: text("run", "COMMAND", "Run a line of the shell, with the URI in $uri and $NBD_URI, and end when it ends."),
    wait: option.wait
  },
  ({ listen, overlay, revision, run, socket, wait }) =>
    Effect.gen(function*() {
      const address = yield* addressOf(socket, listen, run !== undefined)
      const { serve } = yield* load(() => import("../operation/nbd/serve.ts"))
      const serving = yield* serve({
        revision,
        address,
        wait,
        ...(overlay === undefined ? {} : { overlay: absolute(overlay) })
      })
      yield* Effect.logInfo(
        `serving revision ${serving.revision} (${Humanise.bytes(serving.size)}, ${
          overlay === undefined ? "read-only" : `writes go to ${overlay}`
        }) as ${serving.uri}`
      )
      // standard output is the command's
      if (run !== undefined) return yield* runCommand(run, { uri: serving.uri, NBD_URI: serving.uri })
      yield* Output.lines([serving.uri])
      return yield* Effect.never
    }).pipe(Effect.scoped)
).pipe(Command.withDescription("Serve revisions as network block devices (NBD), until it is ended."))
