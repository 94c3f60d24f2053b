// A source for backy that takes an image from the standard output of a command: `backy --plugin PATH` names this file, or
// `plugins` in the scheduler's config. In the repository's config:
//
//     source:
//       type: command
//       command: [dd, if=/dev/vg/web, bs=4M, status=none]
//       size-command: [blockdev, --getsize64, /dev/vg/web]
//
// There is no offset at which such a source could be read, so the command is run a second time to compare. The size is
// asked for apart: output that was cut off must not look like a smaller image.

/** @type {import("../../src/source/plugin.ts").Plugin} */
export default ({ Effect, Process, Schema, Source, SourceNotReady, Stream, provider, sourceType }) => {
  const Command = Schema.NonEmptyArray(Schema.NonEmptyString)
  const Config = Schema.Struct({
    type: Schema.Literal("command"),
    command: Command,
    sizeCommand: Schema.propertySignature(Command).pipe(Schema.fromKey("size-command"))
  })

  return [provider({
    type: sourceType("command", Config),
    operand: "a command, which only the config can hold",
    parse: () => undefined,
    make: ({ command, sizeCommand }) =>
      Effect.map(Process.Process, (process) => {
        const [program, ...args] = command
        const [sizeProgram, ...sizeArgs] = sizeCommand
        const name = `the output of "${command.join(" ")}"`
        /** @param {string} reason */
        const notReady = (reason) => new SourceNotReady({ source: name, reason })

        const size = process.run(sizeProgram, sizeArgs, { timeout: "1 minute" }).pipe(
          Effect.flatMap((result) => Process.succeeded(sizeProgram, sizeArgs, result)),
          Effect.mapError((error) => notReady(error.message)),
          Effect.map(({ stdout }) => Number(new TextDecoder().decode(stdout))),
          Effect.filterOrFail(
            (bytes) => Number.isSafeInteger(bytes) && bytes >= 0,
            () => notReady(`"${sizeCommand.join(" ")}" does not print a number of bytes`)
          )
        )

        /** @param {number} expected */
        const output = (expected) =>
          process.stream(program, args).pipe(
            Stream.mapError((error) => notReady(error.message)),
            Stream.mapAccum(0, (offset, bytes) => {
              const change = /** @type {const} */ ({ _tag: "Write", offset, bytes })
              return /** @type {const} */ ([offset + bytes.length, change])
            }),
            Stream.concat(Stream.succeed(/** @type {const} */ ({ _tag: "End" }))),
            Stream.mapAccumEffect(0, (reached, change) => {
              const end = change._tag === "End" ? reached : change.offset + change.bytes.length
              const isWrong = end > expected || (change._tag === "End" && end < expected)
              return isWrong
                ? Effect.fail(notReady(`its size is ${expected} bytes, and ${end} came`))
                : Effect.succeed(/** @type {const} */ ([end, change]))
            }),
            Stream.filter((change) => change._tag === "Write")
          )

        return Source.of({
          name,
          check: Effect.asVoid(size),
          snapshot: () =>
            Effect.map(size, (bytes) => ({
              size: bytes,
              content: {
                _tag: "Changes",
                since: () => Effect.succeed({ base: undefined, changes: output(bytes) }),
                second: { _tag: "Again", changes: output(bytes) }
              },
              published: Effect.void
            }))
        })
      })
  })]
}
