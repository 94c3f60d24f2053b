import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as Argv from "../../src/cli/argv.ts"
import { grammar } from "../../src/cli/Cli.ts"

const words = (...argv: ReadonlyArray<string>): string => {
  const parsed = Argv.parse(grammar, argv)
  return Either.isRight(parsed) ? parsed.right.words.join(" ") : parsed.left.message
}

/** Anything that a shell can pass on. */
const argument = FastCheck.string({ minLength: 1, unit: "grapheme" }).filter((text) => !/[\0\n]/.test(text))

describe("the command line", () => {
  it("is brought into one order, whatever order it was written in", () => {
    const strict = "--verbose --directory=vm restore --revision 1 --force -- -"
    assert.strictEqual(words("-v", "-b", "vm", "restore", "-r", "1", "-f", "-"), strict)
    assert.strictEqual(words("-vb", "vm", "restore", "-r1", "-f", "-"), strict)
    assert.strictEqual(words("restore", "-fr1", "-"), "restore --force --revision 1 -- -")
    assert.strictEqual(
      words("restore", "-", "--force", "--revision=1", "-v", "-bvm"),
      "--verbose --directory=vm restore --force --revision 1 -- -"
    )
    assert.strictEqual(words("tags", "set", "daily", "-r", "all"), "tags set --revision all -- daily")
  })

  it("takes a value for a value though it is called like a command or an option", () => {
    assert.strictEqual(words("-b", "restore", "status"), "--directory=restore status")
    assert.strictEqual(words("restore", "-r", "find", "status"), "restore --revision find -- status")
    assert.strictEqual(words("restore", "-r", "--force", "x"), "restore --revision --force -- x")
    assert.strictEqual(words("restore", "-f", "true"), "restore --force -- true")
    assert.strictEqual(words("restore", "--", "-f"), "restore -- -f")
    assert.strictEqual(words("distrust", "-f", "2026-01-01"), "distrust --from 2026-01-01")
  })

  it("names what it does not understand, and what may have been meant", () => {
    assert.strictEqual(words("stauts"), "backy has no command \"stauts\"; did you mean \"status\"? (see backy --help)")
    assert.strictEqual(
      words("tags", "ad", "x"),
      "backy tags has no command \"ad\"; did you mean \"add\"? (see backy tags --help)"
    )
    assert.strictEqual(
      words("--verbos", "status"),
      "there is no option --verbos; did you mean --verbose? (see backy --help)"
    )
    assert.strictEqual(words("restore", "-x", "t"), "there is no option -x (see backy restore --help)")
    assert.strictEqual(words("restore", "-r"), "option -r needs a value")
    assert.strictEqual(words("-b", "", "status"), "option -b needs a value")
    assert.strictEqual(words("restore", "--force=yes", "x"), "option --force takes no value")
    assert.strictEqual(words("status", "--wizard"), "there is no option --wizard (see backy status --help)")
  })

  it("asks for help when there is nothing to run", () => {
    const wants = (...argv: ReadonlyArray<string>) => Either.getOrThrow(Argv.parse(grammar, argv)).wants
    assert.deepStrictEqual([wants(), wants("tags"), wants("-b", "x"), wants("restore", "-h")], [
      "help",
      "help",
      "help",
      "help"
    ])
    assert.deepStrictEqual([wants("status"), wants("--version"), wants("--completions", "bash")], [
      "run",
      "version",
      "completions"
    ])
  })

  it.prop("keeps every argument as it was given", [argument, argument, argument], ([directory, revision, target]) => {
    for (
      const argv of [
        ["-b", directory, "restore", "-r", revision, "-f", "--", target],
        ["restore", "--force", `--revision=${revision}`, `--directory=${directory}`, "--", target],
        ["restore", "-f", "-b", directory, "-r", revision, "--", target]
      ]
    ) {
      const { words } = Either.getOrThrow(Argv.parse(grammar, argv))
      assert.deepStrictEqual(
        [...words].sort(),
        [
          `--directory=${directory}`,
          "restore",
          "--force",
          "--revision",
          revision,
          "--",
          target
        ].sort()
      )
    }
  })
})
