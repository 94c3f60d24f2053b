import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as FiberId from "effect/FiberId"
import { CommandLineInvalid } from "../../src/cli/argv.ts"
import { ending } from "../../src/cli/exit.ts"
import { OutputClosed } from "../../src/operation/Output.ts"
import { LockHeld } from "../../src/platform/FileLock.ts"
import { IoError } from "../../src/platform/IoError.ts"

const quiet = { verbose: false }
const full = new IoError({ operation: "write", path: "/srv/x", code: "ENOSPC" })

describe("the end of a command", () => {
  it("is one line for a user's mistake or a machine's failure", () => {
    assert.deepStrictEqual(ending(Cause.fail(full), quiet), {
      code: 1,
      lines: ["backy: cannot write /srv/x: no space left on device (ENOSPC)"]
    })
    assert.strictEqual(ending(Cause.fail(new CommandLineInvalid({ reason: "what?" })), quiet).code, 2)
    const held = new LockHeld({
      path: "/srv/x/.backup",
      mode: "exclusive",
      holder: "4711 host backup 2026-11-23T14:00:00Z"
    })
    const { code, lines } = ending(Cause.fail(held), quiet)
    assert.strictEqual(code, 75)
    assert.include(lines.join(), "4711")
  })

  it("adds the cause with -v only", () => {
    const { code, lines } = ending(Cause.fail(full), { verbose: true })
    assert.strictEqual(code, 1)
    assert.isAbove(lines.length, 1)
    assert.isTrue(lines.slice(1).every((line) => line.startsWith("    ")))
  })

  it("says nothing when nobody reads any more", () => {
    assert.deepStrictEqual(ending(Cause.fail(new OutputClosed()), quiet), { code: 1, lines: [] })
  })

  it("calls a bug a bug, with all that is known of it", () => {
    const { code, lines } = ending(Cause.die(new TypeError("x is not a function")), quiet)
    assert.strictEqual(code, 70)
    assert.match(lines[0] ?? "", /^backy: this is a bug in backy/)
    assert.include(lines.join("\n"), "x is not a function")
    assert.strictEqual(ending(Cause.fail({ _tag: "Strange", message: "m" }), quiet).code, 70)
  })

  it("prefers the failure where a failure and its consequences come together", () => {
    const cause = Cause.parallel(Cause.interrupt(FiberId.none), Cause.fail(full))
    assert.strictEqual(ending(cause, quiet).code, 1)
  })

  it("is 128 and the number of the signal when interrupted", () => {
    const cause = Cause.interrupt(FiberId.none)
    assert.strictEqual(ending(cause, { verbose: false, signal: "SIGINT" }).code, 130)
    assert.strictEqual(ending(cause, { verbose: false, signal: "SIGTERM" }).code, 143)
    assert.strictEqual(ending(cause, { verbose: false, signal: "SIGHUP" }).code, 129)
    assert.deepStrictEqual(ending(cause, quiet).lines, ["backy: interrupted"])
  })

  it("lets no message steer the terminal", () => {
    const error = new CommandLineInvalid({ reason: "no \u001b[2Jx" })
    assert.deepStrictEqual(ending(Cause.fail(error), quiet).lines, ["backy: no \\x1b[2Jx"])
  })
})
