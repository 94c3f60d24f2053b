/** The list of ways to break the source fits the source, and the table of who notices fits the list. */
import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { mutations } from "../mutation/list.mjs"

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8")

describe("the mutations", () => {
  it("break something that is there, once", () => {
    for (const { file, from, name, to } of mutations) {
      assert.strictEqual(read(file).split(from).length - 1, 1, `${name}: ${file} has not once ${from}`)
      assert.notStrictEqual(from, to, name)
    }
  })

  it("are those of the table in docs/reliability.md", () => {
    const table = read("docs/reliability.md").split(/<!-- \/?mutations -->/)[1] ?? ""
    const rows = [...table.matchAll(/^\| ([^|]*) \| `/gm)].map(([, name]) => name)
    assert.sameMembers(rows, mutations.map(({ name }) => name))
  })
})
