import { assert, describe, it } from "@effect/vitest"
import * as Output from "../../src/cli/output.ts"

describe("tables", () => {
  const columns: ReadonlyArray<Output.Column<readonly [string, string]>> = [
    { title: "Name", cell: ([name]) => name },
    { title: "Size", align: "right", cell: ([, size]) => size }
  ]

  it("align their columns and show what is empty as a dash", () => {
    assert.deepStrictEqual(Output.table(columns, [["one", "1 byte"], ["", "10.0 MiB"]]), [
      "Name      Size",
      "one     1 byte",
      "-     10.0 MiB"
    ])
    assert.deepStrictEqual(Output.table(columns, []), ["Name  Size"])
  })

  it("do not let a cell steer the terminal", () => {
    assert.deepStrictEqual(Output.table(columns, [["\u001b[31mred", "1"]])[1], "\\x1b[31mred     1")
  })
})
