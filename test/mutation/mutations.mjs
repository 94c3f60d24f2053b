// @ts-check
/**
 * Breaks the source in one place after the other (list.mjs) and looks whether a test notices:
 * `npm run test:mutation [-- OPTION … PART-OF-A-NAME …]`. Works on a copy; nothing here is changed but the table in
 * docs/reliability.md, in which each result is put as soon as it is known. Ends with 1 when one survives.
 *
 * A mutation first meets the tests that are likeliest to notice it; if they do not, all that are quick, then the
 * simulations. A test counts only if it passes without the mutation. `--quick`: only the likeliest tests; what they do
 * not notice is not known yet, and leaves the table. `--missing`: only what nothing in the table notices.
 */
import { spawn } from "node:child_process"
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, relative, resolve } from "node:path"
import { mutations } from "./list.mjs"

/** @typedef {import("./list.mjs").Test} Test */
/** @typedef {import("./list.mjs").Mutation} Mutation */
/**
 * Who noticed, for the table and for people.
 * @typedef {{ by: string, test: string, why: string }} Noticed
 */

const root = resolve(import.meta.dirname, "../..")
const page = join(root, "docs/reliability.md")

/** A run of the likeliest tests takes a minute or two; one that takes longer than this hangs. In milliseconds. */
const LIMIT = 600_000
/** The simulations have much to do, and may only be slow. */
const WIDER_LIMIT = 3_600_000

/** For what the likeliest tests did not notice. */
const wider = [
  { args: ["test/store", "test/platform", "test/repository", "test/operation", "test/source"] },
  { args: ["test/simulation/damage.test.ts", "test/simulation/concurrency.test.ts"] },
  { args: ["test/simulation/crash.test.ts"] },
  { args: ["test/simulation/faults.test.ts"] }
]

const tell = (/** @type {string} */ text) => void process.stdout.write(`${text}\n`)

const copy = mkdtempSync(join(tmpdir(), "backy-mutation-"))
process.on("exit", () => rmSync(copy, { recursive: true, force: true }))
for (
  const name of ["src", "test", "docs", "contrib", ".ci", "package.json", "tsconfig.json", "package-lock.json", "LICENSE"]
) {
  cpSync(join(root, name), join(copy, name), { recursive: true })
}
symlinkSync(join(root, "node_modules"), join(copy, "node_modules"))

/**
 * Runs node in the copy; `undefined` when it did not end in time. In a process group of its own, so that also what the
 * tests started is ended then.
 * @returns {Promise<{ status: number | null, stdout: string, stderr: string } | undefined>}
 */
const node = (
  /** @type {ReadonlyArray<string>} */ args,
  /** @type {Record<string, string>} */ env = {},
  limit = LIMIT
) =>
  new Promise((done) => {
    const child = spawn(process.execPath, args, {
      cwd: copy,
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, BACKY_CRASH_STATES: "8000", NO_COLOR: "1", ...env }
    })
    const end = () => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL")
      } catch {
        // it has ended
      }
    }
    let [stdout, stderr, hangs] = ["", "", false]
    const timer = setTimeout(() => {
      hangs = true
      end()
    }, limit)
    process.once("exit", end)
    child.stdout.setEncoding("utf8").on("data", (text) => stdout += text)
    child.stderr.setEncoding("utf8").on("data", (text) => stderr += text)
    child.on("close", (status) => {
      clearTimeout(timer)
      process.off("exit", end)
      done(hangs ? undefined : { status, stdout, stderr })
    })
  })
for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM"])) process.on(signal, () => process.exit(1))

/**
 * The first test that fails, and why; `undefined` when all pass.
 * @returns {Promise<Noticed | undefined>}
 */
const runTests = async (/** @type {Test} */ { args, scenario }) => {
  const vitest = join(root, "node_modules/vitest/vitest.mjs")
  const isWider = wider.some((one) => one.args === args)
  // not a reporter for people: they take minutes to show an error that holds a whole world
  const result = await node(
    [vitest, "run", "-c", ".ci/vitest.config.ts", "--bail=1", "--reporter=json", ...args],
    scenario === undefined ? {} : { BACKY_SCENARIO: scenario },
    isWider ? WIDER_LIMIT : LIMIT
  )
  if (result === undefined) {
    const [path = ""] = args
    if (isWider) throw new Error(`${args.join(" ")} did not end within ${WIDER_LIMIT / 60_000} minutes`)
    return { by: `\`${path.replace("test/", "")}\`, which does not end`, test: "", why: `killed after ${LIMIT / 1000} s` }
  }
  const { stderr, stdout } = result
  const begin = stdout.indexOf("{\"numTotal")
  if (begin < 0) throw new Error(`the test runner failed with ${args.join(" ")}:\n${stdout}${stderr}`)
  const { numPassedTests, testResults } = JSON.parse(stdout.slice(begin))
  for (const { assertionResults, message, name, status } of testResults) {
    if (status !== "failed") continue
    const file = relative(join(copy, "test"), name)
    const test = assertionResults.find((/** @type {{ status: string }} */ one) => one.status === "failed")
    // no test failed, but the file could not even be loaded: the mutation is none
    if (test === undefined) throw new Error(`${file} cannot be run: ${message}`)
    return { by: `\`${file}\``, test: test.fullName, why: (test.failureMessages[0] ?? "").slice(0, 300) }
  }
  // a name that fits no test would let everything pass
  if (numPassedTests === 0) throw new Error(`no test was run by ${args.join(" ")}`)
  return undefined
}

