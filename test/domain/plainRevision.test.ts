import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as PlainRevision from "../../src/domain/plainRevision.ts"
import * as Revision from "../../src/domain/Revision.ts"
import { revision } from "../support/arbitraries.ts"

/** What the parser makes of it. */
const parsed = (text: string): PlainRevision.PlainRevision | undefined =>
  Either.match(Revision.decodeYaml(text), {
    onLeft: () => undefined,
    onRight: ({ backendType, id, isTrusted, stats, tags, timestamp }) => ({
      id,
      backendType,
      timestamp,
      tags,
      isTrusted,
      duration: stats.duration
    })
  })

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

/** A file in which lines were added, replaced, doubled, moved or lost. */
const damaged = FastCheck.tuple(
  revision(),
  FastCheck.array(FastCheck.tuple(FastCheck.nat(), FastCheck.nat(2), oddLine), { maxLength: 3 }),
  FastCheck.boolean()
).map(([original, changes, isCut]) => {
  const lines = Revision.encodeYaml(original).split("\n")
  for (const [at, kind, line] of changes) {
    const index = at % lines.length
    if (kind === 0) lines.splice(index, 1, line)
    else if (kind === 1) lines.splice(index, 0, line)
    else lines.splice(at % 7, 0, ...lines.splice(index, 1))
  }
  return isCut ? lines.join("\n").trimEnd() : lines.join("\n")
})

const usual = `backend_type: chunked-v3
map_digest: 176ccef07bac1d6d6363b3f7aad947f253961ff68645bb79c0dc9c7f67c64ef8
parent: ''
size: 42949672960
stats:
  bytes_written: 123
  duration: 95.4
tags:
- daily
- manual:before-upgrade
timestamp: 2026-11-23 18:03:07.593000+00:00
trust: verified
uuid: XGv2QZiJivUMW7XxFdDr7o
verification:
  compared: 1
  kind: sampled
  of: 2
verified_at: 2026-11-23 18:03:07.593000+00:00
`

describe("plainRevision", () => {
  it.prop("never says anything but what the parser says", [damaged], ([text]) => {
    const plain = PlainRevision.read(text)
    if (plain !== undefined) assert.deepStrictEqual(plain, parsed(text))
  }, { fastCheck: { numRuns: 3000 } })

  it("reads what we write, and what the ancestor wrote", () => {
    const ancestors = `${
      usual.split("\n").filter((line) => !/^(map_|size|verifi|  (compared|kind|of))/.test(line)).join("\n")
    }`.replace("chunked-v3", "cowfile").replace("''", "KDYVkEfuhFx5cpRJDZbZGm").replace("verified", "distrusted")
    const begun = usual.replace(/stats:\n.*\n.*\n/, "stats: {}\n").replace(/tags:\n.*\n.*\n/, "tags: []\n")
    // quoted when it might be a number
    const quoted = usual.replace(/(map_digest|uuid): (\w*)/g, "$1: '$2'")
    for (const text of [usual, ancestors, begun, quoted]) {
      assert.isDefined(PlainRevision.read(text))
      assert.deepStrictEqual(PlainRevision.read(text), parsed(text))
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
        usual.replace("chunked-v3", "chunked-v9"),
        usual.replace(/uuid.*\n/, ""),
        usual.replace(": 95.4", ": '95.4'"),
        usual.replaceAll("\n", "\r\n")
      ]
    ) {
      assert.isUndefined(PlainRevision.read(text), text)
    }
  })
})
