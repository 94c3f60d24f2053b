/** How long each command takes before it does anything, and what of the program it has to load. */
import * as FS from "node:fs"
import { dirname, join } from "node:path"
import { PROGRAM } from "./backyTool.ts"
import { noise } from "./machine.ts"
import * as Markdown from "./markdown.ts"
import { type Command, measure, type Measured, run } from "./measure.ts"
import type { Part } from "./part.ts"
import { median } from "./statistics.ts"

/** More than of a backup: what is short is easily disturbed. */
const TIMES = 5

/** The files of the bundle that loading a file entails at once, itself among them. */
const loaded = (folder: string, entry: string): ReadonlySet<string> => {
  const seen = new Set<string>()
  const follow = (name: string): void => {
    if (seen.has(name)) return
    seen.add(name)
    const text = FS.readFileSync(join(folder, name), "utf8")
    // what a dynamic import became follows an arrow
    for (const [, imported = ""] of text.matchAll(/(?<!=>)\brequire\("\.\/([\w.-]+\.cjs)"\)/g)) follow(imported)
  }
  follow(entry)
  return seen
}

export const start: Part = async ({ folder, machine, runs }) => {
  const repository = `${folder}/repository`
  FS.writeFileSync(`${folder}/image`, Buffer.alloc(300_000, "a tiny image"))
  const backy = (...words: ReadonlyArray<string>) => ({ argv: [PROGRAM, "-b", repository, ...words] })
  run(backy("init", "file", `${folder}/image`))
  run(backy("backup", "daily"))
  const commands: ReadonlyArray<readonly [string, Command]> = [
    ["`node -e 0`, the least there is", { argv: [process.execPath, "-e", "0"] }],
    ["`--version`", backy("--version")],
    ["`--help`", backy("--help")],
    ["`scheduler --help`", backy("scheduler", "--help")],
    ["`status`", backy("status")],
    ["`find -r latest`", backy("find", "-r", "latest")],
    ["`expire -n`", backy("expire", "-n")],
    ["`purge`", backy("purge")],
    ["`verify` of a tiny image", backy("verify")],
    ["`restore` of a tiny image", backy("restore", "-f", `${folder}/restored`)],
    ["`backup` of a tiny image", backy("backup", "daily")]
  ]
  const taken = new Map<string, Array<Measured>>(commands.map(([name]) => [name, []]))
  for (let time = 0; time <= runs * TIMES; time++) {
    for (const [name, command] of commands) {
      const measured = await measure(command)
      // the first may have to compile
      if (time > 0) taken.get(name)?.push(measured)
    }
  }
  const rows = commands.map(([name]) => {
    const measured = taken.get(name) ?? []
    const [cpu, memory] = [measured.map(({ cpu }) => cpu ?? NaN), measured.map(({ memory }) => memory ?? NaN)]
    const seconds = measured.map(({ seconds }) => seconds)
    return { name, seconds: median(seconds), best: Math.min(...seconds), cpu: median(cpu), memory: median(memory) }
  })

  const bundle = dirname(PROGRAM)
  const size = (names: Iterable<string>) =>
    [...names].reduce((sum, name) => sum + FS.statSync(join(bundle, name)).size, 0)
  const main = loaded(bundle, "main.cjs")
  const entry = (prefix: string): string | undefined =>
    FS.readdirSync(bundle).find((name) => name.startsWith(`${prefix}-`) && name.endsWith(".cjs"))
  const entries: Array<readonly [string, string | undefined, ReadonlySet<string>]> = [
    ["`main`, every command", "main.cjs", new Set()],
    ["and for those that do something", entry("App"), main],
    ["and for `backup`", entry("backup"), main],
    ["and for `scheduler`", entry("Daemon"), main],
    ["a worker thread", "blockWorker.cjs", new Set()]
  ]
  const sizes = entries.flatMap(([what, name, known]) => {
    if (name === undefined) return []
    const files = [...loaded(bundle, name)].filter((file) => !known.has(file))
    return [{ what, files: files.length, bytes: size(files) }]
  })
  return {
    title: `Start-up, medians of ${runs * TIMES} runs`,
    markdown: [
      Markdown.table(
        ["", "time", "best", "processor time", "peak memory"],
        rows.map(({ best, cpu, memory, name, seconds }) => [
          name,
          Markdown.seconds(seconds),
          Markdown.seconds(best),
          Markdown.seconds(cpu),
          Markdown.bytes(memory)
        ])
      ),
      "What is loaded of the bundle at once:\n\n" +
      Markdown.table(
        ["", "files", "size"],
        sizes.map(({ bytes, files, what }) => [what, String(files), Markdown.bytes(bytes)])
      ),
      noise(machine, [...taken.values()].flat().map(({ foreign }) => foreign))
    ].join("\n\n"),
    data: { rows, sizes }
  }
}
