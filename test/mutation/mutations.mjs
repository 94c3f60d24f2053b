// @ts-check
/**
 * Breaks the source in one place after the other and looks whether a test notices: `node test/mutation/mutations.mjs
 * [NAME …]`. Works on a copy; nothing here is changed but the table in docs/reliability.md, and that only when all
 * mutations were tried. Ends with 1 when one survives.
 */
import { spawnSync } from "node:child_process"
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"

const root = resolve(import.meta.dirname, "../..")

const crash = (/** @type {string} */ scenario) => ["test/simulation/crash.test.ts", "-t", `help in ${scenario}`]
const twice = (/** @type {string} */ scenario) => ["test/simulation/crash.test.ts", "-t", `in the next verify after kill -9 in ${scenario}`]
const fault = (/** @type {string} */ scenario) => ["test/simulation/faults.test.ts", "-t", `success in ${scenario}`]

/** Name, file, what is replaced, by what, and the tests that should notice (the first words of what they are given). */
const mutations = [
  {
    name: "chunks are not synced",
    file: "src/store/chunkFile.ts",
    from: "for (const chunk of pending) disk.datasync(chunk.descriptor)",
    to: "",
    test: crash("the first backup")
  },
  {
    name: "chunks are renamed before they are synced",
    file: "src/store/chunkFile.ts",
    from: "for (const chunk of pending) disk.datasync(chunk.descriptor)",
    to: "for (const chunk of pending) disk.rename(chunk.temporary, pathOf(repository, chunk.hex))\n    " +
      "for (const chunk of pending) disk.datasync(chunk.descriptor)\n    return",
    test: ["test/store", "test/operation/backup.test.ts"]
  },
  {
    name: "the folders of chunks are not synced",
    file: "src/operation/chunk.ts",
    from: "yield* store.sync([...folders])",
    to: "",
    test: crash("the first backup")
  },
  {
    name: "the folders of healed chunks are not synced before trust is given back",
    file: "src/operation/heal.ts",
    from: "yield* store.sync(there.filter(",
    to: "void (there.filter(",
    test: twice("a backup that heals")
  },
  {
    name: "a chunk that is found is not synced",
    file: "src/store/storeBlocks.ts",
    from: "{ hashed: true, sync: true }",
    to: "{ hashed: true, sync: false }",
    test: ["test/store", "test/operation/backup.test.ts"]
  },
  {
    name: "metadata is not synced",
    file: "src/platform/Durable.ts",
    from: "restore(Effect.zipRight(file.writeAt(bytes, 0), file.sync))",
    to: "restore(file.writeAt(bytes, 0))",
    test: crash("the first backup")
  },
  {
    name: "metadata is written in place",
    file: "src/platform/Durable.ts",
    from: "const temporary = join(directory, temporaryName(basename(path), yield* unique))",
    to: "yield* unique\n    const temporary = path",
    test: crash("tags")
  },
  {
    name: "directories are not synced",
    file: "src/platform/Durable.ts",
    from: "(directory) => directory.sync)",
    to: "() => Effect.void)",
    test: crash("the first backup")
  },
  {
    name: "the directory is not synced after metadata was replaced",
    file: "src/platform/Durable.ts",
    from: "    yield* syncDirectory(directory)\n",
    to: "",
    test: fault("tags")
  },
  {
    name: "the directory is not synced between removing a revision and its map",
    file: "src/repository/Repository.ts",
    from: "yield* Files.removeIfPresent(revisionPath(id))\n          yield* Durable.syncDirectory(directory)",
    to: "yield* Files.removeIfPresent(revisionPath(id))",
    test: crash("forget")
  },
  {
    name: "the map goes before its revision",
    file: "src/repository/Repository.ts",
    from: "yield* Files.removeIfPresent(revisionPath(id))\n",
    to: "yield* removeParts(id)\n          yield* Files.removeIfPresent(revisionPath(id))\n",
    test: crash("forget")
  },
  {
    name: "purge does not hold the lock of backups",
    file: "src/repository/locks.ts",
    from: "Effect.zipRight(take(\".backup\", \"exclusive\", wait), take(\".purge\", \"exclusive\", wait))",
    to: "Effect.void",
    test: ["test/operation/locks.test.ts", "test/simulation/concurrency.test.ts"]
  },
  {
    name: "backup does not hold its lock",
    file: "src/repository/locks.ts",
    from: "Effect.zipRight(take(\".backup\", \"exclusive\", wait), take(\".purge\", \"shared\", Duration.max(wait, PURGE_PATIENCE)))",
    to: "Effect.void",
    test: ["test/operation/locks.test.ts", "test/simulation/concurrency.test.ts"]
  },
  {
    name: "the hash of a chunk is not checked",
    file: "src/store/chunkFile.ts",
    from: "options.hashed && toHex(tools.hash(content)) !== hex",
    to: "options.hashed && content.length === 0",
    test: ["test/operation/verify.test.ts"]
  },
  {
    name: "the digest of a map is not checked",
    file: "src/repository/Image.ts",
    from: "revision.mapDigest !== digestOf(bytes)",
    to: "bytes.length === 0",
    test: ["test/operation", "test/repository"]
  },
  {
    name: "the exit code of a program is not checked",
    file: "src/platform/Process.ts",
    from: "return exitCode === 0",
    to: "return exitCode >= 0",
    test: ["test/platform/Process.test.ts"]
  },
  {
    name: "a restored file is not synced",
    file: "src/operation/restoreTarget.ts",
    from: "        yield* file.sync\n        yield* Files.rename",
    to: "        yield* Files.rename",
    test: crash("restore to a new file")
  },
  {
    name: "an overwritten file is not synced",
    file: "src/operation/restoreTarget.ts",
    from: "      yield* file.sync\n      return result\n    }))",
    to: "      return result\n    }))",
    test: fault("restore over a file$")
  },
  {
    name: "a new file appears under its name before it is whole",
    file: "src/operation/restoreTarget.ts",
    from: "`.${basename(path)}.backy-partial`",
    to: "basename(path)",
    test: crash("restore to a new file")
  }
]

