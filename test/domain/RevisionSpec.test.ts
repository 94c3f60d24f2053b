import { assert, describe, it } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import type { Revision } from "../../src/domain/Revision.ts"
import { fromRandom, make } from "../../src/domain/Revision.ts"
import * as RevisionSpec from "../../src/domain/RevisionSpec.ts"
import { history, revisionSpec } from "../support/arbitraries.ts"

const zone = DateTime.zoneUnsafeMakeNamed("Europe/Berlin")

const parse = (text: string): RevisionSpec.RevisionSpec =>
  Either.getOrThrowWith(RevisionSpec.parse(text), (error) => error)

const complaint = (text: string): string =>
  Either.match(RevisionSpec.parse(text), { onLeft: (error) => error.message, onRight: () => "it was accepted" })

const tags = FastCheck.constantFrom("daily", "weekly", "manual:foo")
const revisions = history({ tag: tags })

/** A history, and a spec in which every name is one of it, unless that would be none at all. */
const questions = revisions.chain((history) => {
  const known = history.filter((one) => one.isComplete).flatMap((one) => [one.id as string, ...one.tags])
  return FastCheck.record({
    history: FastCheck.constant(history),
    one: revisionSpec(known.length === 0 ? tags : FastCheck.constantFrom(...known)),
    other: revisionSpec(known.length === 0 ? tags : FastCheck.constantFrom(...known))
  })
})

/** What a spec selects, or undefined when it names what is not there. */
const found = (
  history: ReadonlyArray<Revision>,
  spec: RevisionSpec.RevisionSpec,
  options: { readonly incomplete?: boolean } = {}
): ReadonlyArray<Revision> | undefined =>
  Either.getOrUndefined(RevisionSpec.select(spec, history, { zone, ...options }))

const not = (of: RevisionSpec.RevisionSpec): RevisionSpec.RevisionSpec => ({ _tag: "Not", of })
const reverse = (of: RevisionSpec.RevisionSpec): RevisionSpec.RevisionSpec => ({ _tag: "Reverse", of })

