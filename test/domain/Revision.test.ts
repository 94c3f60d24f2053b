import { assert, describe, it } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as Revision from "../../src/domain/Revision.ts"
import { awkwardText, history, revision } from "../support/arbitraries.ts"

const read = (text: string): Revision.Revision => Either.getOrThrowWith(Revision.decodeYaml(text), (error) => error)

const reasonOf = (text: string): string => {
  const decoded = Revision.decodeYaml(text)
  return Either.isLeft(decoded) ? decoded.left.message : "it was accepted"
}

/** A file of 2.5.3, byte for byte. */
const ancestors = `backend_type: chunked
parent: KDYVkEfuhFx5cpRJDZbZGm
stats:
  bytes_written: 19188736
  duration: 0.09002280235290527
tags:
- daily
- weekly
timestamp: 2025-03-04 02:10:00.199136+00:00
trust: distrusted
uuid: XSzQ37s2pfGU3Yog7xi3YA
`

const minimal = "uuid: XSzQ37s2pfGU3Yog7xi3YA\ntimestamp: 2015-08-01T20:00:00+00:00\n"

describe("Revision", () => {
  it.prop("comes back from its file as it went", [revision()], ([original]) => {
    assert.deepStrictEqual(read(Revision.encodeYaml(original)), original)
  })

  it("reads and rewrites a file of the ancestor without changing a byte", () => {
    const decoded = read(ancestors)
    assert.strictEqual(decoded.backendType, "chunked")
    assert.strictEqual(decoded.parent, "KDYVkEfuhFx5cpRJDZbZGm")
    assert.strictEqual(DateTime.formatIso(decoded.timestamp), "2025-03-04T02:10:00.199Z")
    assert.deepStrictEqual(decoded.tags, ["daily", "weekly"])
    assert.isTrue(decoded.isComplete)
    assert.isFalse(decoded.isTrusted)
    assert.strictEqual(Revision.encodeYaml(decoded), ancestors)
  })

  it("fills in what the oldest files leave out", () => {
    const decoded = read(`${minimal}parent:\ntype: full\n`)
    assert.strictEqual(decoded.backendType, "cowfile")
    assert.strictEqual(decoded.trust, "trusted")
    assert.isNull(decoded.parent)
    assert.deepStrictEqual(decoded.tags, [])
    assert.isFalse(decoded.isComplete)
    assert.deepStrictEqual(decoded.unknown, { type: "full" })
    assert.strictEqual(DateTime.formatIso(decoded.timestamp), "2015-08-01T20:00:00.000Z")
  })

  it("reads instants of any zone, to the microsecond", () => {
    const instants = ["02:10:00+02:00", "02:10:00.5 -05:30", "2:10:00.1234567Z", "02:10:00+00:00"].map((time) => {
      const { microseconds, timestamp } = read(minimal.replace(/2015.*/, `2015-08-01 ${time}`))
      return [DateTime.formatIso(timestamp), microseconds]
    })
    assert.deepStrictEqual(instants, [
      ["2015-08-01T00:10:00.000Z", undefined],
      ["2015-08-01T07:40:00.500Z", undefined],
      ["2015-08-01T02:10:00.123Z", 456],
      ["2015-08-01T02:10:00.000Z", undefined]
    ])
  })

  it("reads JSON, which the first versions wrote", () => {
    const decoded = read(
      "{\"uuid\": \"XSzQ37s2pfGU3Yog7xi3YA\", \"timestamp\": \"2015-08-01T20:00:00+00:00\", \"parent\": null}"
    )
    assert.strictEqual(decoded.id, "XSzQ37s2pfGU3Yog7xi3YA")
  })

  it("does not lose a revision for the old form of its parent's id", () => {
    assert.isNull(read(`${minimal}parent: de8285c3-af53-4967-a257-e66ea24f1020\n`).parent)
  })

  it("keeps keys, figures and instants that it does not know", () => {
    const text = `${minimal.replace("T", " ")}backend_type: chunked-v4
parent: ''
tags: []
trust: trusted
future:
  at: 2030-01-01 00:00:00.5+02:00
  count: 123456789012345678901
  list:
  - 'yes'
  - '2025-03-04'
stats:
  duration: 1.0e-7
  samples:
    a: null
`
    const rewritten = Revision.encodeYaml(read(text))
    assert.deepStrictEqual(rewritten.split("\n").sort(), text.split("\n").sort())
    assert.strictEqual(Revision.encodeYaml(read(rewritten)), rewritten)
  })

  it.prop("keeps any text in tags and unknown keys", [awkwardText, awkwardText], ([tag, value]) => {
    const original = Revision.update(read(ancestors), { tags: [tag], unknown: { note: value } })
    const decoded = read(Revision.encodeYaml(original))
    assert.deepStrictEqual(decoded.tags, [tag])
    assert.deepStrictEqual(decoded.unknown, { note: value })
  })

  it("writes its own keys beside the ancestor's", () => {
    const at = DateTime.unsafeMake("2025-03-05T00:00:00Z")
    const text = Revision.encodeYaml(Revision.update(read(ancestors), {
      size: 1,
      mapDigest: "ab".repeat(32),
      trust: "distrusted",
      distrust: { reason: "damaged", at, chunks: ["cd".repeat(32)] },
      verification: { kind: "full", compared: 2, of: 3, cursor: 4, seconds: 0.5 }
    }))
    assert.include(text, `map_digest: ${"ab".repeat(32)}\n`)
    assert.include(
      text,
      `distrust:\n  at: 2025-03-05 00:00:00+00:00\n  chunks:\n  - ${"cd".repeat(32)}\n  reason: damaged\n`
    )
    assert.include(text, "verification:\n  compared: 2\n  cursor: 4\n  kind: full\n  of: 3\n  seconds: 0.5\n")
  })

  const mistakes: ReadonlyArray<readonly [what: string, text: string, reason: RegExp]> = [
    ["an empty file", "", /expected keys and values/],
    ["a list", "- a\n", /expected keys and values/],
    ["half a file", ancestors.slice(0, 40), /uuid: is missing/],
    ["a file cut within its id", ancestors.slice(0, -5), /uuid: expected a revision's id/],
    ["an id that is a path", minimal.replace("XSz", "../"), /uuid: expected a revision's id/],
    ["an id of another length", minimal.replace("XSz", "X"), /uuid: expected a revision's id/],
    ["an instant without a zone", minimal.replace("+00:00", ""), /timestamp: expected an instant with its zone/],
    ["a date that is none", minimal.replace("08-01", "02-30"), /timestamp: expected an instant/],
    ["an hour that is none", minimal.replace("T20", "T24"), /timestamp: expected an instant/],
    ["an instant as a number", minimal.replace(/2015.*/, "1396269933.7"), /timestamp: expected an instant/],
    [
      "an unknown kind",
      `${minimal}backend_type: tape\n`,
      /backend_type: expected chunked-v4, cowfile-v4, chunked or cowfile/
    ],
    ["an unknown trust", `${minimal}trust: maybe\n`, /trust: expected trusted, distrusted or verified/],
    ["a negative size", `${minimal}size: -1\n`, /size: /],
    ["a duration that is no number", `${minimal}stats: {duration: .nan}\n`, /stats.duration: /],
    ["tags that are no list", `${minimal}tags: daily\n`, /tags: /],
    ["tags that are no text", `${minimal}tags: [1]\n`, /tags.0: /],
    ["a key twice", `${minimal}trust: trusted\ntrust: verified\n`, /line 4: the key "trust" stands twice/],
    ["a YAML tag", `${minimal}x: !!python/object/apply:os.system [true]\n`, /line 3: the tag .* is not allowed/],
    ["an anchor without an end", `${minimal}x: &x [*x]\n`, /line 3: aliases or nesting/],
    ["a second document", `${minimal}---\n{}\n`, /line 3: a second document/],
    ["a NUL byte", `${minimal}x: a\u0000b\n`, /line 3: there is a control character/],
    ["a prototype", `${minimal}__proto__: {isComplete: true}\n`, /line 3: expected a plain word as key/],
    ["a huge file", `${minimal}#${"x".repeat(600_000)}\n`, /larger than 512 KiB/]
  ]
  for (const [what, text, reason] of mistakes) {
    it(`refuses ${what} in one sentence`, () => {
      assert.match(reasonOf(text), reason)
      assert.match(reasonOf(text), /^the revision's metadata is not readable: [^\n]{1,300}$/)
    })
  }

  it.prop("answers every truncation of a good file with a revision or an error", [revision(), FastCheck.nat()], ([
    original,
    length
  ]) => {
    const text = Revision.encodeYaml(original)
    Revision.decodeYaml(text.slice(0, length % text.length))
  })

  it.prop("answers any garbage with an error, never with an exception", [
    FastCheck.string({
      unit: FastCheck.oneof(FastCheck.constantFrom(..."[]{}&*!|>'\":-?#,\n\t %@uuid".split("")), FastCheck.string())
    })
  ], ([text]) => {
    assert.isTrue(Either.isLeft(Revision.decodeYaml(text)))
  }, { fastCheck: { numRuns: 300 } })

  it.prop("puts a history in order, each revision once", [history(), FastCheck.infiniteStream(FastCheck.nat())], ([
    revisions,
    dice
  ]) => {
    const shuffled = [...revisions, ...revisions].sort(() => dice.next().value % 3 - 1)
    assert.deepStrictEqual(Revision.history(shuffled), revisions)
  })

  it("tells revisions within one millisecond apart", () => {
    const first = read(ancestors)
    const second = Revision.update(first, { microseconds: 137, id: Revision.fromRandom(new Uint8Array(16)) })
    assert.deepStrictEqual(Revision.history([second, first]), [first, second])
  })

  it("update removes an optional field and sorts the tags", () => {
    const changed = Revision.update(read(ancestors), { tags: ["b", "a", "b"], stats: {}, microseconds: undefined })
    assert.deepStrictEqual(changed.tags, ["a", "b"])
    assert.isFalse(changed.isComplete)
    assert.notInclude(Revision.encodeYaml(changed), "136")
  })

  it("spells random bytes as shortuuid does", () => {
    assert.strictEqual(Revision.fromRandom(new Uint8Array(16)), "2".repeat(22))
    // What base 57 over shortuuid's alphabet makes of the bytes 0 to 15, computed with Python's integers.
    assert.strictEqual(Revision.fromRandom(Uint8Array.from({ length: 16 }, (_, i) => i)), "224Hj8tHKmged8ChbfJanE")
    assert.isTrue(Revision.isRevisionId(Revision.fromRandom(new Uint8Array(16).fill(255))))
  })
})
