// @ts-check
// Prints what the test runner reports (its JSON files are the arguments) as `N passed, N failed`, after the names of failed
// and skipped tests. `--failed-step=NAME` names a step of CI that failed. Exits with 1 when a test or a step failed, no
// test ran, or, with BACKY_TEST_ROOT=1, one was skipped.
import { existsSync, readFileSync } from "node:fs"

const STEP = "--failed-step="
const steps = process.argv.slice(2).filter((argument) => argument.startsWith(STEP)).map((step) =>
  step.slice(STEP.length)
)
const reports = process.argv.slice(2).filter((argument) => !argument.startsWith(STEP))

/**
 * @typedef {{ name: string, status: string, assertionResults: Array<{ fullName: string, status: string }> }} TestFile
 * @type {Array<TestFile>}
 */
const files = reports.flatMap(readReport)
const tests = files.flatMap((file) => file.assertionResults)
const passed = tests.filter((test) => test.status === "passed")
const failed = tests.filter((test) => test.status === "failed").map((test) => test.fullName)
const skipped = tests.filter((test) => test.status !== "passed" && test.status !== "failed")
for (const file of files) {
  // A file that cannot be loaded, or whose set-up fails, has no failed test of its own.
  if (file.status === "failed" && !file.assertionResults.some((test) => test.status === "failed")) {
    failed.push(file.name)
  }
}
for (const path of reports) {
  if (readReport(path).length === 0) failed.push("a run of the tests left no report")
}
if (tests.length === 0) failed.push("no test has run")
// A runner may fail though no test did: by an error outside of them, or because it died. Where a test failed, it is why.
for (const step of steps) {
  if (failed.length === 0 || !["tests", "services"].includes(step)) failed.push(`step ${step}`)
}

for (const name of failed) console.log(`failed: ${name}`)
for (const test of skipped) console.log(`skipped: ${test.fullName}`)
console.log(`${passed.length} passed, ${failed.length} failed`)
process.exitCode = failed.length > 0 || (process.env.BACKY_TEST_ROOT === "1" && skipped.length > 0) ? 1 : 0

/** @param {string} path */
function readReport(path) {
  const text = existsSync(path) ? readFileSync(path, "utf8") : ""
  return text === "" ? [] : JSON.parse(text).testResults
}
