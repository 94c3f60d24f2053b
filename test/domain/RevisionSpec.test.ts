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

describe("selecting revisions", () => {
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
      backendType: "chunked-v4",
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

  it("an hour that comes twice, when clocks are set back, is meant both times", () => {
    const autumn = ["00:29:59", "00:30:00", "01:30:59", "01:31:00"].map((time, index) =>
      at(`2025-10-26T${time}Z`, [], index)
    )
    assert.deepStrictEqual(found(autumn, parse("2025-10-26T02:30..2025-10-26T02:30")), autumn.slice(1, 3))
    assert.deepStrictEqual(found(autumn, parse("2025-10-26..2025-10-26")), autumn)
  })

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
