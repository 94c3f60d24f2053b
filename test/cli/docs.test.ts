/** docs/cli.md says what the program does. */
import { assert, describe, it } from "@effect/vitest"
import { existsSync, readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import pkg from "../../package.json" with { type: "json" }
import { grammar } from "../../src/cli/Cli.ts"
import { codes, EXIT } from "../../src/cli/exit.ts"

const project = fileURLToPath(new URL("../..", import.meta.url))
const read = (path: string): string => readFileSync(join(project, path), "utf8")

/** The first cells of the table below a heading. */
const firstCells = (text: string, heading: string): ReadonlyArray<string> => {
  const section = text.split(`\n## ${heading}\n`)[1]?.split("\n## ")[0] ?? ""
  return section.split("\n").filter((line) => line.startsWith("| ")).map((line) =>
    line.split(" | ")[0]?.slice(2).trim() ?? ""
  )
}

describe("the documentation", () => {
  it("lists every command", () => {
    const named = firstCells(read("docs/cli.md"), "Commands").map((cell) => /`(\w+)/.exec(cell)?.[1]).filter(Boolean)
    assert.deepStrictEqual(named, [...grammar.commands.keys()])
  })

  it("names every option of each command, and no other", () => {
    const rows = read("docs/cli.md").split("\n").filter((line) => line.startsWith("| `"))
    for (const [name, command] of grammar.commands) {
      const row = rows.find((line) => new RegExp(`^\\| \`${name}\\b`).test(line))
      assert.isDefined(row, name)
      const of = [command, ...command.commands.values()]
      const forms = new Map<string, Array<string>>()
      for (const one of of) {
        for (const [form, { name: long }] of one.options) forms.set(long, [...forms.get(long) ?? [], form])
      }
      const said = new Set([...row.matchAll(/(?<![\w-])--?[a-z][a-z-]*/g)].map(([option]) => option))
      for (const [long, all] of forms) {
        // told below the table, once for all
        if (long !== "--wait") assert.isTrue(all.some((form) => said.has(form)), `${name} ${long}`)
      }
      const known = new Set([...forms.values()].flat())
      for (const option of said) assert.isTrue(known.has(option), `${name} has no ${option}`)
    }
  })

  it("has the table of exit codes that the program has", () => {
    const listed = firstCells(read("docs/cli.md"), "Exit codes").map(Number).filter((code) => !Number.isNaN(code))
    assert.deepStrictEqual(listed, Object.values(EXIT))
    assert.isTrue(Object.values(codes).every((code) => listed.includes(code)))
  })

  it("names scripts and files that exist", () => {
    for (const path of ["README.md", "docs/cli.md"]) {
      const text = read(path)
      for (const [, script = ""] of text.matchAll(/npm run (\w+)/g)) assert.property(pkg.scripts, script)
      for (const [, target = ""] of text.matchAll(/\]\((?!https?:)([^)#]+)/g)) {
        assert.isTrue(existsSync(join(project, dirname(path), target)), `${path}: ${target}`)
      }
    }
  })
})
