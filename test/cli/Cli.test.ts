import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Layer from "effect/Layer"
import { resolve } from "node:path"
import { CommandLineInvalid } from "../../src/cli/argv.ts"
import * as Cli from "../../src/cli/Cli.ts"
import { backy, makeMachine } from "./backy.ts"

describe("backy", () => {
  it.effect("prints its help on standard output, and the same without any word", () =>
    Effect.gen(function*() {
      const help = yield* backy(makeMachine(), "--help")
      assert.strictEqual(help.code, 0)
      assert.deepStrictEqual(help.err, [])
      assert.include(help.out, "backy [-v] [-l LOGFILE] [-b DIR] [--plugin PATH] COMMAND")
      assert.deepStrictEqual(yield* backy(makeMachine()), help)
      const width = Math.max(...help.out.map((line) => line.length))
      assert.isAtMost(width, 100)
    }))

  it.effect("has a help page for every command, without the library's remarks", () =>
    Effect.gen(function*() {
      const pages = [...Cli.grammar.commands].flatMap(([name, { commands }]) => [
        [name],
        ...[...commands.keys()].map((inner) => [name, inner])
      ])
      assert.isAbove(pages.length, 18)
      for (const page of pages) {
        const { code, out } = yield* backy(makeMachine(), ...page, "-h")
        const text = out.join("\n")
        assert.strictEqual(code, 0)
        assert.isTrue(text.startsWith(`backy ${page.join(" ")}`), text)
        assert.isFalse(/optional|true or false|user-defined|One of the following/i.test(text), text)
        // a summary below the usage
        assert.match(out[2] ?? "", /^[A-Z].*\.$/)
      }
    }))

  it.effect("knows every command that it lists, and its grammar knows every command", () =>
    Effect.gen(function*() {
      const { out } = yield* backy(makeMachine(), "--help")
      const listed = out.flatMap((line) => /^ {2}([a-z]+)/.exec(line)?.[1] ?? [])
      assert.deepStrictEqual([...new Set(listed)], [...Cli.grammar.commands.keys()])
      assert.deepStrictEqual(Cli.commandNames().toSorted(), [...Cli.grammar.commands.keys()].sort())
    }))

  it.effect("prints its version in one line", () =>
    Effect.gen(function*() {
      const { code, out } = yield* backy(makeMachine(), "--version")
      assert.strictEqual(code, 0)
      assert.strictEqual(out.length, 1)
      assert.match(out[0] ?? "", /^backy \d+\.\d+\.\d+/)
    }))

  it.effect("says what it did not understand in one line, once, and ends with 2", () =>
    Effect.gen(function*() {
      const said = (...argv: ReadonlyArray<string>) =>
        Effect.map(backy(makeMachine(), ...argv), ({ code, err, out }) => {
          assert.strictEqual(code, 2)
          assert.deepStrictEqual(out, [])
          assert.strictEqual(err.length, 1)
          return err[0]
        })
      assert.strictEqual(yield* said("forget"), "backy: option --revision is missing (see backy forget --help)")
      assert.strictEqual(yield* said("restore"), "backy: TARGET is missing (see backy restore --help)")
      assert.strictEqual(yield* said("find", "x"), "backy: there is one word too many: x (see backy find --help)")
      assert.strictEqual(
        yield* said("sttus"),
        "backy: backy has no command \"sttus\"; did you mean \"status\"? (see backy --help)"
      )
      assert.strictEqual(
        yield* said("--completions", "tcsh"),
        "backy: there are completions for bash, fish, zsh, not for \"tcsh\""
      )
      assert.match((yield* said("status", "-r", "a &")) ?? "", /^backy: "a &" is no revision spec/)
      assert.match((yield* said("-l", "-", "status")) ?? "", /^backy: -l: log lines go to standard error without it/)
      assert.match((yield* said("purge", "--wait", "soon")) ?? "", /^backy: --wait: expected a duration such as 30s/)
      assert.match((yield* said("distrust", "-f", "2026-02-30")) ?? "", /^backy: --from: expected a date/)
    }))

  it.effect.prop("passes on any directory, log file and verbosity, wherever they stand", {
    // the library trims what follows the equals sign
    directory: FastCheck.string({ minLength: 1, unit: "grapheme" }).filter((text) => !/[\0\n]|^\s|\s$/.test(text)),
    behind: FastCheck.boolean()
  }, ({ behind, directory }) =>
    Effect.gen(function*() {
      const seen: Array<Cli.Globals> = []
      const globals = ["-b", directory, "-v", "-l", "log", "--plugin", "/x.mjs", "--plugin=y.mjs"]
      yield* Cli.run(behind ? ["status", ...globals] : [...globals, "status"], (given) => {
        seen.push(given)
        return Layer.fail(new CommandLineInvalid({ reason: "enough" }))
      }).pipe(Effect.withConsole({ ...(yield* Effect.console), error: () => Effect.void }))
      assert.deepStrictEqual(seen, [{
        command: "status",
        directory: resolve(directory),
        log: resolve("log"),
        plugins: ["/x.mjs", resolve("y.mjs")],
        verbose: true,
        isServer: false
      }])
    }))
})