const copy = mkdtempSync(join(tmpdir(), "backy-mutation-"))
for (const name of ["src", "test", "docs", ".ci", "package.json", "tsconfig.json", "package-lock.json", "LICENSE"]) {
  cpSync(join(root, name), join(copy, name), { recursive: true })
}
symlinkSync(join(root, "node_modules"), join(copy, "node_modules"))

/** @returns {{ readonly failed: boolean, readonly by: string }} */
const runTests = (/** @type {ReadonlyArray<string>} */ args) => {
  const { status, stderr, stdout } = spawnSync(
    process.execPath,
    [
      join(root, "node_modules/vitest/vitest.mjs"),
      "run",
      "-c",
      ".ci/vitest.config.ts",
      "--bail=1",
      "--reporter=dot",
      ...args
    ],
    { cwd: copy, encoding: "utf8", env: { ...process.env, BACKY_CRASH_STATES: "8000", NO_COLOR: "1" } }
  )
  const [, by = ""] = / FAIL {2}(.*)/.exec(stdout + stderr) ?? []
  return { failed: status !== 0 && by !== "", by }
}

const wanted = process.argv.slice(2)
const rows = []
for (const { file, from, name, test, to } of mutations) {
  if (wanted.length > 0 && !wanted.some((part) => name.includes(part))) continue
  const path = join(copy, file)
  const source = readFileSync(path, "utf8")
  const parts = source.split(from)
  if (parts.length < 2) throw new Error(`${name}: ${file} has no ${JSON.stringify(from)}`)
  writeFileSync(path, parts.join(to))
  const { by, failed } = runTests(test)
  writeFileSync(path, source)
  process.stdout.write(`${failed ? "noticed " : "SURVIVED"} ${name}${failed ? ` (${by})` : ""}\n`)
  rows.push({ name, failed, by: by.split(" > ")[0] ?? "" })
}
rmSync(copy, { recursive: true, force: true })

if (wanted.length === 0) {
  const table = [
    "| What is broken on purpose | Noticed by |",
    "| --- | --- |",
    ...rows.map(({ by, failed, name }) => `| ${name} | ${failed ? `\`${by}\`` : "**nothing**"} |`)
  ].join("\n")
  const path = join(root, "docs/reliability.md")
  const marked = /(<!-- mutations -->\n)[^]*(\n<!-- \/mutations -->)/
  writeFileSync(path, readFileSync(path, "utf8").replace(marked, `$1\n${table}\n$2`))
}
process.exitCode = rows.every(({ failed }) => failed) ? 0 : 1