const build = async (/** @type {string} */ what) => {
  const result = await node([".ci/build.mjs"])
  if (result?.status !== 0) throw new Error(`${what} cannot be built:\n${result?.stderr}`)
}

/** Runs of tests that pass on the source as it is. */
const passing = new Set()

/** A test that fails anyway notices nothing. */
const requirePassing = async (/** @type {Mutation} */ { built }, /** @type {Test} */ test) => {
  const key = JSON.stringify(test)
  if (passing.has(key)) return
  if (built === true) await build("the source as it is")
  const failed = await runTests(test)
  if (failed !== undefined) throw new Error(`without the mutation fails ${failed.by}: ${failed.test}: ${failed.why}`)
  passing.add(key)
}

/** The table's rows as they are now: who notices, by the name of the mutation. */
const readTable = () =>
  new Map(
    [...readFileSync(page, "utf8").matchAll(/^\| ([a-z].*) \| (`.*|\*\*nothing\*\*) \|$/gm)].map(([, name = "", by]) => [
      name,
      by
    ])
  )

/** Puts one result into the table, in the order of the list. */
const record = (/** @type {string} */ name, /** @type {string | undefined} */ by) => {
  const rows = readTable().set(name, by)
  const table = [
    "| What is broken on purpose | Noticed by |",
    "| --- | --- |",
    ...mutations.flatMap(({ name }) => rows.get(name) === undefined ? [] : [`| ${name} | ${rows.get(name)} |`])
  ].join("\n")
  const marked = /(<!-- mutations -->\n)[^]*(\n<!-- \/mutations -->)/
  writeFileSync(page, readFileSync(page, "utf8").replace(marked, (_, begin, end) => `${begin}\n${table}\n${end}`))
}

const options = process.argv.slice(2).filter((word) => word.startsWith("--"))
const wanted = process.argv.slice(2).filter((word) => !word.startsWith("--"))
const wrong = options.find((option) => option !== "--quick" && option !== "--missing")
if (wrong !== undefined) throw new Error(`there is no option ${wrong}`)
const quick = options.includes("--quick")

const isKnown = (/** @type {string} */ name) => readTable().get(name)?.startsWith("`") === true

/**
 * Tries one mutation; `undefined` when nothing notices it.
 * @returns {Promise<Noticed | undefined>}
 */
const attempt = async (/** @type {Mutation} */ mutation) => {
  const { built, file, from, name, tests, to } = mutation
  const path = join(copy, file)
  const source = readFileSync(path, "utf8")
  const parts = source.split(from)
  if (parts.length !== 2) throw new Error(`${file} has ${parts.length - 1} of ${JSON.stringify(from)}`)
  for (const test of quick ? tests : [...tests, ...wider]) {
    writeFileSync(path, parts.join(to))
    let found
    try {
      if (built === true) await build(name)
      found = await runTests(test)
    } finally {
      writeFileSync(path, source)
    }
    if (found === undefined) continue
    await requirePassing(mutation, test)
    return found
  }
  return undefined
}

let [tried, unnoticed, failed] = [0, 0, 0]
for (const mutation of mutations) {
  const { name } = mutation
  if (wanted.length > 0 && !wanted.some((part) => name.includes(part))) continue
  if (options.includes("--missing") && isKnown(name)) continue
  tried++
  try {
    const found = await attempt(mutation)
    if (found === undefined) {
      unnoticed++
      record(name, quick ? undefined : "**nothing**")
      tell(`SURVIVED ${name}`)
    } else {
      record(name, found.by)
      tell(`noticed  ${name}\n         ${found.by}: ${found.test}\n         ${found.why.split("\n")[0]}`)
    }
  } catch (cause) {
    failed++
    tell(`NOT RUN  ${name}: ${String(cause).slice(0, 2000)}`)
  }
}
tell(`${tried} mutations, ${tried - unnoticed - failed} noticed, ${unnoticed} survived, ${failed} could not be run`)
process.exitCode = unnoticed + failed === 0 ? 0 : 1
