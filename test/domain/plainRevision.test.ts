import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as PlainRevision from "../../src/domain/plainRevision.ts"
import * as Revision from "../../src/domain/Revision.ts"
import { revision } from "../support/arbitraries.ts"
import { damagedLines } from "../support/damagedLines.ts"

/** What the parser makes of it. */
const parsed = (text: string): Revision.Revision | undefined => Either.getOrUndefined(Revision.parseYaml(text))

/** What is said without it. */
const read = (text: string): Revision.Revision | undefined => {
  const plain = PlainRevision.read(text)
  return plain && Revision.make(plain)
}

/** Lines that are nearly what stands in such a file, and what a YAML parser makes something else of. */
const oddLine = FastCheck.constantFrom(
  "",
  "---",
  "# nothing",
  "stats:",
  "tags:",
  "tags: ~",
  "- true",
  "- null",
  "- Null",
  "- daily",
  "- 12",
  "- a: b",
  "- a:",
  "- a #b",
  "- 2025-03-04",
  "-  daily",
  "  - daily",
  "  duration: 12",
  "  duration: 1e3",
  "  duration: 0x1f",
  "  duration: -1.5",
  "  duration: 007.50",
  "   duration: 3",
  "  future: 3",
  "verification:",
  "  kind: true",
  "  cursor: 7",
  "  rotation_started: '2026-11-23T18:03:07Z'",
  "  rotation_started: 2026-11-23T18:03:07Z",
  "  chunks_found: 0x10",
  "  of: 1_000",
  "size: 12.5",
  "size: 0012",
  `map_digest: ${"1".repeat(64)}`,
  `map_digest: '${"1".repeat(64)}'`,
  `uuid: '${"2".repeat(22)}'`,
  `uuid: "${"2".repeat(22)}"`,
  `map_digest: ${"1".repeat(31)}e${"1".repeat(32)}`,
  `parent: ${"2".repeat(22)}`,
  `parent: 222222222e222222222222`,
  "parent:",
  "timestamp: 2025-02-30 02:10:00+00:00",
  "timestamp: 2025-03-04 02:10:00+01:00",
  "timestamp: 2025-03-04 02:10:00.1234567+00:00",
  "timestamp: 2025-03-04",
  "verified_at: 2025-13-04 02:10:00+00:00",
  "trust: Distrusted",
  "trust: distrusted",
  "backend_type: other",
  "future: 1",
  "<<: *a",
  "uuid: &a XSzQ37s2pfGU3Yog7xi3YA",
  "__proto__: 1"
)

/** Numbers as real ones have them. */
const rounded = (value: number) => Math.round(value % 1e9 * 1000) / 1000

const ordinary = revision({ tag: FastCheck.constantFrom("daily", "manual:before-upgrade", "a.b_c-1") }).map((one) =>
  Revision.update(one, {
    distrust: undefined,
    size: one.size && Math.trunc(one.size / 64),
    stats: Object.fromEntries(Object.entries(one.stats).map(([key, value]) => [key, rounded(Number(value))]))
  })
)

const damaged = damagedLines(revision().map(Revision.encodeYaml), oddLine, 3)

const usual = `backend_type: chunked-v4
map_digest: 176ccef07bac1d6d6363b3f7aad947f253961ff68645bb79c0dc9c7f67c64ef8
parent: ''
size: 42949672960
stats:
  bytes_stored: 100
  bytes_written: 123
  chunks_found: 0
  duration: 95.4
tags:
- daily
- manual:before-upgrade
timestamp: 2026-11-23 18:03:07.593000+00:00
trust: verified
uuid: XGv2QZiJivUMW7XxFdDr7o
verification:
  compared: 1
  cursor: 0
  fully_compared: '2026-11-23T18:03:07.593Z'
  kind: samples
  of: 2
  rotation_started: '2026-11-23T18:03:07.593Z'
verified_at: 2026-11-23 18:03:07.593000+00:00
`

describe("plainRevision", () => {
  it.prop("never says anything but what the parser says", [damaged], ([text]) => {
    const plain = read(text)
    if (plain !== undefined) assert.deepStrictEqual(plain, parsed(text))
  }, { fastCheck: { numRuns: 3000 } })

  it.prop("reads all that we write but odd tags, and why a revision is distrusted", [ordinary], ([one]) => {
    assert.deepStrictEqual(read(Revision.encodeYaml(one)), one)
  })

  it("reads what we write, and what the ancestor wrote", () => {
    const ancestors = `${
      usual.split("\n").filter((line) =>
        !/^(map_|size|verifi|  (compared|cursor|fully|kind|of|rotation|bytes_stored|chunks))/.test(line)
      ).join("\n")
    }`.replace("chunked-v4", "cowfile").replace("''", "KDYVkEfuhFx5cpRJDZbZGm").replace("verified", "distrusted")
    const begun = usual.replace(/stats:\n(  .*\n)*/, "stats: {}\n").replace(/tags:\n.*\n.*\n/, "tags: []\n")
    // quoted when it might be a number
    const quoted = usual.replace(/(map_digest|uuid): (\w*)/g, "$1: '$2'")
    for (const text of [usual, ancestors, begun, quoted]) {
      assert.isDefined(PlainRevision.read(text))
      assert.deepStrictEqual(read(text), parsed(text))
    }
  })

  it("leaves to the parser what may mean something else", () => {
    for (
      const text of [
        "",
        usual.trimEnd(),
        `${usual}uuid: XGv2QZiJivUMW7XxFdDr7o\n`,
        usual.replace("trust: verified", "distrust:\n  reason: manual"),
        usual.replace("- daily", "- true"),
        usual.replace("chunked-v4", "chunked-v9"),
        usual.replace(/uuid.*\n/, ""),
        usual.replace(": 95.4", ": '95.4'"),
        usual.replaceAll("\n", "\r\n")
      ]
    ) {
      assert.isUndefined(PlainRevision.read(text), text)
    }
  })
})
