import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as RevisionSpec from "../../src/domain/RevisionSpec.ts"
import { revisionSpec } from "../support/arbitraries.ts"

const parse = (text: string): RevisionSpec.RevisionSpec =>
  Either.getOrThrowWith(RevisionSpec.parse(text), (error) => error)

const complaint = (text: string): string =>
  Either.match(RevisionSpec.parse(text), { onLeft: (error) => error.message, onRight: () => "it was accepted" })

describe("the text of revision specs", () => {
  it.prop("reads what print writes", [revisionSpec()], ([spec]) => {
    assert.deepStrictEqual(parse(RevisionSpec.print(spec)), spec)
  })

  it.prop("does not care for spaces around operators", [revisionSpec()], ([spec]) => {
    const loose = RevisionSpec.print(spec).replace(/[,&()]/g, " $& ")
    assert.deepStrictEqual(parse(`  ${loose}\t`), spec)
  })

  it.prop("answers anything with a spec or an error that points into the text", [
    FastCheck.string({
      unit: FastCheck.oneof(
        FastCheck.constantFrom(..."()&,. :-0123456789".split(""), "..", "not", "first", "tag:"),
        FastCheck.string()
      )
    })
  ], ([text]) => {
    const parsed = RevisionSpec.parse(text)
    if (Either.isRight(parsed)) {
      assert.deepStrictEqual(parse(RevisionSpec.print(parsed.right)), parsed.right)
    } else {
      assert.isAtLeast(parsed.left.position, 0)
      assert.isAtMost(parsed.left.position, text.length)
      assert.notInclude(parsed.left.message, "\n")
    }
  }, { fastCheck: { numRuns: 500 } })

  it("binds & tighter than the comma", () => {
    assert.deepStrictEqual(parse("a, b & c"), parse("a, (b & c)"))
    assert.notDeepEqual(parse("a, b & c"), parse("(a, b) & c"))
  })

  it("takes functions for tags when no bracket follows", () => {
    assert.deepStrictEqual(parse("not"), { _tag: "Name", name: "not" })
    assert.deepStrictEqual(parse("first"), { _tag: "First" })
  })

  it("reads dates as status prints them, as ISO has them, and with a zone", () => {
    for (
      const text of ["2025-03-04 02:10:00", "2025-03-04T02:10:00", "2025-03-04 02:10:00+01:00", "2025-03-04T02:10Z"]
    ) {
      assert.strictEqual(parse(`${text}..`)._tag, "Range", text)
    }
  })

  const mistakes: ReadonlyArray<readonly [spec: string, message: string]> = [
    ["", "\"\" is no revision spec: expected a revision at character 1"],
    ["daily &", "\"daily &\" is no revision spec: expected a revision at character 8"],
    ["daily & , x", "\"daily & , x\" is no revision spec: expected a revision instead of \",\" at character 9"],
    ["not(daily", "\"not(daily\" is no revision spec: expected \")\" at character 10"],
    ["daily)", "\"daily)\" is no revision spec: expected the end instead of \")\" at character 6"],
    ["daily weekly", "\"daily weekly\" is no revision spec: expected the end instead of \"weekly\" at character 7"],
    [
      "nto(daily)",
      "\"nto(daily)\" is no revision spec: there is no function \"nto\" (did you mean \"not\"?) at character 1"
    ],
    ["tag:", "\"tag:\" is no revision spec: expected the name of a tag at character 5"],
    [
      "trust:verfied",
      "\"trust:verfied\" is no revision spec: there is no trust \"verfied\" (did you mean \"verified\"?) at character 1"
    ],
    ["all..2", "\"all..2\" is no revision spec: expected one revision or a date as the end of a range at character 1"],
    [
      "2..tag:a",
      "\"2..tag:a\" is no revision spec: expected one revision or a date as the end of a range at character 4"
    ],
    ["2025-02-30..", "\"2025-02-30..\" is no revision spec: there is no such day or time as 2025-02-30 at character 1"],
    [
      "2025-03-04",
      "\"2025-03-04\" is no revision spec: a date alone names no revision (2025-03-04..2025-03-04 does) at character 1"
    ]
  ]
  for (const [spec, message] of mistakes) {
    it(`says what is wrong with ${JSON.stringify(spec)}`, () => assert.strictEqual(complaint(spec), message))
  }

  it("marks the place", () => {
    const parsed = RevisionSpec.parse("a & & b")
    assert.strictEqual(Either.isLeft(parsed) ? parsed.left.marked : "", "a & & b\n    ^")
  })

  it("does not follow brackets without end", () => {
    assert.match(complaint("(".repeat(100_000)), /nested too deeply/)
    assert.match(complaint("not(".repeat(100_000)), /nested too deeply/)
    assert.strictEqual(parse(Array(10_000).fill("1").join(","))._tag, "Or")
  })
})