describe("RevisionSpec.parse", () => {
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
        FastCheck.constantFrom(..."()&,.. :-0123456789", "..", "not", "first", "tag:"),
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

describe("RevisionSpec.select", () => {
  it.prop(
    "& is intersection and the comma union, in the order of history",
    [questions],
    ([{ history, one, other }]) => {
      const [left, right] = [found(history, one), found(history, other)]
      const both = found(history, { _tag: "And", parts: [one, other] })
      const either = found(history, { _tag: "Or", parts: [one, other] })
      if (left === undefined || right === undefined) {
        assert.isUndefined(both)
        return assert.isUndefined(either)
      }
      assert.deepStrictEqual(both, history.filter((revision) => left.includes(revision) && right.includes(revision)))
      assert.deepStrictEqual(either, history.filter((revision) => left.includes(revision) || right.includes(revision)))
    }
  )

  it.prop("not() is the complement, and twice is nothing", [questions], ([{ history, one }]) => {
    const inner = found(history, one)
    if (inner === undefined) return assert.isUndefined(found(history, not(one)))
    const complete = history.filter((revision) => revision.isComplete)
    assert.deepStrictEqual(found(history, not(one)), complete.filter((revision) => !inner.includes(revision)))
    assert.deepStrictEqual(found(history, not(not(one))), complete.filter((revision) => inner.includes(revision)))
  })

  it.prop("reverse() turns around, and twice is nothing", [questions], ([{ history, one }]) => {
    assert.deepStrictEqual(found(history, reverse(one)), found(history, one)?.toReversed())
    assert.deepStrictEqual(found(history, reverse(reverse(one))), found(history, one))
  })

  it.prop("first() and last() take one, and change places under reverse()", [questions], ([{ history, one }]) => {
    const first = found(history, { _tag: "FirstOf", of: one })
    assert.deepStrictEqual(first, found(history, one)?.slice(0, 1))
    assert.deepStrictEqual(found(history, { _tag: "LastOf", of: reverse(one) }), first)
  })

  it.prop(
    "names each revision once, only complete ones, whatever the order given",
    [questions],
    ([{ history, one }]) => {
      const result = found(history, one)
      assert.deepStrictEqual(found(history.toReversed(), one), result)
      assert.strictEqual(new Set(result).size, result?.length ?? 0)
      for (const revision of result ?? []) assert.isTrue(revision.isComplete)
    }
  )

  it.prop("a range holds its ends and what lies between, either way around", [
    revisions,
    FastCheck.nat(),
    FastCheck.nat()
  ], ([
    history,
    a,
    b
  ]) => {
    const complete = history.filter((revision) => revision.isComplete)
    if (complete.length === 0) return
    const [i, j] = [a % complete.length, b % complete.length]
    const expected = complete.slice(Math.min(i, j), Math.max(i, j) + 1)
    for (const [from, to] of [[i, j], [j, i]] as const) {
      assert.deepStrictEqual(found(history, parse(`${complete[from]!.id}..${complete[to]!.id}`)), expected)
      assert.deepStrictEqual(
        found(history, parse(`${complete.length - 1 - from}..${complete.length - 1 - to}`)),
        expected
      )
    }
    assert.deepStrictEqual(found(history, parse(`..${complete[i]!.id}`)), complete.slice(0, i + 1))
    assert.deepStrictEqual(found(history, parse(`${complete[i]!.id}..`)), complete.slice(i))
    assert.deepStrictEqual(found(history, parse("..")), complete)
  })

  it.prop("numbers count complete revisions from the newest", [revisions], ([history]) => {
    const complete = history.filter((revision) => revision.isComplete)
    complete.forEach((revision, index) => {
      assert.deepStrictEqual(found(history, parse(String(complete.length - 1 - index))), [revision])
    })
    assert.isUndefined(found(history, parse(String(complete.length))))
  })

  it.prop("a full id reaches any revision, an incomplete one, too", [revisions], ([history]) => {
    for (const revision of history) assert.deepStrictEqual(found(history, parse(revision.id)), [revision])
  })

  it.prop("filters reach incomplete revisions where that is asked for", [revisions], ([history]) => {
    assert.deepStrictEqual(found(history, parse("all"), { incomplete: true }), history)
    assert.deepStrictEqual(found(history, parse("clean"), { incomplete: true }), found(history, parse("all")))
    assert.deepStrictEqual(
      found(history, parse("not(clean)"), { incomplete: true }),
      history.filter((one) => !one.isComplete)
    )
  })

  it.prop("a bare tag is the newest with it, tag: all of them, none included", [revisions], ([history]) => {
    const daily = history.filter((revision) => revision.isComplete && revision.tags.includes("daily"))
    assert.deepStrictEqual(found(history, parse("daily")) ?? [], daily.slice(-1))
    assert.deepStrictEqual(found(history, parse("tag:daily")), daily)
  })
})

describe("a history of one week in Berlin", () => {
  const at = (timestamp: string, tags: ReadonlyArray<string>, seed: number) =>
    make({
      id: fromRandom(new Uint8Array(16).fill(seed)),
      backendType: "chunked-v3",
      timestamp: DateTime.unsafeMake(timestamp),
      parent: null,
      tags,
      trust: seed === 2 ? "distrusted" : "trusted",
      stats: seed === 5 ? {} : { duration: 1 }
    })
  // Summer time began on the 30th at 01:00 UTC.
  const week = [
    at("2025-03-28T22:59:59.999Z", ["weekly"], 0),
    at("2025-03-28T23:00:00.000Z", ["daily"], 1),
    at("2025-03-29T22:59:59.500Z", ["daily"], 2),
    at("2025-03-30T21:59:59.999Z", ["daily", "7"], 3),
    at("2025-03-30T22:00:00.000Z", ["daily", "latest"], 4),
    at("2025-03-31T00:00:00.000Z", ["daily", "nightly"], 5)
  ]
  const indexes = (text: string) => found(week, parse(text))?.map((revision) => week.indexOf(revision))
  const message = (text: string, history: ReadonlyArray<Revision> = week) =>
    Either.match(RevisionSpec.select(parse(text), history, { zone }), {
      onLeft: (error) => error.message,
      onRight: () => "it was found"
    })

  const expectations: ReadonlyArray<readonly [spec: string, indexes: ReadonlyArray<number>]> = [
    ["latest", [4]],
    ["last", [4]],
    ["first", [0]],
    ["0", [4]],
    ["4", [0]],
    ["all", [0, 1, 2, 3, 4]],
    ["2025-03-29..2025-03-29", [1, 2]],
    ["2025-03-30..2025-03-30", [3]],
    ["2025-03-30..2025-03-29", [1, 2, 3]],
    ["2025-03-31..", [4]],
    ["..2025-03-28", [0]],
    ["2025-03-29 23:59:59..2025-03-29 23:59:59", [2]],
    ["2025-03-29T23:59..2025-03-29T23:59", [2]],
    ["2025-03-28T22:59:59.999Z..2025-03-28T22:59:59.999Z", [0]],
    ["2026-01-01..", []],
    ["weekly..2025-03-29", [0, 1, 2]],
    ["tag:daily & not(trust:distrusted)", [1, 3, 4]],
    ["trust:distrusted", [2]],
    ["reverse(tag:daily)", [4, 3, 2, 1]],
    ["first(reverse(all))", [4]],
    ["last(2..) & all", [4]],
    ["0, 2, 0", [2, 4]],
    ["tag:7", [3]],
    ["tag:latest", [4]],
    [week[5]!.id, [5]],
    [`${week[5]!.id}, 0`, [4, 5]],
    [`..${week[5]!.id}`, [0, 1, 2, 3, 4]]
  ]
  for (const [spec, expected] of expectations) {
    it(`${spec} means ${expected.length === 0 ? "none" : `number ${expected.join(", ")}`}`, () => {
      assert.deepStrictEqual(indexes(spec), expected)
    })
  }

  it("says which numbers there are", () => {
    assert.strictEqual(message("7"), "there is no revision 7: they are numbered from 0, the newest, to 4")
  })

  it("suggests what was meant", () => {
    assert.strictEqual(message("dialy"), "there is no revision with the id or tag \"dialy\" (did you mean \"daily\"?)")
    assert.strictEqual(
      message("lastest"),
      "there is no revision with the id or tag \"lastest\" (did you mean \"latest\"?)"
    )
  })

  it("lists what there is", () => {
    assert.strictEqual(
      message("something"),
      "there is no revision with the id or tag \"something\" (there are: weekly, daily, 7, latest, first, all, clean)"
    )
  })

  it("does not take the beginning of an id for the id", () => {
    const { id } = week[3]!
    assert.strictEqual(message(id.slice(0, 9)), `ids are written in full: ${id} instead of ${id.slice(0, 9)}`)
  })

  it("an incomplete revision's tag is not found", () => {
    assert.match(message("nightly"), /^there is no revision with the id or tag "nightly"/)
  })

  it("says that there is nothing yet", () => {
    for (const spec of ["latest", "first", "0", "daily"]) {
      assert.strictEqual(message(spec, week.slice(5)), "there is no complete revision yet")
    }
    assert.deepStrictEqual(found([], parse("all")), [])
  })
})
