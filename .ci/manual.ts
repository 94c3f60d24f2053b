// Writes the man pages into a folder: `node .ci/manual.ts FOLDER` makes man1/backy.1 and man5/backy.conf.5.
//
// Nothing is written down twice: commands and options are what `--help` prints, everything else is docs/cli.md and
// docs/configuration.md.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import pkg from "../package.json" with { type: "json" }
import type { Grammar } from "../src/cli/argv.ts"
import { grammar } from "../src/cli/Cli.ts"
import * as Help from "../src/cli/help.ts"

const read = (page: string): string => readFileSync(fileURLToPath(new URL(`../docs/${page}`, import.meta.url)), "utf8")

/** Text that roff takes literally. */
const plain = (text: string): string =>
  text.replaceAll("\\", "\\e").replaceAll("-", "\\-").replaceAll("…", "...").replaceAll("×", "x").replaceAll("→", "->")
    .replaceAll("←", "<-").replaceAll(/^(?=[.'])/gm, "\\&")

/** Markdown within a line: code in bold, links without their target. */
const inline = (text: string): string =>
  text.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1").replaceAll("\\|", "|").split(/(`[^`]*`|\*\*[^*]*\*\*)/).map((part) =>
    /^[`*]/.test(part) ? `\\fB${plain(part.replaceAll(/^(`|\*\*)|(`|\*\*)$/g, ""))}\\fP` : plain(part)
  ).join("").replaceAll(/(?<=\w[.?!]) (?=[A-Z\\])/g, "\n").replaceAll(/(.{40,78}) (?=.)/g, "$1\n")
    .replaceAll(/^(?=[.'])/gm, "\\&")

/** Cells of a table's row; `\|` is no border. */
const cells = (row: string): ReadonlyArray<string> => row.split(/(?<!\\)\|/).slice(1, -1).map((cell) => cell.trim())

/** A definition list. */
const definitions = (entries: ReadonlyArray<readonly [term: string, text: string]>): ReadonlyArray<string> => [
  ".Bl -tag -width Ds",
  ...entries.flatMap(([term, text]) => [`.It ${term}`, text]),
  ".El"
]

const table = (rows: ReadonlyArray<string>): ReadonlyArray<string> => {
  const [head = "", , ...body] = rows
  const names = cells(head)
  return definitions(body.map((row) => {
    const [term = "", ...rest] = cells(row)
    const said = rest.flatMap((text, index) => {
      const name = names[index + 1] ?? ""
      if (text === "") return []
      return index === rest.length - 1 ? [inline(text)] : [`(${name}: ${inline(text)})`]
    })
    return [inline(term), said.reverse().join("\n")] as const
  }))
}

/** A page of docs/, without its title and introduction, or only the sections that are wanted. */
const sections = (markdown: string, wanted: (title: string) => boolean): ReadonlyArray<string> =>
  markdown.split(/^(?=## )/m).slice(1).flatMap((text) => {
    const [title = "", ...body] = text.split("\n")
    const name = title.replace(/^## /, "")
    return wanted(name) ? [`.Sh ${plain(name.toUpperCase())}`, ...blocks(body.join("\n"))] : []
  })

const blocks = (text: string): ReadonlyArray<string> => {
  const lines: Array<string> = []
  const parts = text.split(/(^```\w*\n.*?^```$)/gms).flatMap((part) =>
    part.startsWith("```") ? [part] : part.split(/\n{2,}/).map((block) => block.trim()).filter((block) => block !== "")
  )
  for (const block of parts) {
    const rows = block.split("\n")
    const follows = !/^\.S[hs] /.test(lines.at(-1) ?? ".Sh ")
    if (block.startsWith("```")) {
      lines.push(".Bd -literal -offset indent", ...rows.slice(1, -1).map((row) => plain(row)), ".Ed")
    } else if (block.startsWith("### ")) lines.push(`.Ss ${plain(block.slice(4))}`)
    else if (block.startsWith("| ")) lines.push(...table(rows))
    else if (block.startsWith("- ")) {
      const items = block.split(/^- /m).slice(1)
      lines.push(
        ".Bl -bullet",
        ...items.flatMap((item) => [".It", inline(item.trim().replaceAll(/\n\s*/g, " "))]),
        ".El"
      )
    } else lines.push(...follows ? [".Pp"] : [], ...inline(block.replaceAll("\n", " ")).split("\n"))
  }
  return lines
}

const entries = (list: ReadonlyArray<Help.Entry>): ReadonlyArray<readonly [string, string]> =>
  list.map(({ term, text }) => [`\\fB${plain(term)}\\fP`, inline(text)] as const)

const commands = (path: ReadonlyArray<string>, topic: Grammar): ReadonlyArray<string> =>
  [...topic.commands].flatMap(([name, inner]) => {
    const here = [...path, name]
    if (inner.commands.size > 0) return commands(here, inner)
    const description = inner.describe()
    const list = [...description.operands, ...description.options]
    return [
      `.Ss ${plain(Help.usage(here.join(" "), description))}`,
      inline(description.summary),
      ...list.length > 0 ? definitions(entries(list)) : []
    ]
  })

const page = (name: string, section: number, about: string, body: ReadonlyArray<string>): string =>
  [
    // the date of the version, not of the day on which it is built
    ".Dd November 23, 2026",
    `.Dt ${name.toUpperCase()} ${section}`,
    `.Os backy ${pkg.version}`,
    ".Sh NAME",
    `.Nm ${name}`,
    `.Nd ${about}`,
    ...body,
    ""
  ].join("\n")

const root = grammar.describe()
const cli = read("cli.md")
const backy = page("backy", 1, "block-based backup of virtual machine images", [
  ".Sh SYNOPSIS",
  ".Nm",
  ...root.options.map(({ term }) => {
    const [flag = "", value] = term.replace(/^-(\w), --[\w-]+/, "$1").split(" ")
    return `.Op Fl ${flag}${value === undefined ? "" : ` Ar ${value}`}`
  }),
  ".Ar command ...",
  ".Sh DESCRIPTION",
  inline(root.summary),
  "A repository is a directory that holds the revisions of one image, and needs nothing else.",
  "Options of backy itself stand before or behind the command:",
  ...definitions(entries(root.options)),
  ".Sh COMMANDS",
  ...commands([], grammar),
  ...sections(cli, (title) => title !== "Commands"),
  ".Sh SEE ALSO",
  ".Xr backy.conf 5"
])
const conf = page("backy.conf", 5, "configuration of backy", [
  ".Sh DESCRIPTION",
  ...blocks(read("configuration.md").split(/^## /m)[0]?.replace(/^# .*\n/, "") ?? ""),
  ...sections(read("configuration.md"), () => true),
  ".Sh SEE ALSO",
  ".Xr backy 1"
])

const folder = process.argv[2] ?? "man"
for (const [file, text] of [["man1/backy.1", backy], ["man5/backy.conf.5", conf]] as const) {
  mkdirSync(join(folder, file, ".."), { recursive: true })
  writeFileSync(join(folder, file), text)
}
