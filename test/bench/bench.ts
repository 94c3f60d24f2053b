/**
 * `npm run bench`: how fast backy is, beside others and beside what the machine can do. Prints Markdown; says what it
 * does on standard error. Fails only when it is asked for something that it does not know.
 *
 *     npm run bench -- [PART…] [--size 1GiB] [--runs 3] [--seed 1] [--dir DIR] [--json FILE] [--into PAGE] [--long]
 *         [--beside PROGRAM]
 *
 * `--into docs/performance.md` replaces what that page has between the marks of each part. `--beside` measures another build
 * of backy in the same runs (of Ceph).
 */
import * as FS from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { parseArgs } from "node:util"
import { cache } from "./cache.ts"
import { ceph, takeDown } from "./ceph.ts"
import * as Machine from "./machine.ts"
import { mixed } from "./mixed.ts"
import { type Part, type Report, say } from "./part.ts"
import { scale } from "./scale.ts"
import { start } from "./start.ts"
import { workers } from "./workers.ts"

const parts: Readonly<Record<string, Part>> = { mixed, start, workers, cache, scale, ceph }

/** What is run when no part is named: the others take long, or need a cluster. */
const usual = ["mixed", "start", "workers", "cache"]

const bytesIn = (text: string): number => {
  const [, number = "", unit = ""] = /^(\d+)\s*([KMGT]?)(?:i?B)?$/i.exec(text) ?? []
  return Number(number || NaN) * 1024 ** " KMGT".indexOf(unit.toUpperCase() || " ")
}

const usage = (): never => {
  say(
    `usage: npm run bench -- [${Object.keys(parts).join("|")}]… [--size 1GiB] [--runs 3] [--seed 1] [--dir DIR] ` +
      "[--json FILE] [--into PAGE] [--long] [--beside PROGRAM]"
  )
  process.exit(2)
}

const parse = () =>
  parseArgs({
    allowPositionals: true,
    options: {
      size: { type: "string", default: "1GiB" },
      runs: { type: "string", default: "3" },
      seed: { type: "string", default: "1" },
      dir: { type: "string", default: tmpdir() },
      json: { type: "string" },
      into: { type: "string" },
      beside: { type: "string" },
      long: { type: "boolean", default: false }
    }
  })
let parsed: ReturnType<typeof parse>
try {
  parsed = parse()
} catch {
  parsed = usage()
}
const { positionals, values } = parsed
const asked = positionals.length === 0 ? usual : positionals
const [size, runs, seed] = [bytesIn(values.size), Number(values.runs), Number(values.seed)]
const unknown = asked.filter((name) => !(name in parts))
if (unknown.length > 0 || !(size > 0) || !(runs >= 1) || !Number.isInteger(seed)) usage()

let folder: string | undefined
const tidy = (): void => {
  if (folder === undefined) return
  takeDown(folder)
  FS.rmSync(folder, { recursive: true, force: true })
  folder = undefined
}
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    tidy()
    process.exit(1)
  })
}

FS.mkdirSync(values.dir, { recursive: true })
const machine = Machine.describe(values.dir)
const reports: Array<Report & { readonly part: string }> = []
for (const part of asked) {
  folder = FS.mkdtempSync(join(resolve(values.dir), "backy-bench-"))
  try {
    const report = await parts[part]!({
      folder,
      size,
      runs,
      seed,
      beside: values.beside === undefined ? undefined : resolve(values.beside),
      long: values.long,
      machine
    })
    reports.push({ part, ...report })
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    reports.push({ part, title: part, markdown: `**Could not be measured:** ${reason}`, data: { reason } })
  } finally {
    tidy()
  }
}
const sections = reports.map(({ markdown, title }) => `## ${title}\n\n${markdown}`)
process.stdout.write(`${[Machine.render(machine), ...sections].join("\n\n")}\n`)
if (values.json !== undefined) {
  FS.writeFileSync(values.json, `${JSON.stringify({ machine, reports }, undefined, 2)}\n`)
}
if (values.into !== undefined) {
  let page = FS.readFileSync(values.into, "utf8")
  for (const { markdown, part, title } of reports) {
    const [begin, end] = [`<!-- bench ${part} -->`, `<!-- /bench ${part} -->`]
    const [start, stop] = [page.indexOf(begin), page.indexOf(end)]
    if (start < 0 || stop < start) say(`${values.into} has no marks for ${part}`)
    else {
      const text = `${begin}\n### ${title}\n\n${Machine.render(machine)}\n\n${markdown}\n`
      page = page.slice(0, start) + text + page.slice(stop)
    }
  }
  FS.writeFileSync(values.into, page)
}
