// @ts-check
// Prints what the test runner reports (its JSON files are the arguments) as `N passed, N failed`, after the names of failed
// and skipped tests. Exits with 1 when a test failed, none ran, or, with BACKY_TEST_ROOT=1, one was skipped.
import { readFileSync } from "node:fs"

/**
 * @typedef {{ name: string, status: string, assertionResults: Array<{ fullName: string, status: string }> }} TestFile
 * @type {Array<TestFile>}
 */
const files = process.argv.slice(2).flatMap(readReport)
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
for (const path of process.argv.slice(2)) {
  if (readReport(path).length === 0) failed.push("a run of the tests left no report")
}
if (tests.length === 0) failed.push("no test has run")

for (const name of failed) console.log(`failed: ${name}`)
for (const test of skipped) console.log(`skipped: ${test.fullName}`)
console.log(`${passed.length} passed, ${failed.length} failed`)
process.exitCode = failed.length > 0 || (process.env.BACKY_TEST_ROOT === "1" && skipped.length > 0) ? 1 : 0

/** @param {string} path */
function readReport(path) {
  const text = readFileSync(path, "utf8")
  return text === "" ? [] : JSON.parse(text).testResults
}
