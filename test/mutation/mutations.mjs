// @ts-check
/**
 * Breaks the source in one place after the other (list.mjs) and looks whether a test notices:
 * `npm run test:mutation [-- PART-OF-A-NAME …]`. Works on a copy; nothing here is changed but the table in
 * docs/reliability.md, and that only when all mutations were tried. Ends with 1 when one survives.
 *
 * A mutation first meets the tests that are likeliest to notice it; if they do not, all that are quick, then the
 * simulations. `--quick`: only the likeliest.
 */
import { spawnSync } from "node:child_process"
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, relative, resolve } from "node:path"
import { mutations } from "./list.mjs"

const root = resolve(import.meta.dirname, "../..")

/** For what the likeliest tests did not notice. */
const wider = [
  { args: ["test/store", "test/platform", "test/repository", "test/operation", "test/source"] },
  { args: ["test/simulation/damage.test.ts", "test/simulation/concurrency.test.ts"] },
  { args: ["test/simulation/crash.test.ts"] },
  { args: ["test/simulation/faults.test.ts"] }
]

const copy = mkdtempSync(join(tmpdir(), "backy-mutation-"))
for (
  const name of ["src", "test", "docs", "contrib", ".ci", "package.json", "tsconfig.json", "package-lock.json", "LICENSE"]
) {
  cpSync(join(root, name), join(copy, name), { recursive: true })
}
symlinkSync(join(root, "node_modules"), join(copy, "node_modules"))

const node = (/** @type {ReadonlyArray<string>} */ args, /** @type {Record<string, string>} */ env = {}) =>
  spawnSync(process.execPath, args, {
    cwd: copy,
    encoding: "utf8",
    maxBuffer: 2 ** 28,
    env: { ...process.env, BACKY_CRASH_STATES: "8000", NO_COLOR: "1", ...env }
  })

/** The first test that fails, and why; `undefined` when all pass. */
const runTests = (/** @type {import("./list.mjs").Test} */ { args, scenario }) => {
  const vitest = join(root, "node_modules/vitest/vitest.mjs")
  // not a reporter for people: they take minutes to show an error that holds a whole world
  const { stderr, stdout } = node(
    [vitest, "run", "-c", ".ci/vitest.config.ts", "--bail=1", "--reporter=json", ...args],
    scenario === undefined ? {} : { BACKY_SCENARIO: scenario }
  )
  const begin = stdout.indexOf("{\"numTotal")
  if (begin < 0) throw new Error(`the test runner failed with ${args.join(" ")}:\n${stdout}${stderr}`)
  const { numPassedTests, testResults } = JSON.parse(stdout.slice(begin))
  for (const { assertionResults, message, name, status } of testResults) {
    if (status !== "failed") continue
    const file = relative(copy, name)
    const test = assertionResults.find((/** @type {{ status: string }} */ one) => one.status === "failed")
    return test === undefined
      ? { file, test: "", why: message.slice(0, 200) }
      : { file, test: test.fullName, why: (test.failureMessages[0] ?? "").slice(0, 200) }
  }
  // a name that fits no test would let everything pass
  if (numPassedTests === 0) throw new Error(`no test was run by ${args.join(" ")}`)
  return undefined
}

const quick = process.argv.includes("--quick")
const wanted = process.argv.slice(2).filter((word) => word !== "--quick")
/** @type {Array<{ name: string, by: string | undefined }>} */
const rows = []
const tell = (/** @type {string} */ text) => void process.stdout.write(`${text}\n`)

for (const { built, file, from, name, tests, to } of mutations) {
  if (wanted.length > 0 && !wanted.some((part) => name.includes(part))) continue
  const path = join(copy, file)
  const source = readFileSync(path, "utf8")
  const parts = source.split(from)
  if (parts.length !== 2) {
    tell(`NO PLACE ${name}: ${file} has ${parts.length - 1} of ${JSON.stringify(from)}`)
    rows.push({ name, by: undefined })
    continue
  }
  writeFileSync(path, parts.join(to))
  if (built === true) {
    const { status, stderr } = node([".ci/build.mjs"])
    if (status !== 0) throw new Error(`${name} cannot be built:\n${stderr}`)
  }
  let found
  try {
    for (const test of quick ? tests : [...tests, ...wider]) {
      found = runTests(test)
      if (found !== undefined) break
    }
  } catch (cause) {
    tell(`NOT RUN  ${name}: ${String(cause).slice(0, 2000)}`)
  }
  writeFileSync(path, source)
  tell(
    found === undefined
      ? `SURVIVED ${name}`
      : `noticed  ${name}\n         ${found.file}: ${found.test}\n         ${found.why.split("\n")[0]}`
  )
  rows.push({ name, by: found?.file })
}
rmSync(copy, { recursive: true, force: true })

const survived = rows.filter(({ by }) => by === undefined)
tell(`${rows.length} mutations, ${rows.length - survived.length} noticed`)
if (wanted.length === 0 && !quick) {
  const table = [
    "| What is broken on purpose | Noticed by |",
    "| --- | --- |",
    ...rows.map(({ by, name }) => `| ${name} | ${by === undefined ? "**nothing**" : `\`${by.replace("test/", "")}\``} |`)
  ].join("\n")
  const path = join(root, "docs/reliability.md")
  const marked = /(<!-- mutations -->\n)[^]*(\n<!-- \/mutations -->)/
  writeFileSync(path, readFileSync(path, "utf8").replace(marked, `$1\n${table}\n$2`))
}
process.exitCode = survived.length === 0 ? 0 : 1
