import { assert, describe, it } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as PlainStatus from "../../src/daemon/plainStatus.ts"
import * as StatusFile from "../../src/daemon/StatusFile.ts"
import * as Yaml from "../../src/domain/Yaml.ts"
import { damagedLines } from "../support/damagedLines.ts"
import { status } from "../support/jobStatus.ts"

/** What the parser makes of it. */
const parsed = (text: string): unknown => Either.getOrUndefined(Yaml.parse(text))?.value

const text = FastCheck.constantFrom(
  "web01",
  "waiting for deadline",
  "running (slow)",
  "daily,weekly",
  "",
  "yes",
  "12",
  "2026-11-23 11:52:13.246000+00:00",
  "a: b",
  "a \"b\" \\c",
  "ü",
  "[x]"
)

const job = FastCheck.record({
  job: text,
  status: text,
  last_tags: FastCheck.option(text),
  last_duration: FastCheck.option(FastCheck.constantFrom(0, 3.5, 95.4, 1e-9, 1e21, 123456789)),
  sla_overdue: FastCheck.nat(),
  last_time: FastCheck.option(FastCheck.nat().map((millis) => DateTime.unsafeMake(millis)))
}).map(status)

const oddLine = FastCheck.constantFrom(
  "",
  "---",
  "# nothing",
  "- job: web02",
  "-  job: web02",
  "- - job: web02",
  "  sla: ~",
  "  sla: ''",
  "  sla: 'OK'",
  "  sla: \"O\\u004b\"",
  "  sla: OK # fine",
  "  sla: 007",
  "  sla: 0x10",
  "  sla: 1e3",
  "  sla: -1",
  "  sla: 1_000",
  "  sla: .5",
  "  sla: True",
  "  sla: |",
  "   sla: OK",
  "  future: 3",
  "  null: 3",
  "  true: 3",
  "  __proto__: 3",
  "  sla:",
  "sla: OK",
  "  sla: a: b",
  "  sla: &a b",
  "  <<: *a",
  "  more",
  "\t sla: OK"
)

const damaged = damagedLines(FastCheck.array(job, { minLength: 1, maxLength: 2 }).map(StatusFile.encode), oddLine, 2)

describe("plainStatus", () => {
  it.prop("never says anything but what the parser says", [damaged], ([text]) => {
    const plain = PlainStatus.read(text)
    if (plain !== undefined) assert.deepStrictEqual<unknown>(plain, parsed(text))
  }, { fastCheck: { numRuns: 2000 } })

  it("reads what the daemon writes", () => {
    const written = StatusFile.encode([
      status({ job: "web01", last_tags: "daily,weekly", last_duration: 95.4 }),
      status({ job: "web02", last_time: DateTime.unsafeMake("2026-11-23T11:52:13.246Z"), sla: "TOO OLD" })
    ])
    assert.isDefined(PlainStatus.read(written))
    assert.deepStrictEqual<unknown>(PlainStatus.read(written), parsed(written))
  })

  it("leaves to the parser what may mean something else", () => {
    for (const text of ["", "[]\n", "- job: web01", "  job: web01\n", "- job: yes\n", "- job: a\n  job: b\n", "\n"]) {
      assert.isUndefined(PlainStatus.read(text), text)
    }
  })
})
