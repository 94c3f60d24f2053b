// @ts-check
// Bundles src/ into dist/: `node .ci/build.mjs` always does, `node .ci/build.mjs --if-stale` when a source has changed.
// The new dist/ is built and started once beside the old one before it takes its place, so a failed build changes nothing.
import { spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

/** The programs: `main` is what the launcher starts, every other one is started as a worker thread. */
const entries = { main: "src/main.ts", blockWorker: "src/store/blockWorker.ts" }

/** Packages with native code cannot be bundled. Each may be absent: src/ loads it with `createRequire` and falls back. */
const external = ["@napi-rs/blake-hash", "koffi"]

/** What else a build depends on. */
const tooling = ["package.json", "package-lock.json", ".ci/build.mjs", ".ci/launcher.sh", ".ci/start.cjs"]

/** `new URL("./blockWorker.ts", import.meta.url)` in src/ becomes the URL of the bundled worker. */
const workerUrls = {
  name: "worker-urls",
  transform: {
    filter: { id: /\/src\/.*\.ts$/, code: "import.meta.url" },
    /** @param {string} code */
    handler(code) {
      return code.replaceAll(/new URL\("\.\/(\w+)\.ts", import\.meta\.url\)/g, (_, name) => {
        if (!(name in entries)) throw new Error(`${name}.ts is not among the entries of .ci/build.mjs`)
        return `new URL("./${name}.cjs", import.meta.url)`
      })
    }
  }
}

/** In what start.cjs loads, `import()` of what is not in the bundle would be an experiment of Node's: it has its own. */
const outsideImports = {
  name: "outside-imports",
  transform: {
    filter: { id: /\/src\/.*\.ts$/, code: "import(" },
    /** @param {string} code */
    handler: (code) => code.replaceAll(/\bimport\((?!["'`])/g, "importOutside(")
  }
}

process.chdir(fileURLToPath(new URL("..", import.meta.url)))
const building = `dist.building-${process.pid}`
const replaced = `dist.replaced-${process.pid}`
try {
  const sources = digestSources()
  if (!process.argv.includes("--if-stale") || sources !== builtFrom()) {
    await build(sources)
  }
} catch (error) {
  console.error(`backy cannot be built: ${error instanceof Error ? error.message : String(error)}`)
  process.exitCode = 1
} finally {
  rmSync(building, { recursive: true, force: true })
  rmSync(replaced, { recursive: true, force: true })
}

/** @param {string} sources */
async function build(sources) {
  const bundler = await import("rolldown").catch(() => undefined)
  if (bundler === undefined) {
    // `npm ci --omit=dev` runs the prepare script as well.
    if (existsSync("dist/backy")) return console.error("backy is not rebuilt: rolldown is not installed")
    throw new Error("rolldown is not installed; run `npm ci` first, then `npm prune --omit=dev`")
  }
  const bundle = await bundler.rolldown({
    input: entries,
    platform: "node",
    external,
    plugins: [workerUrls, outsideImports],
    onLog: (level, log) => {
      if (level === "warn") throw new Error(log.message)
    }
  })
  const { output } = await bundle.write({
    dir: building,
    // What start.cjs can load from what it keeps compiled.
    format: "cjs",
    // All files side by side and .cjs: a worker is found from any chunk, and no package.json is needed beside them.
    entryFileNames: "[name].cjs",
    chunkFileNames: "[name]-[hash].cjs",
    // Short loads faster, and start.cjs counts on pure ASCII. The code itself stays as it was written, names (stack
    // traces) included.
    minify: { compress: false, mangle: false, codegen: { removeWhitespace: true, asciiOnly: true } },
    comments: false
  })
  await bundle.close()
  const needed = output.flatMap((file) => file.type === "chunk" ? file.imports : []).filter((name) =>
    external.includes(name)
  )
  if (needed.length > 0) {
    throw new Error(`${needed.join()} may be absent and must not be imported; load it with createRequire`)
  }

  const foreign = output.find((file) => file.type === "chunk" && /[^\0-\x7f]/.test(file.code))
  if (foreign !== undefined) throw new Error(`${foreign.fileName} is not pure ASCII, as start.cjs reads it`)

  copyFileSync(".ci/start.cjs", join(building, "start.cjs"))
  copyFileSync(".ci/launcher.sh", join(building, "backy"))
  chmodSync(join(building, "backy"), 0o755)
  writeFileSync(join(building, ".built-from"), sources)

  train()

  if (existsSync("dist")) renameSync("dist", replaced)
  renameSync(building, "dist")
}

/**
 * Runs commands, each of which adds the functions that it needs to what start.cjs keeps compiled. Where one cannot be
 * run, in a sandbox say, it will only start more slowly; but a program that has no help is none.
 */
function train() {
  const program = join(process.cwd(), building, "backy")
  const folder = mkdtempSync(join(tmpdir(), "backy-training-"))
  try {
    const repository = join(folder, "repository")
    writeFileSync(join(folder, "image"), "a tiny image")
    const commands = [
      ["init", "file", join(folder, "image")],
      ["backup", "daily"],
      ["backup", "daily"],
      ["verify"],
      ["restore", "-f", join(folder, "restored")],
      ["restore", "-"],
      ["find", "-r", "latest"],
      ["purge"],
      ["expire", "-n"],
      ["status"],
      ["scheduler", "--help"],
      ["--help"]
    ]
    for (const words of commands) {
      const run = spawnSync(program, ["-b", repository, ...words], {
        encoding: "utf8",
        env: { ...process.env, BACKY_TRAINING: "1" }
      })
      if (run.status === 0) continue
      const failure = `\`backy ${words.join(" ")}\` fails: ${run.error ?? (run.stdout + run.stderr).trim()}`
      if (words.includes("--help")) throw new Error(failure)
      console.error(failure)
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function builtFrom() {
  return existsSync("dist/.built-from") ? readFileSync("dist/.built-from", "utf8") : undefined
}

function digestSources() {
  const files = readdirSync("src", { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
  const digest = createHash("sha256")
  for (const file of [...tooling, ...files.sort()]) {
    digest.update(`${file}\0`).update(readFileSync(file)).update("\0")
  }
  return digest.digest("hex")
}
