import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as FastCheck from "effect/FastCheck"
import { closest, hint } from "../../src/domain/closest.ts"
import * as Interval from "../../src/domain/Interval.ts"
import * as JobConfig from "../../src/domain/JobConfig.ts"
import * as RevisionSpec from "../../src/domain/RevisionSpec.ts"
import * as Tag from "../../src/domain/Tag.ts"

describe("Interval", () => {
  it.prop("reads what it writes", [FastCheck.integer({ min: 1, max: 36_525 * 86_400 })], ([seconds]) => {
    const span = Duration.seconds(seconds)
    assert.deepStrictEqual(Interval.parse(Interval.format(span)), span)
  })

  it("reads every unit, and seconds without one", () => {
    const seconds = ["30", "30s", "2m", "3h", "4d", "5w"].map((text) => Duration.toSeconds(Interval.parse(text)!))
    assert.deepStrictEqual(seconds, [30, 30, 120, 10_800, 345_600, 3_024_000])
  })

  it("writes the largest unit that fits, days at most", () => {
    const texts = [1, 90, 120, 3600, 5400, 86_400, 7 * 86_400].map((seconds) =>
      Interval.format(Duration.seconds(seconds))
    )
    assert.deepStrictEqual(texts, ["1s", "90s", "2m", "1h", "90m", "1d", "7d"])
  })

  it("refuses what is no span of time, nothing, and more than a century", () => {
    for (
      const text of [
        "",
        "0",
        "0s",
        "-1d",
        "1.5h",
        "10y",
        "1 d",
        " 1d",
        "1d ",
        "1D",
        "1e3s",
        "d",
        "36526d",
        "99999999999s"
      ]
    ) {
      assert.isUndefined(Interval.parse(text), text)
    }
  })
})

describe("Tag", () => {
  it.prop("a tag that is allowed can be named in a revision spec", [FastCheck.string()], ([text]) => {
    if (Tag.problem(text) !== undefined) return
    const parsed = RevisionSpec.parse(`tag:${text}`)
    assert.deepStrictEqual(parsed._tag === "Right" ? parsed.right : undefined, { _tag: "Tagged", tag: text })
  })

  it("says what is wrong", () => {
    for (const text of ["", "manual:", "a b", "a,b", "a&b", "a(", "a..b", "a\nb", "\u001b[2J", "x".repeat(256)]) {
      assert.match(Tag.problem(text) ?? "", /^a tag /)
    }
    for (const text of ["daily", "manual:before", "v1.2", "7", "täglich"]) assert.isUndefined(Tag.problem(text))
  })
})

describe("job names", () => {
  it("are one plain path component", () => {
    const bad = ["", ".", "..", ".hidden", "-x", "a/b", "/etc", "a\u0000b", "a\nb", "ä".repeat(128)]
    for (const name of bad) assert.isDefined(JobConfig.jobNameProblem(name), JSON.stringify(name))
    const good = ["web01", "a.b", "a..b", "vm 1", "ä".repeat(127), "toString"]
    for (const name of good) assert.isUndefined(JobConfig.jobNameProblem(name), name)
  })
})

describe("closest", () => {
  it("finds typing errors, and nothing far-fetched", () => {
    const known = ["daily", "weekly", "monthly"]
    assert.strictEqual(closest("dialy", known), "daily")
    assert.strictEqual(closest("Weekly", known), "weekly")
    assert.strictEqual(closest("montly", known), "monthly")
    assert.isUndefined(closest("yearly", known))
    assert.isUndefined(closest("x", known))
  })

  it.prop("never suggests for the empty word, and the word itself when it is there", [
    FastCheck.array(FastCheck.string())
  ], ([
    words
  ]) => {
    assert.isUndefined(closest("", words))
    for (const word of words) {
      if (word.length > 0 && word.length < 65) {
        assert.strictEqual(closest(word, words)?.toLowerCase(), word.toLowerCase())
      }
    }
  })

  it("lists what there is when nothing is near", () => {
    assert.strictEqual(hint("x", ["daily", "weekly"]), " (there are: daily, weekly)")
    assert.strictEqual(hint("x", []), " (there are none)")
  })
})
