/** The package that `npm pack` makes, as somebody else would have it, and the programs of docs/library.md with it. */
import { assert, describe, it } from "@effect/vitest"
import { spawn } from "node:child_process"
import { once } from "node:events"
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { onTestFinished } from "vitest"
import pkg from "../../package.json" with { type: "json" }
import { bash, run } from "../end-to-end/program.ts"
import { freePort } from "../support/freePort.ts"

const root = fileURLToPath(new URL("../..", import.meta.url))
const page = readFileSync(join(root, "docs/library.md"), "utf8")
/** The first line of each program says what its file is called. */
const programs = new Map(
  [...page.matchAll(/^```ts\n\/\/ (\S+)\n(.*?)^```$/gms)].map(([_, name = "", text = ""]) => [name, text])
)
const modulesOfPage = [...page.matchAll(/^\| (`backy.*?`) \|/gm)].flatMap(([_, cell = ""]) =>
  cell.replaceAll("`", "").split(", ")
)

describe("docs/library.md", () => {
  it("lists what the package exports, and nothing else", () => {
    const exported = Object.keys(pkg.exports).filter((name) => name !== "./package.json")
    assert.deepStrictEqual(modulesOfPage.sort(), exported.map((name) => name.replace(".", "backy")).sort())
    assert.isFalse(exported.some((name) => name.includes("*")))
  })

  // builds, packs and starts a dozen programs
  it("has programs that compile and do what they say", async () => {
    const place = mkdtempSync(join(tmpdir(), "backy-library-"))
    onTestFinished(() => rmSync(place, { recursive: true, force: true }))
    const node = (...words: ReadonlyArray<string>) => run(process.execPath, words, { cwd: place })
    const ends = async (what: string, ...words: ReadonlyArray<string>) => {
      const { code, err, out } = await node(...words)
      assert.strictEqual(code, 0, `${what}: ${out}${err}`)
      return out
    }
    const modules = join(place, "node_modules")
    mkdirSync(join(modules, "backy"), { recursive: true })
    for (const name of readdirSync(join(root, "node_modules"))) {
      symlinkSync(join(root, "node_modules", name), join(modules, name))
    }
    // what npm would fetch beside it is linked: the registry is no part of this
    const packed = await bash(
      `cd '${root}' && npm pack --silent --foreground-scripts=false --pack-destination '${place}' >&2 &&
      tar -xzf '${place}'/*.tgz -C '${modules}/backy' --strip-components=1 && cd '${modules}/backy' && ls`,
      place
    )
    assert.strictEqual(packed.code, 0, packed.err)
    const contents = [
      "CHANGELOG.md",
      "LICENSE",
      "README.md",
      "SECURITY.md",
      "contrib",
      "dist",
      "docs",
      "lib",
      "package.json",
      "src"
    ]
    assert.deepStrictEqual(packed.out.trim().split("\n"), contents)
    // the program of the package, found as npm links it
    symlinkSync(join(modules, "backy/dist/backy"), join(place, "backy"))
    assert.match((await bash("./backy --version", place)).out, /^backy 3\./)

    const manifest = JSON.parse(readFileSync(join(modules, "backy/package.json"), "utf8")) as typeof pkg
    // for a library user no Node.js comes along, nor a script that is not there
    assert.notInclude(JSON.stringify([manifest.dependencies, manifest.optionalDependencies]), "node-linux")
    assert.notProperty(manifest.scripts, "prepare")
    for (const place of Object.values(manifest.exports)) {
      for (const file of typeof place === "string" ? [place] : Object.values(place)) {
        assert.isTrue(existsSync(join(modules, "backy", file)), file)
      }
    }

    for (const [name, text] of programs) writeFileSync(join(place, name), text)
    writeFileSync(join(place, "package.json"), JSON.stringify({ type: "module" }))
    const compilerOptions = {
      module: "nodenext",
      target: "es2024",
      strict: true,
      exactOptionalPropertyTypes: true,
      allowImportingTsExtensions: true,
      noEmit: true,
      types: ["node"]
    }
    const everything = Object.keys(manifest.exports).filter((name) => name !== "./package.json")
    writeFileSync(
      join(place, "everything.ts"),
      everything.map((name, index) => `export * as m${index} from "${name.replace(".", "backy")}"\n`).join("")
    )
    writeFileSync(
      join(place, "tsconfig.json"),
      JSON.stringify({ compilerOptions, files: [...programs.keys(), "everything.ts"] })
    )
    await ends("types", join(root, "node_modules/typescript/bin/tsc"), "--skipLibCheck")
    await ends("every module", "everything.ts")
    const internal = await node("--input-type=module", "-e", "await import(\"backy/operation/backup\")")
    assert.include(internal.err, "ERR_PACKAGE_PATH_NOT_EXPORTED")

    const [vm, image] = [join(place, "vm"), join(place, "vm.img")]
    assert.strictEqual(await ends("no image", "backup.ts", vm, image), "nothing to back up: there is no such file\n")
    writeFileSync(image, "an image on disk")
    assert.match(await ends("a backup", "backup.ts", vm, image), /^\w{22}: 1 chunks written\n$/)
    assert.match(await ends("the next backup", "backup.ts", vm, image), /^\w{22}: 0 chunks written\n$/)

    const target = join(place, "restored.img")
    assert.strictEqual(await ends("a restore", "restore.ts", vm, "daily", target), "revision \"daily\" is restored\n")
    assert.strictEqual(readFileSync(target, "utf8"), "an image on disk")
    assert.match(await ends("an unknown tag", "restore.ts", vm, "dayly", target), /^there is no revision .*"dayly"/)

    const config = join(place, "backy.conf")
    writeFileSync(
      config,
      [
        `global: {base-dir: ${place}, telnet-addrs: 127.0.0.1, telnet-port: ${await freePort()}}`,
        "schedules: {default: {daily: {interval: 1d, keep: 9}}}",
        `jobs: {vm: {schedule: default, source: {type: file, filename: ${image}}}}`,
        ""
      ].join("\n")
    )
    const scheduler = spawn(join(place, "backy"), ["-l", join(place, "log"), "scheduler", "-c", config], { cwd: place })
    const ended = once(scheduler, "exit")
    onTestFinished(async () => {
      scheduler.kill()
      await ended
    })
    assert.match(
      await ends("watching", "watch.ts", config),
      /^the scheduler wrote its status at \S+Z\nvm: OK, waiting for deadline\n$/
    )

    const tests = await node(join(root, "node_modules/vitest/vitest.mjs"), "run", "--root", place)
    assert.strictEqual(tests.code, 0, tests.out + tests.err)
    assert.match(tests.out, /Tests {2}11 passed/)
    // the scheduler's own way to load it: nothing of the library is there
    const plugin = await bash(
      `./backy --plugin dump-source.ts -b '${place}/dumped' init dump web && cat '${place}/dumped/config'`,
      place
    )
    assert.strictEqual(plugin.code, 0, plugin.err)
    assert.include(plugin.out, "type: dump")
  }, 400_000)
})
